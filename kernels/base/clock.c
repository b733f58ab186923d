/* The monotonic clock. */
#include "kernels/base/base.h"

#include <time.h>

double tic_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}
