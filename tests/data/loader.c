/* The loader: an epoch is each pair once, batches are a function of the position alone, whatever
 * the threads, the cache, the place of resumption. */
#include "tests/data/support.h"
#include <criterion/criterion.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { PAIRS = 23, SIZE = 20, CONTEXT = 16, BATCH = 7 };

typedef struct setting { /* a shard, its index and a vocabulary */
    char folder[TEST_PATH];
    tic_index *index;
    tic_vocab *vocab;
    uint32_t pool[PAIRS]; /* all pairs, in an order of its own */
} setting;

static bool no_caption(void *user, const char **text) {
    static const char *const texts[] = {"picture of a thing", "a thing of a picture"};
    size_t *next = user;
    *text = *next < 2 ? texts[*next] : NULL;
    return (*next)++ < 2;
}

static setting set_up(void) {
    setting s;
    size_t next = 0;
    tic_error err = {0};
    make_folder(s.folder);
    write_days(s.folder, PAIRS);
    s.index = must_index(s.folder, &(tic_index_options){.threads = 1});
    cr_assert(tic_index_size(s.index) == PAIRS);
    cr_assert(tic_vocab_train(&s.vocab, no_caption, &next, 520, &err) == TIC_OK, "%s", err.text);
    for (uint32_t i = 0; i < PAIRS; i++)
        s.pool[i] = (i * 5 + 3) % PAIRS;
    return s;
}

static void tear_down(setting *s) {
    tic_vocab_free(s->vocab);
    tic_index_free(s->index);
    remove_folder(s->folder);
}

static tic_loader_options options_of(const setting *s) {
    return (tic_loader_options){.index = s->index,
                                .vocab = s->vocab,
                                .pool = s->pool,
                                .pool_size = PAIRS,
                                .image_size = SIZE,
                                .context = CONTEXT,
                                .batch = BATCH,
                                .train = true,
                                .seed = 11,
                                .threads = 1};
}

static tic_loader *must_open(const tic_loader_options *options) {
    tic_loader *loader = NULL;
    tic_error err = {0};
    cr_assert(tic_loader_new(&loader, options, &err) == TIC_OK, "%s", err.text);
    return loader;
}

static const tic_batch *must_next(tic_loader *loader) {
    const tic_batch *batch = NULL;
    tic_error err = {0};
    cr_assert(tic_loader_next(loader, &batch, &err) == TIC_OK, "%s", err.text);
    return batch;
}

/* ---- order ----------------------------------------------------------------------------------- */

Test(loader, an_epoch_is_each_pair_once) {
    setting s = set_up();
    tic_loader_options options = options_of(&s);
    tic_loader *loader = must_open(&options);
    uint32_t orders[3][PAIRS];
    for (int at = 0; at < 3 * PAIRS;) {
        const tic_batch *batch = must_next(loader);
        cr_assert(batch->n == BATCH);
        for (int i = 0; i < BATCH && at < 3 * PAIRS; i++, at++) {
            orders[at / PAIRS][at % PAIRS] = batch->pairs[i];
            cr_expect(batch->pairs[i] == tic_stream_pair(s.pool, PAIRS, 11, (uint64_t)at));
        }
    }
    for (int e = 0; e < 3; e++) {
        int seen[PAIRS] = {0};
        for (int i = 0; i < PAIRS; i++)
            seen[orders[e][i]]++;
        for (int i = 0; i < PAIRS; i++)
            cr_expect(seen[i] == 1, "epoch %d, pair %d: %d times", e, i, seen[i]);
    }
    cr_expect(memcmp(orders[0], orders[1], sizeof orders[0]) != 0);
    cr_expect(memcmp(orders[1], orders[2], sizeof orders[0]) != 0);
    tic_loader_free(loader);
    tear_down(&s);
}

/* ---- the same bytes
 * ------------------------------------------------------------------------------ */

static void hash_batch(const tic_batch *b, uint8_t digest[32]) {
    tic_sha256 hash;
    tic_sha256_init(&hash);
    tic_sha256_add(&hash, &b->n, sizeof b->n);
    tic_sha256_add(&hash, b->pixels, (size_t)b->n * SIZE * SIZE * 3);
    tic_sha256_add(&hash, b->ids, (size_t)b->tokens * sizeof *b->ids);
    tic_sha256_add(&hash, b->offsets, (size_t)(b->n + 1) * sizeof *b->offsets);
    tic_sha256_add(&hash, b->pairs, (size_t)b->n * sizeof *b->pairs);
    tic_sha256_end(&hash, digest);
}

enum { ROUND = 12 };
typedef uint8_t digests[ROUND][32];

static void hash_stream(const tic_loader_options *options, digests out, int count) {
    tic_loader *loader = must_open(options);
    for (int i = 0; i < count; i++)
        hash_batch(must_next(loader), out[i]);
    tic_loader_free(loader);
}

Test(loader, same_bytes_for_any_threads_and_cache) {
    static const struct {
        int threads, ahead;
        size_t cache;
    } ways[] = {{3, 0, 0}, {2, 1, 0}, {5, 9, 0}, {1, 0, 1 << 20}, {3, 0, 1 << 20}, {3, 2, 20000}};
    setting s = set_up();
    digests want, got;
    tic_loader_options options = options_of(&s);
    hash_stream(&options, want, ROUND);
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        options.threads = ways[i].threads;
        options.ahead = ways[i].ahead;
        options.cache_bytes = ways[i].cache;
        hash_stream(&options, got, ROUND);
        cr_expect(memcmp(want, got, sizeof want) == 0, "way %zu", i);
    }
    options.seed++;
    hash_stream(&options, got, ROUND);
    cr_expect(memcmp(want[0], got[0], 32) != 0);
    tear_down(&s);
}

Test(loader, resumes_anywhere) {
    setting s = set_up();
    digests want, got;
    tic_loader_options options = options_of(&s);
    hash_stream(&options, want, ROUND);
    options.threads = 2;
    for (int done = 0; done < ROUND; done++) {
        options.first = (uint64_t)done * BATCH;
        hash_stream(&options, got, ROUND - done);
        cr_expect(memcmp(want[done], got, (size_t)(ROUND - done) * 32) == 0, "after %d", done);
    }
    tear_down(&s);
}

/* ---- contents
 * ------------------------------------------------------------------------------------ */

/* What a batch should hold, from the parts that have tests of their own. */
static void expect_batch(const setting *s, const tic_batch *b, const tic_loader_options *o,
                         uint64_t first) {
    uint8_t want[SIZE * SIZE * 3];
    int32_t ids[CONTEXT];
    tic_buffer bytes = {0}, text = {0};
    for (int64_t i = 0; i < b->n; i++) {
        const char *caption;
        tic_image image;
        tic_reject reason;
        int count;
        tic_random key = {.seed = o->seed, .purpose = TIC_RNG_CROP};
        cr_assert(tic_index_read(s->index, b->pairs[i], &bytes, &text, &caption, NULL) == TIC_OK);
        cr_assert(tic_jpeg_decode(&image, bytes.bytes, s->index->pairs[b->pairs[i]].image_size,
                                  SIZE, &reason, NULL) == TIC_OK);
        if (o->train)
            tic_preprocess_train(&image, SIZE, key, first + (uint64_t)i, want, NULL);
        else
            tic_preprocess_eval(&image, SIZE, want, NULL);
        cr_expect(memcmp(b->pixels + (size_t)i * sizeof want, want, sizeof want) == 0);
        cr_assert(tic_tokenize_caption(s->vocab, caption, CONTEXT, ids, &count, NULL) == TIC_OK);
        cr_assert(b->offsets[i + 1] - b->offsets[i] == count);
        cr_expect(memcmp(b->ids + b->offsets[i], ids, (size_t)count * sizeof *ids) == 0);
        tic_free(image.pixels);
    }
    cr_expect(b->offsets[0] == 0 && b->offsets[b->n] == b->tokens);
    tic_free(bytes.bytes), tic_free(text.bytes);
}

Test(loader, contents) {
    setting s = set_up();
    tic_loader_options options = options_of(&s);
    options.cache_bytes = 1 << 20;
    tic_loader *loader = must_open(&options);
    for (uint64_t b = 0; b < 8; b++) /* past the first epoch, where the cache takes over */
        expect_batch(&s, must_next(loader), &options, b * BATCH);
    cr_expect(tic_loader_waited(loader) >= 0);
    tic_loader_free(loader);
    tear_down(&s);
}

/* Pool order, a smaller last batch, then nothing, as often as asked. */
Test(loader, evaluation) {
    setting s = set_up();
    tic_loader_options options = options_of(&s);
    options.train = false;
    options.threads = 3;
    tic_loader *loader = must_open(&options);
    size_t at = 0;
    for (int b = 0; b < 4; b++) {
        const tic_batch *batch = must_next(loader);
        cr_assert(batch->n == (b < 3 ? BATCH : PAIRS - 3 * BATCH));
        expect_batch(&s, batch, &options, at);
        for (int64_t i = 0; i < batch->n; i++)
            cr_expect(batch->pairs[i] == s.pool[at++]);
    }
    cr_expect(must_next(loader)->n == 0);
    cr_expect(must_next(loader)->n == 0);
    tic_loader_free(loader);
    tear_down(&s);
}

/* A batch of more pairs than the pool has spans epochs. */
Test(loader, batch_larger_than_pool) {
    setting s = set_up();
    tic_loader_options options = options_of(&s);
    options.pool_size = 3;
    tic_loader *loader = must_open(&options);
    for (uint64_t b = 0; b < 3; b++) {
        const tic_batch *batch = must_next(loader);
        for (uint64_t i = 0; i < BATCH; i++)
            cr_expect(batch->pairs[i] == tic_stream_pair(s.pool, 3, 11, b * BATCH + i));
    }
    tic_loader_free(loader);
    tear_down(&s);
}

/* ---- failures
 * -------------------------------------------------------------------------------------- */

/* Runs to the first failure: the batch it comes in and what it says. */
static int run_to_failure(const tic_loader_options *options, tic_error *err) {
    tic_loader *loader = must_open(options);
    const tic_batch *batch;
    int done = 0;
    while (tic_loader_next(loader, &batch, err) == TIC_OK)
        cr_assert(++done < 100);
    tic_error again = {0};
    cr_expect(tic_loader_next(loader, &batch, &again) == err->status); /* it stays failed */
    cr_expect(strcmp(again.text, err->text) == 0);
    tic_loader_free(loader);
    return done;
}

/* One picture no longer decodes, though size and time of the shard are what they were: the error
 * names it, in the batch where it is due, for any number of threads. */
Test(loader, picture_gone_bad) {
    setting s = set_up();
    uint32_t bad = tic_stream_pair(s.pool, PAIRS, 11, 10);
    const tic_pair *pair = &s.index->pairs[bad];
    char path[2 * TEST_PATH], where[64];
    size_t size;
    snprintf(path, sizeof path, "%s/000000.tar", s.folder);
    char *bytes = read_whole(path, &size);
    memset(bytes + pair->image_at + 2, 0, 40);
    write_file(s.folder, "000000.tar", bytes, size);
    tic_shard now = {.path = path};
    cr_assert(tic_shard_stat(&now, NULL) == TIC_OK);
    s.index->shards[0].mtime = now.mtime;
    snprintf(where, sizeof where, "000000.tar@%llu: the picture has changed",
             (unsigned long long)pair->image_at);
    tic_loader_options options = options_of(&s);
    for (options.threads = 1; options.threads <= 4; options.threads++) {
        tic_error err = {0};
        cr_expect(run_to_failure(&options, &err) == 1, "%d threads", options.threads);
        cr_expect(err.status == TIC_EINPUT && strstr(err.text, where), "%s", err.text);
    }
    tic_free(bytes);
    tear_down(&s);
}

Test(loader, shard_changed) {
    setting s = set_up();
    tic_error err = {0};
    write_text(s.folder, "000000.tar", "something else");
    tic_loader_options options = options_of(&s);
    cr_expect(run_to_failure(&options, &err) == 0);
    cr_expect(err.status == TIC_EINPUT && strstr(err.text, "changed since"), "%s", err.text);
    tear_down(&s);
}

Test(loader, refused) {
    setting s = set_up();
    tic_loader *loader;
    for (int fault = 0; fault < 6; fault++) {
        tic_loader_options options = options_of(&s);
        s.pool[3] = fault == 5 ? PAIRS : 0; /* beyond the index */
        options.pool_size = fault == 0 ? 0 : PAIRS;
        options.batch = fault == 1 ? 0 : fault == 2 ? INT32_MAX / 2 : BATCH;
        options.image_size = fault == 3 ? 0 : SIZE;
        options.context = fault == 4 ? 1 : CONTEXT;
        cr_expect(tic_loader_new(&loader, &options, NULL) == TIC_EUSAGE, "fault %d", fault);
        cr_expect(loader == NULL);
    }
    tic_loader_free(NULL);
    tear_down(&s);
}

/* Freed at once, at any point: nobody waits for anything, nothing leaks. */
Test(loader, freed_early) {
    setting s = set_up();
    tic_loader_options options = options_of(&s);
    options.threads = 3;
    for (int taken = 0; taken < 20; taken++) {
        tic_loader *loader = must_open(&options);
        for (int i = 0; i < taken % 5; i++)
            must_next(loader);
        tic_loader_free(loader);
    }
    tear_down(&s);
}

/* With the ring full the workers sleep: they use less than a tenth of the time that passes. */
Test(loader, idle_workers_sleep) {
    setting s = set_up();
    tic_loader_options options = options_of(&s);
    options.threads = 4;
    tic_loader *loader = must_open(&options);
    must_next(loader);
    nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL); /* the ring fills */
    struct rusage before, after;
    getrusage(RUSAGE_SELF, &before);
    nanosleep(&(struct timespec){.tv_nsec = 300000000}, NULL);
    getrusage(RUSAGE_SELF, &after);
    double used = (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec) +
                  (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec) * 1e-6;
    cr_expect(used < 0.03, "%g s", used);
    tic_loader_free(loader);
    tear_down(&s);
}
