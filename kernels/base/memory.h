/* Memory: checked allocation and a bump arena. Nothing else in ticlip calls malloc. */
#ifndef TIC_BASE_MEMORY_H
#define TIC_BASE_MEMORY_H

#include "status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Cache-line alignment of every tensor. BLIS's skx micro-kernel wants 64 bytes. */
enum { TIC_ALIGN = 64 };

/* count * size bytes, zeroed, aligned to TIC_ALIGN. On success *out is owned by the caller and is
 * given back with tic_free. Overflow and lack of memory are TIC_ERESOURCE and leave *out NULL.
 * count 0 yields a valid pointer to nothing. */
tic_status tic_alloc(void *out, size_t count, size_t size, tic_error *err);
/* Grows *ptr (from tic_alloc, or NULL) to new_count elements, keeping old_count of them and zeroing
 * the rest. On failure *ptr is unchanged and still owned by the caller. */
tic_status tic_grow(void *ptr, size_t old_count, size_t new_count, size_t size, tic_error *err);
/* Doubling growth for an append: makes room for one more than `count`, updating *capacity. */
tic_status tic_reserve_one(void *ptr, size_t count, size_t *capacity, size_t size, tic_error *err);
void tic_free(void *ptr); /* NULL is allowed */
tic_status tic_strdup(char **out, const char *text, tic_error *err);

/* An arena: one block booked up front, handed out by bumping an offset, released as a whole or
 * back to a mark. tic_arena_take returns NULL when the block is exhausted. */
typedef struct tic_arena {
    unsigned char *base;
    size_t size, used, peak;
} tic_arena;

tic_status tic_arena_new(tic_arena *arena, size_t bytes, tic_error *err);
void tic_arena_free(tic_arena *arena);
void *tic_arena_take(tic_arena *arena, size_t bytes); /* aligned to TIC_ALIGN, not zeroed */
static inline size_t tic_arena_mark(const tic_arena *arena) {
    return arena->used;
}
static inline void tic_arena_release(tic_arena *arena, size_t mark) {
    arena->used = mark;
}
/* Bytes that tic_arena_take really uses for a request. */
static inline size_t tic_align_up(size_t bytes) {
    return (bytes + TIC_ALIGN - 1) & ~(size_t)(TIC_ALIGN - 1);
}

#endif
