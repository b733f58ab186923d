/* The index of a folder of shards: built in parallel, combined in file order, searched by identity.
 */
#include "data/room.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- building: shards, then samples ---------------------------------------------------------- */

enum { CHUNK = 64 }; /* samples that a worker takes at a time */

typedef struct chunk {
    uint32_t shard;
    size_t from, to; /* groups of the shard */
    size_t at;       /* place of the first in `samples` */
} chunk;

typedef struct build {
    const tic_index_options *options;
    tic_index *index;
    int threads;
    chunk *chunks;
    size_t chunk_count;
    tic_sample *samples; /* all, in order of shard and offset */
    size_t sample_count;
    tic_sample_scratch *scratch; /* [threads] */
} build;

static tic_status scan_item(void *user, int worker, size_t i, tic_error *err) {
    (void)worker;
    return tic_shard_scan(&((build *)user)->index->shards[i], err);
}

static tic_status read_item(void *user, int worker, size_t i, tic_error *err) {
    build *b = user;
    const chunk *c = &b->chunks[i];
    const tic_shard *shard = &b->index->shards[c->shard];
    tic_status status;
    int file;
    TIC_TRY(tic_shard_open(&file, shard, err));
    status = TIC_OK;
    for (size_t g = c->from; status == TIC_OK && g < c->to; g++)
        status = tic_sample_read(&b->samples[c->at + g - c->from], &shard->groups[g], shard,
                                 c->shard, file, b->options, &b->scratch[worker], err);
    close(file);
    return status;
}

static tic_status run(const build *b, size_t count, tic_work_fn item, const char *what,
                      tic_error *err) {
    tic_work work = {.threads = b->threads,
                     .count = count,
                     .item = item,
                     .user = (void *)(uintptr_t)b,
                     .progress = b->options->progress,
                     .stop = b->options->stop,
                     .progress_user = b->options->user,
                     .what = what};
    return tic_work_run(&work, err);
}

/* One line for the first damaged shard, with the losses of all. */
static tic_status check_losses(const tic_index *index, tic_error *err) {
    const tic_shard *first = NULL;
    uint64_t lost = 0;
    int damaged = 0;
    for (int i = 0; i < index->shard_count; i++) {
        const tic_shard *shard = &index->shards[i];
        first = !first && shard->why ? shard : first;
        damaged += shard->why != NULL;
        lost += shard->lost;
    }
    if (lost <= index->max_bad)
        return TIC_OK;
    char rest[64] = "";
    if (damaged > 1)
        snprintf(rest, sizeof rest, ", %llu in all %d damaged shards", (unsigned long long)lost,
                 damaged);
    return tic_fail(err, TIC_EINPUT,
                    "%s@%llu: %s; at least %llu pair%s lost%s (use --max-bad to allow)",
                    first->path, (unsigned long long)first->why_at, first->why,
                    (unsigned long long)first->lost, first->lost == 1 ? " is" : "s are", rest);
}

static tic_status make_chunks(build *b, tic_error *err) {
    const tic_index *index = b->index;
    size_t chunks = 0;
    for (int s = 0; s < index->shard_count; s++) {
        b->sample_count += index->shards[s].count;
        chunks += (index->shards[s].count + CHUNK - 1) / CHUNK;
    }
    if (b->sample_count >= UINT32_MAX)
        return tic_fail(err, TIC_EINPUT, "%zu samples; an index holds fewer than 2^32",
                        b->sample_count);
    TIC_TRY(tic_alloc(&b->chunks, chunks, sizeof *b->chunks, err));
    size_t at = 0;
    for (int s = 0; s < index->shard_count; s++)
        for (size_t from = 0, n = index->shards[s].count; from < n; from += CHUNK) {
            size_t to = from + CHUNK < n ? from + CHUNK : n;
            b->chunks[b->chunk_count++] =
                (chunk){.shard = (uint32_t)s, .from = from, .to = to, .at = at};
            at += to - from;
        }
    return TIC_OK;
}

static tic_status read_samples(build *b, tic_error *err) {
    TIC_TRY(make_chunks(b, err));
    TIC_TRY(tic_alloc(&b->samples, b->sample_count, sizeof *b->samples, err));
    TIC_TRY(tic_alloc(&b->scratch, (size_t)b->threads, sizeof *b->scratch, err));
    return run(b, b->chunk_count, read_item, "reading samples", err);
}

/* ---- building: the index from the samples ---------------------------------------------------- */

static int by_identity(const void *a, const void *b) {
    return tic_id_compare(((const tic_pair *)a)->id, ((const tic_pair *)b)->id);
}

static void add_reject(tic_index *index, const tic_group *group, const tic_sample *sample,
                       uint32_t shard) {
    tic_rejected *rejected = &index->rejects[index->reject_count++];
    rejected->shard = shard;
    rejected->at = group->at;
    rejected->reason = sample->reject;
    memcpy(rejected->key, group->key, sizeof rejected->key);
    index->rejected[sample->reject]++;
}

/* Splits the samples, in file order, into pairs and rejects. */
static tic_status combine(build *b, tic_error *err) {
    tic_index *index = b->index;
    size_t usable = 0;
    for (size_t i = 0; i < b->sample_count; i++)
        usable += b->samples[i].reject == TIC_REJECT_NONE;
    TIC_TRY(tic_alloc(&index->pairs, usable, sizeof *index->pairs, err));
    TIC_TRY(tic_alloc(&index->rejects, b->sample_count - usable, sizeof *index->rejects, err));
    for (size_t c = 0; c < b->chunk_count; c++) {
        const chunk *part = &b->chunks[c];
        for (size_t g = part->from; g < part->to; g++) {
            const tic_sample *sample = &b->samples[part->at + g - part->from];
            if (sample->reject == TIC_REJECT_NONE)
                index->pairs[index->size++] = sample->pair;
            else
                add_reject(index, &index->shards[part->shard].groups[g], sample, part->shard);
        }
    }
    qsort(index->pairs, index->size, sizeof *index->pairs, by_identity);
    return TIC_OK;
}

static void drop_groups(tic_index *index) {
    for (int i = 0; i < index->shard_count; i++) {
        tic_free(index->shards[i].groups);
        index->shards[i].groups = NULL;
        index->shards[i].count = index->shards[i].capacity = 0;
    }
}

static tic_status fill(build *b, const char *folder, tic_error *err) {
    tic_index *index = b->index;
    TIC_TRY(tic_shards_list(&index->shards, &index->shard_count, folder, err));
    TIC_TRY(run(b, (size_t)index->shard_count, scan_item, "reading shards", err));
    TIC_TRY(check_losses(index, err));
    TIC_TRY(read_samples(b, err));
    TIC_TRY(tic_drop_duplicates(b->samples, b->sample_count, err));
    TIC_TRY(combine(b, err));
    drop_groups(index);
    return TIC_OK;
}

static void free_build(build *b) {
    for (int i = 0; b->scratch && i < b->threads; i++) {
        tic_free(b->scratch[i].image.bytes);
        tic_free(b->scratch[i].text.bytes);
        tic_free(b->scratch[i].json.bytes);
    }
    tic_free(b->scratch);
    tic_free(b->samples);
    tic_free(b->chunks);
}

tic_status tic_index_build(tic_index **out, const char *folder, const tic_index_options *options,
                           tic_error *err) {
    build b = {.options = options, .threads = tic_threads(options->threads)};
    *out = NULL;
    TIC_TRY(tic_index_new(&b.index, options, err));
    tic_status status = fill(&b, folder, err);
    free_build(&b);
    if (status != TIC_OK) {
        tic_index_free(b.index);
        return status;
    }
    *out = b.index;
    return TIC_OK;
}

/* ---- the whole of it
 * ----------------------------------------------------------------------------- */

tic_status tic_index_new(tic_index **out, const tic_index_options *options, tic_error *err) {
    *out = NULL;
    if (options->time_field != NULL && strlen(options->time_field) >= sizeof(*out)->time_field)
        return tic_fail(err, TIC_EUSAGE, "time field: longer than %zu bytes",
                        sizeof(*out)->time_field - 1);
    TIC_TRY(tic_alloc(out, 1, sizeof **out, err));
    (*out)->filter = options->filter;
    (*out)->min_side = options->filter ? options->min_side : 0;
    (*out)->max_bad = options->max_bad;
    if (options->time_field != NULL)
        strcpy((*out)->time_field, options->time_field);
    return TIC_OK;
}

void tic_index_free(tic_index *index) {
    if (!index)
        return;
    tic_shards_free(index->shards, index->shard_count);
    tic_free(index->pairs);
    tic_free(index->rejects);
    tic_free(index);
}

size_t tic_index_size(const tic_index *index) {
    return index->size;
}

const tic_pair *tic_index_pairs(const tic_index *index) {
    return index->pairs;
}

int tic_index_shards(const tic_index *index) {
    return index->shard_count;
}

const char *tic_index_shard(const tic_index *index, int shard) {
    return index->shards[shard].path;
}

size_t tic_index_rejects(const tic_index *index, const tic_rejected **list) {
    *list = index->rejects;
    return index->reject_count;
}

uint64_t tic_index_rejected(const tic_index *index, tic_reject reason) {
    return index->rejected[reason];
}

tic_id tic_index_hash(const tic_index *index) {
    tic_sha256 hash;
    tic_sha256_init(&hash);
    for (size_t i = 0; i < index->size; i++)
        tic_hash_id(&hash, index->pairs[i].id);
    return tic_hash_end(&hash);
}

const char *tic_reject_name(tic_reject reason) {
    static const char *const names[TIC_REJECT_COUNT] = {
        [TIC_REJECT_NONE] = "none",           [TIC_REJECT_UNPAIRED] = "unpaired",
        [TIC_REJECT_NO_JSON] = "no-json",     [TIC_REJECT_NO_TIME] = "no-time",
        [TIC_REJECT_NOT_IMAGE] = "not-image", [TIC_REJECT_CORRUPT] = "corrupt",
        [TIC_REJECT_TOO_LARGE] = "too-large", [TIC_REJECT_DUPLICATE] = "duplicate",
        [TIC_REJECT_FEW_WORDS] = "few-words", [TIC_REJECT_NOT_ENGLISH] = "not-english",
        [TIC_REJECT_SHAPE] = "shape",         [TIC_REJECT_BAD_TEXT] = "bad-text",
        [TIC_REJECT_LOST] = "lost",
    };
    return (unsigned)reason < TIC_REJECT_COUNT ? names[reason] : "unknown";
}
