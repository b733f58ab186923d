/* Work shared out to the threads of a parallel region.
 *
 * Each thread has a share of consecutive items, the same in every call with as many threads, so
 * that the rows which it wrote are in its own core's L2 when the next operation reads them: a line
 * that another core wrote costs more than one of L3. A thread whose share is done takes from the
 * end of another's, so that a core that is slow for a while delays nobody by more than an item. */
#pragma once
#include "kernels/room.h"

#include <omp.h>
#include <sched.h>
#include <stdatomic.h>

struct tic_share {
    _Atomic uint64_t left;                    /* first item, and behind the last one << 32 */
    char line[64 - sizeof(_Atomic uint64_t)]; /* of its own */
};

enum { TIC_SHARE_FIRST = 1 }; /* number of the first item: 0 is before it */

/* First item of a thread's share. */
static inline int64_t tic_share_first(int64_t items, int thread, int threads) {
    return items * thread / threads;
}

/* By one thread, before the region: no thread has begun. */
static inline void tic_share_reset(tic_ctx *ctx) {
    for (int i = 0; i < ctx->threads; i++)
        atomic_store(&ctx->shares[i].left, 0);
}

/* By every thread of the region, before it takes: items are numbered from `base` on, and all
 * numbers of a region are < 2^31. One that is about to take from a share must not meet the same
 * numbers in the next: they must be greater, or between the last take and the next begin there must
 * be a barrier.
 */
static inline void tic_share_begin(tic_ctx *ctx, int64_t base, int64_t items) {
    const int thread = omp_get_thread_num(), threads = omp_get_num_threads();
    const uint64_t first = (uint64_t)(base + tic_share_first(items, thread, threads));
    const uint64_t end = (uint64_t)(base + tic_share_first(items, thread + 1, threads));
    atomic_store(&ctx->shares[thread].left, first | end << 32);
}

/* The next item of one share, from its front or its end; -1: there is none. *first is then where it
 * ended. */
static inline int64_t tic_share_from(struct tic_share *share, bool front, int64_t *first) {
    uint64_t left = atomic_load(&share->left), end;
    do {
        *first = left & UINT32_MAX;
        end = left >> 32;
        if ((uint64_t)*first >= end)
            return -1;
    } while (!atomic_compare_exchange_weak(&share->left, &left,
                                           front ? left + 1 : left - ((uint64_t)1 << 32)));
    return front ? *first : (int64_t)end - 1;
}

/* The thread's own next item; -1: none is left of this begin. */
static inline int64_t tic_share_own(tic_ctx *ctx) {
    int64_t first;
    return tic_share_from(&ctx->shares[omp_get_thread_num()], true, &first);
}

/* Between two looks at what another thread writes: gives way when that takes long. */
static inline void tic_share_wait(int *spins) {
    enum { SPINS = 1024 };
    if (*spins == SPINS) {
        sched_yield();
    } else {
        ++*spins;
        __builtin_ia32_pause();
    }
}

/* Another thread's last item. -1: all others have begun the items from `base` on, and none is left
 * to be taken; until then it waits. (Of fewer items than threads it may be told so early.) Some may
 * still be at work: a barrier is the caller's. After a reset numbers begin with TIC_SHARE_FIRST. */
static inline int64_t tic_share_steal(tic_ctx *ctx, int64_t base, int64_t items) {
    const int thread = omp_get_thread_num(), threads = omp_get_num_threads();
    for (int spins = 0;; tic_share_wait(&spins)) {
        bool over = true;
        for (int i = 1; i < threads; i++) {
            const int other = (thread + i) % threads;
            int64_t first, item = tic_share_from(&ctx->shares[other], false, &first);
            if (item >= 0)
                return item;
            over &= first >= base + tic_share_first(items, other, threads);
        }
        if (over)
            return -1;
    }
}

/* The thread's next item, then others'; -1: none is left. */
static inline int64_t tic_share_take(tic_ctx *ctx) {
    const int thread = omp_get_thread_num(), threads = omp_get_num_threads();
    int64_t first, item = tic_share_own(ctx);
    for (int i = 1; item < 0 && i < threads; i++)
        item = tic_share_from(&ctx->shares[(thread + i) % threads], false, &first);
    return item;
}
