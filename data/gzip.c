/* gzip in memory, for vocabulary files. */
#include "data/vocab.h"
#include <limits.h>
#include <zlib.h>

static voidpf take(voidpf opaque, uInt items, uInt size) {
    void *block = NULL;
    (void)opaque;
    return tic_alloc(&block, items, size, NULL) == TIC_OK ? block : Z_NULL;
}
static void give(voidpf opaque, voidpf block) {
    (void)opaque;
    tic_free(block);
}
enum { GZIP_WINDOW = 15 + 16 /* zlib's code for a gzip wrapper */ };

/* Makes room for one more byte than *used, doubling up to limit + 1. */
static tic_status widen(char **out, size_t *room, size_t used, size_t limit, tic_error *err) {
    if (used < *room)
        return TIC_OK;
    size_t wider = *room ? 2 * *room : 1 << 16;
    if (wider > limit + 1)
        wider = limit + 1;
    TIC_TRY(tic_grow(out, used, wider, 1, err));
    *room = wider;
    return TIC_OK;
}

static tic_status inflate_all(z_stream *stream, char **out, size_t *used, size_t limit,
                              const char *path, tic_error *err) {
    size_t room = 0;
    for (*used = 0;;) {
        TIC_TRY(widen(out, &room, *used, limit, err));
        stream->next_out = (Bytef *)*out + *used;
        stream->avail_out = (uInt)(room - *used);
        int code = inflate(stream, Z_NO_FLUSH);
        *used = room - stream->avail_out;
        if (*used > limit)
            return tic_fail(err, TIC_EINPUT, "%s: more than %zu bytes when unpacked", path, limit);
        if (code == Z_STREAM_END) {
            if (stream->avail_in == 0)
                return TIC_OK;
            inflateReset(stream); /* a further member */
        } else if (code == Z_MEM_ERROR) {
            return tic_fail(err, TIC_ERESOURCE, "%s: no memory to unpack it", path);
        } else if (code != Z_OK || (stream->avail_in == 0 && stream->avail_out > 0)) {
            return tic_fail(err, TIC_EINPUT, "%s@%lu: %s", path, stream->total_in,
                            code == Z_DATA_ERROR ? "damaged gzip data" : "truncated gzip data");
        }
    }
}

tic_status tic_gunzip(char **out, size_t *out_size, const void *bytes, size_t size, size_t limit,
                      const char *path, tic_error *err) {
    z_stream stream = {.zalloc = take, .zfree = give, .next_in = (Bytef *)(uintptr_t)bytes};
    *out = NULL;
    if (size > UINT_MAX || limit >= UINT_MAX)
        return tic_fail(err, TIC_EINPUT, "%s: too large", path);
    stream.avail_in = (uInt)size;
    if (inflateInit2(&stream, GZIP_WINDOW) != Z_OK)
        return tic_fail(err, TIC_ERESOURCE, "%s: no memory to unpack it", path);
    tic_status status = inflate_all(&stream, out, out_size, limit, path, err);
    inflateEnd(&stream);
    if (status == TIC_OK) /* there is room: limit + 1 bytes were allowed */
        status = tic_grow(out, *out_size, *out_size + 1, 1, err);
    if (status != TIC_OK) {
        tic_free(*out);
        *out = NULL;
    }
    return status;
}

tic_status tic_gzip(uint8_t **out, size_t *out_size, const void *bytes, size_t size,
                    tic_error *err) {
    enum { UNKNOWN_SYSTEM = 255, MEMORY_LEVEL = 8 };
    z_stream stream = {.zalloc = take, .zfree = give, .next_in = (Bytef *)(uintptr_t)bytes};
    gz_header header = {.os = UNKNOWN_SYSTEM};
    *out = NULL;
    if (size > UINT_MAX / 2)
        return tic_fail(err, TIC_EUSAGE, "%zu bytes are too many to pack at once", size);
    if (deflateInit2(&stream, Z_BEST_COMPRESSION, Z_DEFLATED, GZIP_WINDOW, MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return tic_fail(err, TIC_ERESOURCE, "no memory to pack %zu bytes", size);
    deflateSetHeader(&stream, &header);
    size_t room = deflateBound(&stream, (uLong)size);
    tic_status status = tic_alloc(out, room, 1, err);
    if (status == TIC_OK) {
        stream.avail_in = (uInt)size;
        stream.next_out = *out;
        stream.avail_out = (uInt)room;
        if (deflate(&stream, Z_FINISH) != Z_STREAM_END)
            status = tic_fail(err, TIC_EINTERNAL, "packing %zu bytes did not end", size);
        *out_size = stream.total_out;
    }
    deflateEnd(&stream);
    if (status != TIC_OK) {
        tic_free(*out);
        *out = NULL;
    }
    return status;
}
