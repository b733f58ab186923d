/* The batch loader: worker threads read, decode, crop and tokenize pairs ahead of the training that
 * takes them, into a ring of batches.
 *
 * What a batch holds is a function of the seed and the position in the stream alone; which thread
 * makes which pair is not fixed and does not matter. */
#include "data/room.h"
#include <pthread.h>
#include <string.h>

enum { DEFAULT_AHEAD = 4 };

typedef struct slot {   /* a batch in the making, then ready, then borrowed */
    tic_batch batch;    /* ids and offsets are packed when it is handed out */
    int64_t left;       /* pairs that are not made yet; under the lock, as all below */
    int32_t *ids;       /* [batch, context] */
    int *counts;        /* [batch] ids of each */
    uint64_t failed_at; /* position of the first failure, UINT64_MAX: none */
    tic_error error;
} slot;

typedef struct scratch { /* a worker's own */
    tic_buffer image, text;
} scratch;

struct tic_loader {
    tic_loader_options o;
    uint64_t end; /* of the stream; UINT64_MAX in training */
    int slots, threads;
    slot *ring;
    scratch *scratch; /* [threads] */
    pthread_t *workers;
    tic_cache *cache; /* NULL: none */
    tic_batch last;   /* the empty batch after the end */
    double waited;

    pthread_mutex_t lock;
    pthread_cond_t work, ready; /* workers wait for room, next waits for a batch */
    uint64_t claimed;           /* next position that a worker takes */
    uint64_t taken;             /* batches handed out; the last of them is borrowed */
    bool quit;
};

/* ---- the stream ------------------------------------------------------------------------------ */

/* Where in the pool position p of the training stream is. */
static size_t stream_place(size_t pool_size, uint64_t seed, uint64_t position) {
    tic_random key = {.seed = seed, .purpose = TIC_RNG_ORDER};
    return tic_permute(key, position / pool_size, pool_size, position % pool_size);
}

uint32_t tic_stream_pair(const uint32_t *pool, size_t pool_size, uint64_t seed, uint64_t position) {
    return pool[stream_place(pool_size, seed, position)];
}

static size_t place_of(const tic_loader *l, uint64_t position) {
    return l->o.train ? stream_place(l->o.pool_size, l->o.seed, position) : (size_t)position;
}

static uint64_t batch_of(const tic_loader *l, uint64_t position) {
    return (position - l->o.first) / (uint64_t)l->o.batch;
}

/* Pairs of batch b: all of them but in the last of an evaluation. */
static int64_t pairs_of(const tic_loader *l, uint64_t b) {
    uint64_t begin = l->o.first + b * (uint64_t)l->o.batch;
    uint64_t left = begin < l->end ? l->end - begin : 0;
    return left < (uint64_t)l->o.batch ? (int64_t)left : l->o.batch;
}

static slot *slot_of(const tic_loader *l, uint64_t b) {
    return &l->ring[b % (uint64_t)l->slots];
}

/* ---- making one pair ------------------------------------------------------------------------- */

static tic_status crop(const tic_loader *l, const tic_image *image, uint64_t position, uint8_t *out,
                       tic_error *err) {
    tic_random key = {.seed = l->o.seed, .purpose = TIC_RNG_CROP};
    return l->o.train ? tic_preprocess_train(image, l->o.image_size, key, position, out, err)
                      : tic_preprocess_eval(image, l->o.image_size, out, err);
}

static tic_status decode(const tic_loader *l, uint32_t pair, const tic_buffer *bytes,
                         tic_image *image, tic_error *err) {
    const tic_pair *p = &l->o.index->pairs[pair];
    tic_reject reason;
    tic_status status =
        tic_jpeg_decode(image, bytes->bytes, p->image_size, l->o.image_size, &reason, err);
    if (status == TIC_EINPUT)
        return tic_fail_in(err, "%s@%llu: the picture has changed since it was indexed",
                           l->o.index->shards[p->shard].path, (unsigned long long)p->image_at);
    return status;
}

/* A pair that the cache does not hold: read, decoded, tokenized, offered to the cache, cropped. */
static tic_status make_anew(tic_loader *l, scratch *own, size_t place, uint64_t position,
                            uint8_t *pixels, int32_t *ids, int *count, tic_error *err) {
    uint32_t pair = l->o.pool[place];
    const char *caption;
    tic_image image;
    TIC_TRY(tic_index_read(l->o.index, pair, &own->image, &own->text, &caption, err));
    TIC_TRY(tic_tokenize_caption(l->o.vocab, caption, l->o.context, ids, count, err));
    TIC_TRY(decode(l, pair, &own->image, &image, err));
    if (l->cache)
        tic_cache_put(l->cache, place, &image, ids, *count);
    tic_status status = crop(l, &image, position, pixels, err);
    tic_free(image.pixels);
    return status;
}

static tic_status make_pair(tic_loader *l, scratch *own, uint64_t position, slot *s,
                            tic_error *err) {
    size_t i = (size_t)((position - l->o.first) % (uint64_t)l->o.batch);
    size_t place = place_of(l, position), side = (size_t)l->o.image_size;
    uint8_t *pixels = s->batch.pixels + i * side * side * 3;
    int32_t *ids = s->ids + i * (size_t)l->o.context;
    s->batch.pairs[i] = l->o.pool[place];
    const tic_cached *cached = l->cache ? tic_cache_get(l->cache, place) : NULL;
    if (!cached)
        return make_anew(l, own, place, position, pixels, ids, &s->counts[i], err);
    s->counts[i] = cached->count;
    memcpy(ids, cached->ids, (size_t)cached->count * sizeof *ids);
    return crop(l, &cached->image, position, pixels, err);
}

/* ---- workers
 * -------------------------------------------------------------------------------------- */

/* Whether a position can be taken now: its batch's slot must have been given back. */
static bool has_room(const tic_loader *l) {
    uint64_t borrowed = l->taken > 0 ? l->taken - 1 : 0; /* the first batch still in the ring */
    return l->claimed < l->end && batch_of(l, l->claimed) < borrowed + (uint64_t)l->slots;
}

/* Takes the next position, sleeping until there is one. False when it is time to go. */
static bool claim(tic_loader *l, uint64_t *position) {
    pthread_mutex_lock(&l->lock);
    while (!l->quit && !has_room(l))
        pthread_cond_wait(&l->work, &l->lock);
    bool go_on = !l->quit;
    if (go_on) {
        *position = l->claimed++;
        uint64_t b = batch_of(l, *position);
        slot *s = slot_of(l, b);
        if ((*position - l->o.first) % (uint64_t)l->o.batch == 0) {
            s->left = s->batch.n = pairs_of(l, b);
            s->failed_at = UINT64_MAX;
        }
    }
    pthread_mutex_unlock(&l->lock);
    return go_on;
}

static void finish(tic_loader *l, slot *s, uint64_t position, tic_status status,
                   const tic_error *error) {
    pthread_mutex_lock(&l->lock);
    if (status != TIC_OK && position < s->failed_at) {
        s->failed_at = position;
        s->error = *error;
    }
    if (--s->left == 0)
        pthread_cond_signal(&l->ready);
    pthread_mutex_unlock(&l->lock);
}

typedef struct worker_start {
    tic_loader *loader;
    scratch *own;
} worker_start;

static void *work(void *user) {
    worker_start start = *(worker_start *)user;
    tic_loader *l = start.loader;
    tic_free(user);
    for (uint64_t position; claim(l, &position);) {
        slot *s = slot_of(l, batch_of(l, position));
        tic_error error;
        tic_status status = make_pair(l, start.own, position, s, &error);
        finish(l, s, position, status, &error);
    }
    return NULL;
}

static tic_status start_worker(tic_loader *l, tic_error *err) {
    worker_start *start = NULL;
    TIC_TRY(tic_alloc(&start, 1, sizeof *start, err));
    *start = (worker_start){.loader = l, .own = &l->scratch[l->threads]};
    if (pthread_create(&l->workers[l->threads], NULL, work, start) != 0) {
        tic_free(start);
        return tic_fail(err, TIC_ERESOURCE, "no thread to decode pictures with");
    }
    l->threads++;
    return TIC_OK;
}

/* ---- the caller's side
 * ---------------------------------------------------------------------------- */

/* Ragged captions into one row. */
static void pack(const tic_loader *l, slot *s) {
    tic_batch *batch = &s->batch;
    batch->offsets[0] = 0;
    for (int64_t i = 0; i < batch->n; i++) {
        int32_t at = batch->offsets[i];
        memcpy(batch->ids + at, s->ids + i * l->o.context, (size_t)s->counts[i] * sizeof(int32_t));
        batch->offsets[i + 1] = at + s->counts[i];
    }
    batch->tokens = batch->offsets[batch->n];
}

static void wait_for(tic_loader *l, slot *s, uint64_t b) {
    double began = tic_now();
    /* `left` speaks of batch b only once b's first pair was taken. */
    while (l->claimed <= l->o.first + b * (uint64_t)l->o.batch || s->left > 0)
        pthread_cond_wait(&l->ready, &l->lock);
    l->waited += tic_now() - began;
}

tic_status tic_loader_next(tic_loader *l, const tic_batch **batch, tic_error *err) {
    uint64_t b = l->taken;
    if (pairs_of(l, b) == 0) {
        *batch = &l->last;
        return TIC_OK;
    }
    slot *s = slot_of(l, b);
    pthread_mutex_lock(&l->lock);
    l->taken++;
    pthread_cond_broadcast(&l->work); /* the batch before is free now */
    wait_for(l, s, b);
    bool failed = s->failed_at != UINT64_MAX;
    if (failed) {
        l->taken--; /* asked again, it fails again */
        if (err)
            *err = s->error;
    }
    pthread_mutex_unlock(&l->lock);
    if (failed)
        return s->error.status;
    pack(l, s);
    *batch = &s->batch;
    return TIC_OK;
}

double tic_loader_waited(const tic_loader *loader) {
    return loader->waited;
}

static tic_status book_slot(const tic_loader *l, slot *s, tic_error *err) {
    size_t n = (size_t)l->o.batch, side = (size_t)l->o.image_size, context = (size_t)l->o.context;
    TIC_TRY(tic_alloc(&s->batch.pixels, n * side * side, 3, err));
    TIC_TRY(tic_alloc(&s->batch.ids, n * context, sizeof(int32_t), err));
    TIC_TRY(tic_alloc(&s->batch.offsets, n + 1, sizeof(int32_t), err));
    TIC_TRY(tic_alloc(&s->batch.pairs, n, sizeof(uint32_t), err));
    TIC_TRY(tic_alloc(&s->ids, n * context, sizeof(int32_t), err));
    return tic_alloc(&s->counts, n, sizeof(int), err);
}

static void free_slot(slot *s) {
    tic_free(s->batch.pixels);
    tic_free(s->batch.ids);
    tic_free(s->batch.offsets);
    tic_free(s->batch.pairs);
    tic_free(s->ids);
    tic_free(s->counts);
}

static tic_status fill(tic_loader *l, int threads, tic_error *err) {
    TIC_TRY(tic_alloc(&l->ring, (size_t)l->slots, sizeof *l->ring, err));
    for (int i = 0; i < l->slots; i++)
        TIC_TRY(book_slot(l, &l->ring[i], err));
    if (l->o.train && l->o.cache_bytes > 0)
        TIC_TRY(tic_cache_new(&l->cache, l->o.pool_size, l->o.cache_bytes, err));
    TIC_TRY(tic_alloc(&l->scratch, (size_t)threads, sizeof *l->scratch, err));
    TIC_TRY(tic_alloc(&l->workers, (size_t)threads, sizeof *l->workers, err));
    while (l->threads < threads)
        TIC_TRY(start_worker(l, err));
    return TIC_OK;
}

static bool pool_fits(const tic_loader_options *o) {
    for (size_t i = 0; i < o->pool_size; i++)
        if (o->pool[i] >= o->index->size)
            return false;
    return o->pool_size > 0;
}

tic_status tic_loader_new(tic_loader **out, const tic_loader_options *options, tic_error *err) {
    tic_loader *l = NULL;
    *out = NULL;
    if (!pool_fits(options) || options->batch < 1 || options->image_size < 1 ||
        options->context < 2 || options->batch > INT32_MAX / options->context)
        return tic_fail(
            err, TIC_EUSAGE,
            "a loader of %zu pairs of the index in batches of %lld, %d pixels, %d tokens",
            options->pool_size, (long long)options->batch, options->image_size, options->context);
    TIC_TRY(tic_alloc(&l, 1, sizeof *l, err));
    l->o = *options;
    l->end = options->train ? UINT64_MAX : options->pool_size;
    l->slots = 1 + (options->ahead > 0 ? options->ahead : DEFAULT_AHEAD); /* one is borrowed */
    l->claimed = options->first;
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->work, NULL);
    pthread_cond_init(&l->ready, NULL);
    tic_status status = fill(l, tic_threads(options->threads), err);
    if (status != TIC_OK) {
        tic_loader_free(l);
        return status;
    }
    *out = l;
    return TIC_OK;
}

void tic_loader_free(tic_loader *l) {
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->quit = true;
    pthread_cond_broadcast(&l->work);
    pthread_mutex_unlock(&l->lock);
    for (int i = 0; i < l->threads; i++) {
        pthread_join(l->workers[i], NULL);
        tic_free(l->scratch[i].image.bytes);
        tic_free(l->scratch[i].text.bytes);
    }
    for (int i = 0; l->ring && i < l->slots; i++)
        free_slot(&l->ring[i]);
    pthread_cond_destroy(&l->work);
    pthread_cond_destroy(&l->ready);
    pthread_mutex_destroy(&l->lock);
    tic_cache_free(l->cache);
    tic_free(l->ring);
    tic_free(l->scratch);
    tic_free(l->workers);
    tic_free(l);
}
