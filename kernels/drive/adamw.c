/* AdamW and the sum of squares: entry points and drivers over fixed chunks of flat arrays. */
#include "kernels/ops.h"

#include <math.h>
#include <stdio.h>

enum { CHUNK = 1 << 14 }; /* floats: 64 KiB of each array */

static int64_t chunk_end(int64_t first, int64_t n) {
    return first + CHUNK < n ? first + CHUNK : n;
}

TIC_RUN(tic_adamw_drive) {
    const tic_adamw_args *a = args;
    const tic_adamw_micro *micro = variant->micro;
    (void)knobs, (void)err;
    const float rate = (float)(a->lr / (1 - pow(a->beta1, (double)a->step)));
    const float root = (float)(1 / sqrt(1 - pow(a->beta2, (double)a->step)));
#pragma omp parallel for num_threads(ctx->threads) schedule(static) if (a->n > CHUNK)
    for (int64_t i = 0; i < a->n; i += CHUNK)
        micro->step(a, i, chunk_end(i, a->n), rate, root);
    return TIC_OK;
}

tic_status tic_adamw(tic_ctx *ctx, const tic_adamw_args *a, tic_error *err) {
    if (a->n < 0 || a->step < 1 || (a->n > 0 && (!a->w || !a->g || !a->m || !a->v)))
        return tic_fail(err, TIC_EUSAGE, "adamw: %lld elements at step %lld", (long long)a->n,
                        (long long)a->step);
    if (!(a->beta1 >= 0 && a->beta1 < 1 && a->beta2 >= 0 && a->beta2 < 1))
        return tic_fail(err, TIC_EUSAGE, "adamw: betas %g and %g are not in [0, 1)", a->beta1,
                        a->beta2);
    if (a->n == 0)
        return TIC_OK;
    char shape[32];
    snprintf(shape, sizeof shape, "n%lld", (long long)a->n);
    return tic_dispatch(ctx, TIC_OP_ADAMW, TIC_F32, shape, a, err);
}

/* ---- sum of squares ------------------------------------------------------------------------- */

/* No operation with variants of its own: every tier gives the same bits. */
static const tic_adamw_micro *widest(const tic_ctx *ctx) {
    if (ctx->isa & TIC_ISA_AVX512)
        return &tic_adamw_micro_avx512;
    return ctx->isa & TIC_ISA_AVX2 ? &tic_adamw_micro_avx2 : &tic_adamw_micro_portable;
}

tic_status tic_square_sum(tic_ctx *ctx, const float *x, int64_t n, double *out, tic_error *err) {
    if (n < 0 || (n > 0 && !x))
        return tic_fail(err, TIC_EUSAGE, "square_sum: %lld elements", (long long)n);
    *out = 0;
    if (n == 0)
        return TIC_OK;
    const tic_adamw_micro *micro = widest(ctx);
    const int64_t chunks = (n + CHUNK - 1) / CHUNK;
    const size_t bytes = tic_align_up((size_t)chunks * sizeof(double));
    TIC_TRY(tic_ctx_scratch(ctx, bytes, err));
    const size_t mark = tic_arena_mark(&ctx->scratch);
    double *partial = tic_arena_take(&ctx->scratch, bytes), total = 0;
#pragma omp parallel for num_threads(ctx->threads) schedule(static) if (chunks > 1)
    for (int64_t c = 0; c < chunks; c++)
        partial[c] = micro->square_sum(x + c * CHUNK, chunk_end(c * CHUNK, n) - c * CHUNK);
    for (int64_t c = 0; c < chunks; c++)
        total += partial[c];
    tic_arena_release(&ctx->scratch, mark);
    *out = total;
    return TIC_OK;
}
