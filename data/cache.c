/* Decoded pairs kept in memory, within a bound: a picture that training sees in every epoch is
 * decoded once. Readers take no lock: a place is filled once and never changes. */
#include "data/room.h"
#include <stdatomic.h>
#include <string.h>

struct tic_cache {
    _Atomic(tic_cached *) *places;
    size_t count;
    atomic_size_t left; /* bytes that may still be used */
};

tic_status tic_cache_new(tic_cache **out, size_t places, size_t bytes, tic_error *err) {
    tic_cache *cache = NULL;
    *out = NULL;
    TIC_TRY(tic_alloc(&cache, 1, sizeof *cache, err));
    tic_status status = tic_alloc(&cache->places, places, sizeof *cache->places, err);
    if (status != TIC_OK) {
        tic_free(cache);
        return status;
    }
    cache->count = places;
    atomic_init(&cache->left, bytes);
    *out = cache;
    return TIC_OK;
}

void tic_cache_free(tic_cache *cache) {
    if (!cache)
        return;
    for (size_t i = 0; i < cache->count; i++)
        tic_free(atomic_load(&cache->places[i]));
    tic_free(cache->places);
    tic_free(cache);
}

const tic_cached *tic_cache_get(const tic_cache *cache, size_t place) {
    return atomic_load_explicit(&cache->places[place], memory_order_acquire);
}

static bool book(tic_cache *cache, size_t bytes) {
    size_t left = atomic_load(&cache->left);
    while (left >= bytes)
        if (atomic_compare_exchange_weak(&cache->left, &left, left - bytes))
            return true;
    return false;
}

void tic_cache_put(tic_cache *cache, size_t place, const tic_image *image, const int32_t *ids,
                   int count) {
    size_t head = tic_align_up(sizeof(tic_cached)), id_bytes = (size_t)count * sizeof *ids;
    size_t pixel_bytes = (size_t)image->width * (size_t)image->height * 3;
    size_t bytes = head + id_bytes + pixel_bytes;
    char *block = NULL;
    if (!book(cache, bytes))
        return;
    /* Without memory the cache is only smaller: the pair will be decoded again. */
    if (tic_alloc(&block, bytes, 1, NULL) == TIC_OK) {
        tic_cached *cached = (tic_cached *)(void *)block;
        cached->ids = (int32_t *)(void *)(block + head);
        cached->count = count;
        cached->image = *image;
        cached->image.pixels = (uint8_t *)block + head + id_bytes;
        memcpy(cached->ids, ids, id_bytes);
        memcpy(cached->image.pixels, image->pixels, pixel_bytes);
        tic_cached *empty = NULL;
        if (atomic_compare_exchange_strong(&cache->places[place], &empty, cached))
            return;
        tic_free(block); /* another thread decoded the same pair meanwhile */
    }
    atomic_fetch_add(&cache->left, bytes);
}
