/* Layernorm: entry points and driver. Rows run in parallel; backward sums dgamma and dbeta over
 * chunks of rows whose size follows from the shape alone, and adds the chunks in their order. */
#include "kernels/ops.h"

#include <stdio.h>

enum { CHUNK_ROWS = 64, MAX_CHUNKS = 256, COLUMNS = 64 };

static int64_t chunk_rows(int64_t rows) {
    int64_t least = (rows + MAX_CHUNKS - 1) / MAX_CHUNKS;
    return least > CHUNK_ROWS ? least : CHUNK_ROWS;
}

static int64_t chunk_count(int64_t rows) {
    return (rows + chunk_rows(rows) - 1) / chunk_rows(rows);
}

size_t tic_layernorm_scratch(const tic_ctx *ctx, int64_t rows, int64_t d) {
    (void)ctx;
    return tic_align_up((size_t)(chunk_count(rows) * 2 * d) * sizeof(float));
}

TIC_RUN(tic_layernorm_drive) {
    const tic_layernorm_args *a = args;
    const tic_layernorm_micro *micro = variant->micro;
    (void)knobs, (void)err;
    enum { ROWS = 16 };
#pragma omp parallel for num_threads(ctx->threads) schedule(static) if (a->rows > ROWS)
    for (int64_t i = 0; i < a->rows; i += ROWS)
        micro->forward(a, i, i + ROWS < a->rows ? i + ROWS : a->rows);
    return TIC_OK;
}

/* sum[0..n) += the n columns of each of `chunks` rows of partial, in order. Most rows are in
 * another core's cache: they are asked for ahead. */
static void add_chunks(int64_t chunks, int64_t n, const float *partial, int64_t ld, float *sum) {
    enum { AHEAD = 8 /* rows */, LINE = 16 /* floats of a cache line */ };
    double total[COLUMNS];
    for (int64_t c = 0; c < chunks && c < AHEAD; c++)
        for (int64_t j = 0; j < n; j += LINE)
            __builtin_prefetch(partial + c * ld + j);
    for (int64_t j = 0; j < n; j++)
        total[j] = sum[j];
    for (int64_t c = 0; c < chunks; c++) {
        for (int64_t j = 0; j < n && c + AHEAD < chunks; j += LINE)
            __builtin_prefetch(partial + (c + AHEAD) * ld + j);
        for (int64_t j = 0; j < n; j++)
            total[j] += partial[c * ld + j];
    }
    for (int64_t j = 0; j < n; j++)
        sum[j] = (float)total[j];
}

TIC_RUN(tic_layernorm_backward_drive) {
    const tic_layernorm_args *a = args;
    const tic_layernorm_micro *micro = variant->micro;
    const int64_t d = a->d, rows = chunk_rows(a->rows), chunks = chunk_count(a->rows);
    (void)knobs;
    const size_t bytes = tic_layernorm_scratch(ctx, a->rows, d);
    TIC_TRY(tic_ctx_scratch(ctx, bytes, err));
    const size_t mark = tic_arena_mark(&ctx->scratch);
    float *partial = tic_arena_take(&ctx->scratch, bytes); /* [chunks][dgamma, dbeta][d] */
#pragma omp parallel num_threads(ctx->threads)
    {
#pragma omp for schedule(static)
        for (int64_t c = 0; c < chunks; c++) {
            const int64_t last = (c + 1) * rows < a->rows ? (c + 1) * rows : a->rows;
            float *sums = partial + c * 2 * d;
            micro->backward(a, c * rows, last, sums, sums + d);
        }
#pragma omp for schedule(static)
        for (int64_t j = 0; j < d; j += COLUMNS) {
            const int64_t n = d - j < COLUMNS ? d - j : COLUMNS;
            add_chunks(chunks, n, partial + j, 2 * d, a->dgamma + j);
            add_chunks(chunks, n, partial + d + j, 2 * d, a->dbeta + j);
        }
    }
    tic_arena_release(&ctx->scratch, mark);
    return TIC_OK;
}

/* ---- entry points --------------------------------------------------------------------------- */

static tic_status enter(tic_ctx *ctx, tic_op op, const tic_layernorm_args *a, tic_dtype type,
                        bool complete, tic_error *err) {
    if (a->rows < 0 || a->d < 1 || !complete || a->ld_x < a->d)
        return tic_fail(err, TIC_EUSAGE, "%s: %lld x %lld: an operand is missing or too narrow",
                        tic_op_name(op), (long long)a->rows, (long long)a->d);
    if (a->rows == 0)
        return TIC_OK;
    char shape[64];
    snprintf(shape, sizeof shape, "m%lld,d%lld", (long long)a->rows, (long long)a->d);
    return tic_dispatch(ctx, op, type, shape, a, err);
}

tic_status tic_layernorm(tic_ctx *ctx, const tic_layernorm_args *a, tic_error *err) {
    return enter(ctx, TIC_OP_LAYERNORM, a, a->y.type,
                 a->x && a->gamma && a->beta && a->y.data && a->y.ld >= a->d, err);
}

tic_status tic_layernorm_backward(tic_ctx *ctx, const tic_layernorm_args *a, tic_error *err) {
    return enter(ctx, TIC_OP_LAYERNORM_BACKWARD, a, a->dy.type,
                 a->x && a->gamma && a->mean && a->rstd && a->dy.data && a->dy.ld >= a->d &&
                     a->dx && a->ld_dx >= a->d && a->dgamma && a->dbeta,
                 err);
}
