/* Small arithmetic on sizes. */
#ifndef TIC_BASE_INTEGERS_H
#define TIC_BASE_INTEGERS_H

#include <stdint.h>

static inline int64_t tic_least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static inline int64_t tic_most(int64_t a, int64_t b) {
    return a > b ? a : b;
}

/* n >= 0 over unit > 0, rounded up. */
static inline int64_t tic_ceil_div(int64_t n, int64_t unit) {
    return (n + unit - 1) / unit;
}

/* The first multiple of unit > 0 from n >= 0 on. */
static inline int64_t tic_round_up(int64_t n, int64_t unit) {
    return tic_ceil_div(n, unit) * unit;
}

#endif
