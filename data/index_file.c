/* A saved index: what it was made from, then its arrays as they stand in memory, then a SHA-256 of
 * it all. It is a cache, not a format to exchange: a file of another build, layout or input is
 * stale, and is made again. */
#include "data/room.h"
#include <string.h>

static const char magic[8] = "ticindex";
enum { VERSION = 2, DIGEST = 32 };
static const size_t max_file = (size_t)1 << 37;

typedef struct head {
    char magic[8];
    uint32_t version, pair_bytes, rejected_bytes; /* the layout */
    int32_t filter, min_side;                     /* the options that decide the contents */
    uint32_t shards;
    uint64_t max_bad, pairs, rejects;
    char time_field[64]; /* zeros after its end */
} head;

typedef struct shard_head {
    uint64_t size;
    int64_t mtime;
    uint64_t name; /* bytes that follow, without a NUL */
} shard_head;

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static head head_of(const tic_index *index) {
    head h;
    memset(&h, 0, sizeof h);
    memcpy(h.magic, magic, sizeof magic);
    h.version = VERSION;
    h.pair_bytes = sizeof(tic_pair);
    h.rejected_bytes = sizeof(tic_rejected);
    h.filter = index->filter;
    h.min_side = index->min_side;
    h.shards = (uint32_t)index->shard_count;
    h.max_bad = index->max_bad;
    h.pairs = index->size;
    h.rejects = index->reject_count;
    memcpy(h.time_field, index->time_field, sizeof h.time_field);
    return h;
}

/* ---- save ------------------------------------------------------------------------------------ */

typedef struct sink {
    tic_writer *writer;
    tic_sha256 hash;
} sink;

static tic_status put(sink *s, const void *bytes, size_t size, tic_error *err) {
    tic_sha256_add(&s->hash, bytes, size);
    return tic_writer_put(s->writer, bytes, size, err);
}

static tic_status put_all(sink *s, const tic_index *index, tic_error *err) {
    head h = head_of(index);
    uint8_t digest[DIGEST];
    TIC_TRY(put(s, &h, sizeof h, err));
    for (int i = 0; i < index->shard_count; i++) {
        const tic_shard *shard = &index->shards[i];
        const char *name = base_name(shard->path);
        shard_head sh = {.size = shard->size, .mtime = shard->mtime, .name = strlen(name)};
        TIC_TRY(put(s, &sh, sizeof sh, err));
        TIC_TRY(put(s, name, sh.name, err));
    }
    TIC_TRY(put(s, index->pairs, index->size * sizeof *index->pairs, err));
    TIC_TRY(put(s, index->rejects, index->reject_count * sizeof *index->rejects, err));
    tic_sha256_end(&s->hash, digest);
    return tic_writer_put(s->writer, digest, sizeof digest, err);
}

tic_status tic_index_save(const tic_index *index, const char *path, tic_error *err) {
    sink s;
    tic_sha256_init(&s.hash);
    TIC_TRY(tic_writer_open(&s.writer, path, err));
    tic_status status = put_all(&s, index, err);
    if (status == TIC_OK)
        return tic_writer_commit(s.writer, err);
    tic_writer_abandon(s.writer);
    return status;
}

/* ---- load ------------------------------------------------------------------------------------ */

typedef struct source {
    const char *at;
    size_t left;
} source;

static bool get(source *s, void *to, size_t size) {
    if (size > s->left)
        return false;
    if (size > 0)
        memcpy(to, s->at, size);
    s->at += size;
    s->left -= size;
    return true;
}

/* Whether the digest at the end fits; then it is cut off. */
static bool is_whole(source *s) {
    uint8_t digest[DIGEST];
    tic_sha256 hash;
    if (s->left < DIGEST)
        return false;
    s->left -= DIGEST;
    tic_sha256_init(&hash);
    tic_sha256_add(&hash, s->at, s->left);
    tic_sha256_end(&hash, digest);
    return memcmp(digest, s->at + s->left, DIGEST) == 0;
}

static bool same_shard(source *s, const tic_shard *shard) {
    const char *name = base_name(shard->path);
    shard_head sh;
    if (!get(s, &sh, sizeof sh) || sh.size != shard->size || sh.mtime != shard->mtime ||
        sh.name != strlen(name) || sh.name > s->left || memcmp(s->at, name, sh.name) != 0)
        return false;
    s->at += sh.name;
    s->left -= sh.name;
    return true;
}

/* The head and shards must be those of `index`, which holds today's shards and options. */
static bool same_origin(source *s, const tic_index *index, head *h) {
    head want = head_of(index);
    if (!get(s, h, sizeof *h))
        return false;
    want.pairs = h->pairs;
    want.rejects = h->rejects;
    if (memcmp(h, &want, sizeof want) != 0)
        return false;
    for (int i = 0; i < index->shard_count; i++)
        if (!same_shard(s, &index->shards[i]))
            return false;
    return h->pairs <= s->left / sizeof(tic_pair) && h->rejects <= s->left / sizeof(tic_rejected) &&
           h->pairs * sizeof(tic_pair) + h->rejects * sizeof(tic_rejected) == s->left;
}

/* A digest is no signature: places that lead out of the shards are refused here, so that nothing
 * behind needs to look again. */
static bool is_sound(const tic_index *index) {
    for (size_t i = 0; i < index->size; i++) {
        const tic_pair *p = &index->pairs[i];
        if (p->shard >= (uint32_t)index->shard_count)
            return false;
        uint64_t end = index->shards[p->shard].size;
        if (p->image_at > end || p->image_size > end - p->image_at || p->text_at > end ||
            p->text_size > end - p->text_at || p->json_at > end ||
            p->json_size > end - p->json_at ||
            (i > 0 && tic_id_compare(index->pairs[i - 1].id, p->id) >= 0))
            return false;
    }
    for (size_t i = 0; i < index->reject_count; i++)
        if (index->rejects[i].shard >= (uint32_t)index->shard_count ||
            (unsigned)index->rejects[i].reason >= TIC_REJECT_COUNT)
            return false;
    return true;
}

/* *fresh: whether the file was of use. */
static tic_status parse(tic_index *index, source s, bool *fresh, tic_error *err) {
    head h;
    *fresh = is_whole(&s) && same_origin(&s, index, &h);
    if (!*fresh)
        return TIC_OK;
    TIC_TRY(tic_alloc(&index->pairs, h.pairs, sizeof *index->pairs, err));
    TIC_TRY(tic_alloc(&index->rejects, h.rejects, sizeof *index->rejects, err));
    index->size = h.pairs;
    index->reject_count = h.rejects;
    *fresh = get(&s, index->pairs, h.pairs * sizeof *index->pairs) &&
             get(&s, index->rejects, h.rejects * sizeof *index->rejects) && is_sound(index);
    for (size_t i = 0; *fresh && i < index->reject_count; i++)
        index->rejected[index->rejects[i].reason]++;
    return TIC_OK;
}

static tic_status load(tic_index *index, const char *path, const char *folder, bool *fresh,
                       tic_error *err) {
    char *bytes;
    size_t size;
    TIC_TRY(tic_shards_list(&index->shards, &index->shard_count, folder, err));
    TIC_TRY(tic_file_read(path, max_file, &bytes, &size, err));
    tic_status status = parse(index, (source){.at = bytes, .left = size}, fresh, err);
    tic_free(bytes);
    return status;
}

tic_status tic_index_check(const char *path, tic_error *err) {
    char *bytes;
    size_t size;
    TIC_TRY(tic_file_read(path, max_file, &bytes, &size, err));
    const bool whole = is_whole(&(source){.at = bytes, .left = size});
    tic_free(bytes);
    return whole ? TIC_OK : tic_fail(err, TIC_EINPUT, "%s: not as it was saved", path);
}

tic_status tic_index_load(tic_index **out, const char *path, const char *folder,
                          const tic_index_options *options, tic_error *err) {
    tic_index *index = NULL;
    bool fresh = false;
    *out = NULL;
    if (!tic_file_exists(path))
        return TIC_OK;
    TIC_TRY(tic_index_new(&index, options, err));
    tic_status status = load(index, path, folder, &fresh, err);
    if (status != TIC_OK || !fresh) {
        tic_index_free(index);
        return status;
    }
    *out = index;
    return TIC_OK;
}
