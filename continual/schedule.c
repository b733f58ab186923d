/* Learning rate schedules (reference/tic-clip.md, Schedules; reference/openclip.md, Training). */
#include "continual.h"
#include <math.h>

int64_t tic_branch_at(tic_schedule schedule, int64_t total) {
    return schedule == TIC_CONST_COSINE ? total - total / 5 : total;
}

static double cosine(double lr, int64_t from, int64_t total, int64_t s) {
    return lr * 0.5 * (1 + cos(M_PI * (double)(s - from) / (double)(total - from)));
}

double tic_lr_at(tic_schedule schedule, double lr, int64_t warmup, int64_t total, int64_t s) {
    if (s < warmup)
        return lr * (double)(s + 1) / (double)warmup;
    if (schedule == TIC_COSINE)
        return cosine(lr, warmup, total, s);
    int64_t branch = tic_branch_at(schedule, total);
    return s < branch ? lr : cosine(lr, branch > warmup ? branch : warmup, total, s);
}
