/* Growing bytes and ustar archives that depend on nothing but their contents. */
#include "data/room.h"
#include "data/world/room.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 512, LINE = 2048 };

tic_status tic_world_put(tic_world_bytes *bytes, const void *from, size_t size, tic_error *err) {
    if (bytes->used + size > bytes->room) {
        size_t room = bytes->room < 4096 ? 4096 : bytes->room;
        while (room < bytes->used + size)
            room *= 2;
        TIC_TRY(tic_grow(&bytes->at, bytes->used, room, 1, err));
        bytes->room = room;
    }
    if (size > 0)
        memcpy(bytes->at + bytes->used, from, size);
    bytes->used += size;
    return TIC_OK;
}

tic_status tic_world_format(tic_world_bytes *bytes, tic_error *err, const char *format, ...) {
    char line[LINE];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    if (length < 0 || length >= LINE)
        return tic_fail(err, TIC_EINTERNAL, "world: a line of %d bytes", length);
    return tic_world_put(bytes, line, (size_t)length, err);
}

struct ustar { /* POSIX.1-1988, all fields text, numbers in octal */
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
};
_Static_assert(sizeof(struct ustar) == BLOCK, "a header is one block");

static tic_status put_zeros(tic_world_bytes *tar, size_t count, tic_error *err) {
    static const char zeros[BLOCK];
    for (; count > 0; count -= count < BLOCK ? count : BLOCK)
        TIC_TRY(tic_world_put(tar, zeros, count < BLOCK ? count : BLOCK, err));
    return TIC_OK;
}

tic_status tic_world_tar_member(tic_world_bytes *tar, const char *name, const void *content,
                                size_t size, tic_error *err) {
    struct ustar header = {.type = '0'};
    if (strlen(name) >= sizeof header.name || size >= (size_t)1 << 33)
        return tic_fail(err, TIC_EINTERNAL, "world: '%s' does not fit a tar header", name);
    strcpy(header.name, name);
    strcpy(header.mode, "0000644");
    strcpy(header.uid, "0000000");
    strcpy(header.gid, "0000000");
    snprintf(header.size, sizeof header.size, "%011llo", (unsigned long long)size);
    strcpy(header.mtime, "00000000000");
    memcpy(header.magic, "ustar", 6);
    memcpy(header.version, "00", 2);
    memset(header.checksum, ' ', sizeof header.checksum);
    unsigned sum = 0;
    for (size_t i = 0; i < sizeof header; i++)
        sum += ((const unsigned char *)&header)[i];
    snprintf(header.checksum, sizeof header.checksum, "%06o", sum & 0777777);
    TIC_TRY(tic_world_put(tar, &header, sizeof header, err));
    TIC_TRY(tic_world_put(tar, content, size, err));
    return put_zeros(tar, (BLOCK - size % BLOCK) % BLOCK, err);
}

typedef struct piece_work {
    const tic_world_tar *tar;
    tic_world_bytes *pieces;
} piece_work;

static tic_status make_piece(void *user, int worker, size_t i, tic_error *err) {
    (void)worker;
    const piece_work *work = user;
    return work->tar->item(&work->pieces[i], work->tar->user, work->tar->first + i, err);
}

static void report(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)total;
    const tic_world_tar *tar = user;
    if (tar->options->progress)
        tar->options->progress(tar->options->user, what, tar->done_before + done, tar->total);
}

static tic_status write_pieces(const char *path, const tic_world_bytes *pieces, size_t count,
                               tic_error *err) {
    static const char end[2 * BLOCK];
    tic_writer *writer;
    TIC_TRY(tic_writer_open(&writer, path, err));
    tic_status status = TIC_OK;
    for (size_t i = 0; i < count && status == TIC_OK; i++)
        status = tic_writer_put(writer, pieces[i].at, pieces[i].used, err);
    if (status == TIC_OK)
        status = tic_writer_put(writer, end, sizeof end, err);
    if (status == TIC_OK)
        return tic_writer_commit(writer, err);
    tic_writer_abandon(writer);
    return status;
}

tic_status tic_world_write_tar(const char *path, const tic_world_tar *tar, tic_error *err) {
    piece_work work = {.tar = tar};
    TIC_TRY(tic_alloc(&work.pieces, tar->count, sizeof *work.pieces, err));
    const tic_work crew = {.threads = tic_threads(tar->options->threads),
                           .count = tar->count,
                           .item = make_piece,
                           .user = &work,
                           .progress = report,
                           .progress_user = (void *)tar,
                           .what = "world"};
    tic_status status = tic_work_run(&crew, err);
    if (status == TIC_OK)
        status = write_pieces(path, work.pieces, tar->count, err);
    for (size_t i = 0; i < tar->count; i++)
        tic_free(work.pieces[i].at);
    tic_free(work.pieces);
    return status;
}
