/* Embedding of tokens and patches: entry points and driver. Forward runs sequences in parallel;
 * backward runs slices of columns in parallel, each adding its rows in order, so that every sum
 * has one order. */
#include "kernels/ops.h"
#include "kernels/vec/vec.h"

#include <stdio.h>

enum { COLUMNS = 64 }; /* of a slice: whole cache lines, no two slices write the same one */

/* The row of patches behind row r >= 1 of vision sequence s, which has `length` rows. */
static int64_t patch_row(int64_t s, int64_t r, int64_t length) {
    return s * (length - 1) + r - 1;
}

TIC_RUN(tic_embedding_drive) {
    const tic_embedding_args *a = args;
    const int64_t d = a->d;
    (void)variant, (void)knobs, (void)err;
#pragma omp parallel for num_threads(ctx->threads) schedule(static)
    for (int64_t s = 0; s < a->sequences; s++) {
        const int64_t first = a->offsets[s], length = a->offsets[s + 1] - first;
        for (int64_t r = 0; r < length; r++) {
            const float *from = a->table, *position = a->position + r * d;
            float *x = a->x + (first + r) * d;
            if (a->ids)
                from += a->ids[first + r] * d;
            else if (r > 0)
                from = a->patches + patch_row(s, r, length) * d;
            for (int64_t j = 0; j < d; j++)
                x[j] = from[j] + position[j];
        }
    }
    return TIC_OK;
}

static void add(float *sum, const float *x, int64_t n) {
    for (int64_t j = 0; j < n; j++)
        sum[j] += x[j];
}

static void put(tic_mat to, int64_t row, int64_t j, const float *x, int64_t n) {
    for (int64_t c = 0; c < n; c += VF_LANES) {
        const int64_t few = n - c < VF_LANES ? n - c : VF_LANES;
        vf_store_as(to.data, to.type, row * to.ld + j + c, vf_load_as(x, TIC_F32, c, few), few);
    }
}

/* Columns j .. j+n-1 of everything. Answers x = from + position. */
static void backward_slice(const tic_embedding_args *a, int64_t j, int64_t n) {
    const int64_t d = a->d;
    for (int64_t s = 0; s < a->sequences; s++) {
        const int64_t first = a->offsets[s], length = a->offsets[s + 1] - first;
        for (int64_t r = 0; r < length; r++) {
            const float *dx = a->dx + (first + r) * d + j;
            add(a->dposition + r * d + j, dx, n);
            if (a->ids || r == 0)
                add(a->dtable + (a->ids ? a->ids[first + r] : 0) * d + j, dx, n);
            else
                put(a->dpatches, patch_row(s, r, length), j, dx, n);
        }
    }
}

TIC_RUN(tic_embedding_backward_drive) {
    const tic_embedding_args *a = args;
    (void)variant, (void)knobs, (void)err;
#pragma omp parallel for num_threads(ctx->threads) schedule(static)
    for (int64_t j = 0; j < a->d; j += COLUMNS)
        backward_slice(a, j, a->d - j < COLUMNS ? a->d - j : COLUMNS);
    return TIC_OK;
}

/* ---- entry points --------------------------------------------------------------------------- */

static tic_status check(const tic_embedding_args *a, tic_op op, tic_error *err) {
    if (!a->offsets || a->offsets[0] != 0)
        return tic_fail(err, TIC_EUSAGE, "%s: offsets must be given and start at 0",
                        tic_op_name(op));
    const int64_t length = a->offsets[1];
    for (int64_t s = 0; s < a->sequences; s++) {
        const int64_t rows = (int64_t)a->offsets[s + 1] - a->offsets[s];
        if (rows < 1 || (!a->ids && rows != length))
            return tic_fail(err, TIC_EUSAGE, "%s: sequence %lld has %lld rows", tic_op_name(op),
                            (long long)s, (long long)rows);
    }
    for (int64_t i = 0; a->ids && i < a->offsets[a->sequences]; i++)
        if (a->ids[i] < 0 || a->ids[i] >= a->vocab)
            return tic_fail(err, TIC_EUSAGE, "%s: row %lld has id %d of a vocabulary of %lld",
                            tic_op_name(op), (long long)i, a->ids[i], (long long)a->vocab);
    return TIC_OK;
}

static tic_status enter(tic_ctx *ctx, tic_op op, const tic_embedding_args *a, tic_dtype type,
                        bool complete, tic_error *err) {
    if (a->sequences < 0 || a->d < 1)
        return tic_fail(err, TIC_EUSAGE, "%s: %lld sequences of width %lld", tic_op_name(op),
                        (long long)a->sequences, (long long)a->d);
    if (a->sequences == 0)
        return TIC_OK;
    TIC_TRY(check(a, op, err));
    if (!complete)
        return tic_fail(err, TIC_EUSAGE, "%s: an operand is missing or too narrow",
                        tic_op_name(op));
    char shape[64];
    snprintf(shape, sizeof shape, "%s,m%d,d%lld", a->ids ? "text" : "vision",
             a->offsets[a->sequences], (long long)a->d);
    return tic_dispatch(ctx, op, type, shape, a, err);
}

tic_status tic_embedding(tic_ctx *ctx, const tic_embedding_args *a, tic_error *err) {
    return enter(ctx, TIC_OP_EMBEDDING, a, TIC_F32,
                 a->table && a->position && a->x && (a->ids || a->patches), err);
}

tic_status tic_embedding_backward(tic_ctx *ctx, const tic_embedding_args *a, tic_error *err) {
    const bool patches = a->ids || (a->dpatches.data && a->dpatches.ld >= a->d);
    return enter(ctx, TIC_OP_EMBEDDING_BACKWARD, a, a->ids ? TIC_F32 : a->dpatches.type,
                 a->dx && a->dtable && a->dposition && patches, err);
}
