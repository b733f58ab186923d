/* Checked allocation and the bump arena. */
#include "kernels/base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Out parameters arrive as void * and point to a pointer of the caller's type: stored through
 * memcpy, so that no object is accessed as another type. */
static void put_pointer(void *out, void *value) {
    memcpy(out, &value, sizeof value);
}

static void *get_pointer(const void *in) {
    void *value;
    memcpy(&value, in, sizeof value);
    return value;
}

/* count * size rounded up to whole lines, at least one; false when no process can hold that. */
static bool byte_count(size_t count, size_t size, size_t *bytes) {
    const size_t address_space = (size_t)1 << 47; /* of a process on x86-64 */
    if (__builtin_mul_overflow(count, size, bytes) || *bytes >= address_space)
        return false;
    *bytes = *bytes == 0 ? TIC_ALIGN : tic_align_up(*bytes);
    return true;
}

/* Large blocks ask for huge pages wherever a whole one fits: gemm's operands spread over hundreds
 * of small pages, more than the first TLB holds. Where the kernel has none to give, nothing
 * changes. They are not aligned to one: that would book another huge page of address space a block.
 */
static void *allocate(size_t bytes) {
    const uintptr_t huge = (uintptr_t)2 << 20;
    void *block = aligned_alloc(TIC_ALIGN, bytes);
    if (block == NULL)
        return NULL;
    const uintptr_t first = ((uintptr_t)block + huge - 1) / huge * huge;
    const uintptr_t last = ((uintptr_t)block + bytes) / huge * huge;
    if (first < last)
        madvise((void *)first, last - first, MADV_HUGEPAGE);
    return block;
}

tic_status tic_alloc(void *out, size_t count, size_t size, tic_error *err) {
    size_t bytes;
    put_pointer(out, NULL);
    if (!byte_count(count, size, &bytes))
        return tic_fail(err, TIC_ERESOURCE, "out of memory: %zu x %zu bytes cannot be addressed",
                        count, size);
    void *block = allocate(bytes);
    if (block == NULL)
        return tic_fail(err, TIC_ERESOURCE, "out of memory: %zu bytes were refused", bytes);
    memset(block, 0, bytes);
    put_pointer(out, block);
    return TIC_OK;
}

tic_status tic_grow(void *ptr, size_t old_count, size_t new_count, size_t size, tic_error *err) {
    void *old = get_pointer(ptr), *wider;
    TIC_TRY(tic_alloc(&wider, new_count, size, err));
    size_t kept = old_count < new_count ? old_count : new_count;
    if (old != NULL && kept * size > 0)
        memcpy(wider, old, kept * size);
    tic_free(old);
    put_pointer(ptr, wider);
    return TIC_OK;
}

tic_status tic_reserve_one(void *ptr, size_t count, size_t *capacity, size_t size, tic_error *err) {
    if (count < *capacity)
        return TIC_OK;
    size_t wider;
    if (__builtin_mul_overflow(*capacity, (size_t)2, &wider))
        return tic_fail(err, TIC_ERESOURCE, "out of memory: an array of %zu elements cannot grow",
                        *capacity);
    if (wider < 8)
        wider = 8;
    TIC_TRY(tic_grow(ptr, count, wider, size, err));
    *capacity = wider;
    return TIC_OK;
}

void tic_free(void *ptr) {
    free(ptr);
}

tic_status tic_strdup(char **out, const char *text, tic_error *err) {
    size_t size = strlen(text) + 1;
    TIC_TRY(tic_alloc(out, size, 1, err));
    memcpy(*out, text, size);
    return TIC_OK;
}

tic_status tic_arena_new(tic_arena *arena, size_t bytes, tic_error *err) {
    *arena = (tic_arena){0};
    TIC_TRY(tic_alloc(&arena->base, bytes, 1, err));
    arena->size = bytes;
    return TIC_OK;
}

void tic_arena_free(tic_arena *arena) {
    tic_free(arena->base);
    *arena = (tic_arena){0};
}

void *tic_arena_take(tic_arena *arena, size_t bytes) {
    if (bytes > SIZE_MAX - TIC_ALIGN || tic_align_up(bytes) > arena->size - arena->used)
        return NULL;
    void *taken = arena->base + arena->used;
    arena->used += tic_align_up(bytes);
    if (arena->used > arena->peak)
        arena->peak = arena->used;
    return taken;
}
