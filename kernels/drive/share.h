/* Work shared out to the threads of a parallel region.
 *
 * Each thread has a share of consecutive items, the same in every call with as many threads, so
 * that the rows which it wrote are in its own core's L2 when the next operation reads them: a line
 * that another core wrote costs more than one of L3. A thread whose share is done takes from the
 * end of another's, so that a core that is slow for a while delays nobody by more than an item. */
#pragma once
#include "kernels/room.h"

#include <omp.h>
#include <stdatomic.h>

struct tic_share {
    _Atomic uint64_t left;                    /* first item, and behind the last one << 32 */
    char line[64 - sizeof(_Atomic uint64_t)]; /* of its own */
};

/* First item of a thread's share. */
static inline int64_t tic_share_first(int64_t items, int thread, int threads) {
    return items * thread / threads;
}

/* By every thread of the region, before it takes; items < 2^31. Between the last take and the next
 * begin there must be a barrier: one that is about to take from a share must not meet the next. */
static inline void tic_share_begin(tic_ctx *ctx, int64_t items) {
    const int thread = omp_get_thread_num(), threads = omp_get_num_threads();
    const uint64_t first = (uint64_t)tic_share_first(items, thread, threads);
    const uint64_t end = (uint64_t)tic_share_first(items, thread + 1, threads);
    atomic_store(&ctx->shares[thread].left, first | end << 32);
}

/* The next item of one share, from its front or its end; -1: there is none. */
static inline int64_t tic_share_from(struct tic_share *share, bool front) {
    uint64_t left = atomic_load(&share->left), first, end;
    do {
        first = left & UINT32_MAX;
        end = left >> 32;
        if (first >= end)
            return -1;
    } while (!atomic_compare_exchange_weak(&share->left, &left,
                                           front ? left + 1 : left - ((uint64_t)1 << 32)));
    return (int64_t)(front ? first : end - 1);
}

/* The thread's next item; -1: none is left. */
static inline int64_t tic_share_take(tic_ctx *ctx) {
    const int thread = omp_get_thread_num(), threads = omp_get_num_threads();
    int64_t item = tic_share_from(&ctx->shares[thread], true);
    for (int i = 1; item < 0 && i < threads; i++)
        item = tic_share_from(&ctx->shares[(thread + i) % threads], false);
    return item;
}
