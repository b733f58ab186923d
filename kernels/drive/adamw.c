/* AdamW and the sum of squares: entry points and drivers over fixed chunks of flat arrays, or of
 * rows. */
#include "kernels/ops.h"

#include <math.h>
#include <stdio.h>

enum {
    CHUNK = 1 << 14,   /* floats: 64 KiB of each array */
    OF_ROWS = 1 << 11, /* the same of rows: they are few, and some have more to catch up with */
};

static int64_t chunk_end(int64_t first, int64_t n) {
    return first + CHUNK < n ? first + CHUNK : n;
}

static int64_t common_multiple(int64_t a, int64_t b) {
    int64_t x = a, y = b;
    while (y != 0) {
        const int64_t rest = x % y;
        x = y;
        y = rest;
    }
    return a / x * b;
}

typedef struct step {
    const tic_adamw_args *args;
    const tic_adamw_micro *micro;
    tic_adamw_step now;
    double *squares; /* a task; NULL: nobody asks */
} step;

static void update(const step *s, int64_t first, int64_t last, int64_t task) {
    s->micro->step(s->args, &s->now, first, last, s->squares != NULL ? s->squares + task : NULL);
}

/* The following are called by all threads of a region; tasks go to whoever is free. They are
 * numbered from `task`, and the number after the last is returned. */
static int64_t update_range(const step *s, int64_t first, int64_t last, int64_t task) {
#pragma omp for schedule(dynamic) nowait
    for (int64_t i = first; i < last; i += CHUNK)
        update(s, i, chunk_end(i, last), task + (i - first) / CHUNK);
    return task + (last - first + CHUNK - 1) / CHUNK;
}

/* Rows that are updated and packed at a time: a multiple of what both packings take, so that no two
 * tasks write the same part of one. */
static int64_t rows_together(const tic_adamw_matrix *matrix) {
    int64_t unit = 1;
    for (int i = 0; i < 2; i++)
        if (matrix->packed[i] != NULL)
            unit = common_multiple(unit, matrix->packed[i]->rows_unit);
    const int64_t wanted = (CHUNK + matrix->cols - 1) / matrix->cols;
    return (wanted + unit - 1) / unit * unit;
}

static int64_t update_matrix(const step *s, const tic_adamw_matrix *matrix, int64_t task) {
    const int64_t together = rows_together(matrix);
    const tic_mat w = tic_f32(s->args->w + matrix->first, matrix->cols);
#pragma omp for schedule(dynamic) nowait
    for (int64_t i = 0; i < matrix->rows; i += together) {
        const int64_t rows = matrix->rows - i < together ? matrix->rows - i : together;
        update(s, matrix->first + i * matrix->cols, matrix->first + (i + rows) * matrix->cols,
               task + i / together);
        for (int p = 0; p < 2; p++)
            if (matrix->packed[p] != NULL)
                tic_gemm_pack_rows(matrix->packed[p], w, i, rows);
    }
    return task + (matrix->rows + together - 1) / together;
}

static int64_t matrix_end(const tic_adamw_matrix *matrix) {
    return matrix->first + matrix->rows * matrix->cols;
}

/* Rows of a task. */
static int64_t rows_at_a_time(const tic_adamw_rows *rows) {
    return rows->cols < OF_ROWS ? OF_ROWS / rows->cols : 1;
}

static int64_t update_rows(const step *s) {
    const tic_adamw_rows *rows = s->args->rows;
    const int64_t some = rows_at_a_time(rows);
#pragma omp for schedule(dynamic) nowait
    for (int64_t i = 0; i < rows->count; i += some)
        s->micro->rows(s->args, &s->now, i, i + some < rows->count ? i + some : rows->count,
                       s->squares != NULL ? s->squares + i / some : NULL);
    return (rows->count + some - 1) / some;
}

/* A task takes a whole chunk, but for the last of each matrix and of what stands before and after
 * it; of rows no more than OF_ROWS floats and no less than half of that. */
static int64_t most_tasks(int64_t n, int64_t matrix_count) {
    const int64_t of_range = n / CHUNK + 2 * matrix_count + 1, of_rows = 2 * n / OF_ROWS + 1;
    return of_range > of_rows ? of_range : of_rows;
}

size_t tic_adamw_scratch(const tic_ctx *ctx, int64_t n, int64_t matrix_count) {
    (void)ctx;
    return tic_align_up((size_t)most_tasks(n, matrix_count) * sizeof(double));
}

static int64_t update_all(const step *s) {
    const tic_adamw_args *a = s->args;
    int64_t next = 0, task = 0;
    for (int64_t i = 0; i < a->matrix_count; i++) {
        task = update_range(s, next, a->matrices[i].first, task);
        task = update_matrix(s, &a->matrices[i], task);
        next = matrix_end(&a->matrices[i]);
    }
    return update_range(s, next, a->n, task);
}

static void run(const step *s, int threads) {
    const tic_adamw_args *a = s->args;
    const bool together = a->rows != NULL ? a->rows->count > rows_at_a_time(a->rows) : a->n > CHUNK;
    int64_t tasks = 0;
#pragma omp parallel num_threads(threads) if (together)
    {
        const int64_t made = a->rows != NULL ? update_rows(s) : update_all(s);
#pragma omp master
        tasks = made;
    }
    if (s->squares == NULL)
        return;
    *a->squares = 0;
    for (int64_t i = 0; i < tasks; i++)
        *a->squares += s->squares[i];
}

tic_adamw_step tic_adamw_step_of(const tic_adamw_args *a) {
    return (tic_adamw_step){.rate = (float)(a->lr / (1 - pow(a->beta1, (double)a->step))),
                            .root = (float)(1 / sqrt(1 - pow(a->beta2, (double)a->step))),
                            .decay = (float)(1 - (double)a->lr * a->weight_decay),
                            .beta1 = a->beta1,
                            .rest1 = (float)(1 - (double)a->beta1),
                            .beta2 = a->beta2,
                            .rest2 = (float)(1 - (double)a->beta2),
                            .eps = a->eps,
                            .grad_scale = a->grad_scale};
}

TIC_RUN(tic_adamw_drive) {
    const tic_adamw_args *a = args;
    step s = {.args = a, .micro = variant->micro, .now = tic_adamw_step_of(a)};
    (void)knobs;
    const size_t bytes = a->squares ? tic_adamw_scratch(ctx, a->n, a->matrix_count) : 0;
    TIC_TRY(tic_ctx_scratch(ctx, bytes, err));
    const size_t mark = tic_arena_mark(&ctx->scratch);
    if (a->squares)
        s.squares = tic_arena_take(&ctx->scratch, bytes);
    run(&s, ctx->threads);
    tic_arena_release(&ctx->scratch, mark);
    return TIC_OK;
}

static tic_status check_matrices(const tic_adamw_args *a, tic_error *err) {
    int64_t next = 0;
    for (int64_t i = 0; i < a->matrix_count; i++) {
        const tic_adamw_matrix *m = &a->matrices[i];
        if (m->first < next || m->rows < 0 || m->cols < 1 || matrix_end(m) > a->n)
            return tic_fail(err, TIC_EUSAGE,
                            "adamw: matrix %lld, %lld x %lld at %lld, is misplaced", (long long)i,
                            (long long)m->rows, (long long)m->cols, (long long)m->first);
        for (int p = 0; p < 2; p++) {
            const tic_packed *packed = m->packed[p];
            const bool across = packed != NULL && packed->trans == TIC_NT;
            if (packed != NULL && (packed->format == NULL || packed->data == NULL ||
                                   (across ? packed->n : packed->k) != m->rows ||
                                   (across ? packed->k : packed->n) != m->cols))
                return tic_fail(err, TIC_EUSAGE,
                                "adamw: matrix %lld has a packing of another shape", (long long)i);
        }
        next = matrix_end(m);
    }
    return TIC_OK;
}

static tic_status check_rows(const tic_adamw_args *a, tic_error *err) {
    const tic_adamw_rows *rows = a->rows;
    const int64_t all = rows->cols > 0 ? a->n / rows->cols : 0;
    if (rows->cols < 1 || all * rows->cols != a->n || rows->count < 0 || rows->count > all ||
        rows->steps < 0 || !rows->made || !rows->history || a->matrix_count > 0)
        return tic_fail(err, TIC_EUSAGE,
                        "adamw: %lld rows of a table of %lld elements in columns of %lld",
                        (long long)rows->count, (long long)a->n, (long long)rows->cols);
    for (int64_t i = 0; i < rows->count; i++) {
        const int64_t row = rows->list != NULL ? rows->list[i] : i;
        if (row < 0 || row >= all)
            return tic_fail(err, TIC_EUSAGE, "adamw: row %lld of %lld", (long long)row,
                            (long long)all);
        if (rows->made[row] > rows->steps || rows->steps - rows->made[row] > TIC_ADAMW_KEPT)
            return tic_fail(err, TIC_EUSAGE, "adamw: row %lld has made %lld steps of %lld",
                            (long long)row, (long long)rows->made[row], (long long)rows->steps);
    }
    return TIC_OK;
}

tic_status tic_adamw(tic_ctx *ctx, const tic_adamw_args *a, tic_error *err) {
    const bool only_late = a->rows != NULL && a->g == NULL; /* no step of its own */
    if (a->n < 0 || (a->n > 0 && (!a->w || !a->m || !a->v)) ||
        (!only_late && (a->step < 1 || (a->n > 0 && !a->g))))
        return tic_fail(err, TIC_EUSAGE, "adamw: %lld elements at step %lld", (long long)a->n,
                        (long long)a->step);
    if (!(a->beta1 >= 0 && a->beta1 < 1 && a->beta2 >= 0 && a->beta2 < 1))
        return tic_fail(err, TIC_EUSAGE, "adamw: betas %g and %g are not in [0, 1)", a->beta1,
                        a->beta2);
    TIC_TRY(a->rows != NULL ? check_rows(a, err) : check_matrices(a, err));
    if (a->squares)
        *a->squares = 0;
    if (a->n == 0 || (a->rows != NULL && a->rows->count == 0))
        return TIC_OK;
    char shape[64];
    if (a->rows != NULL)
        snprintf(shape, sizeof shape, "rows,d%lld", (long long)a->rows->cols);
    else
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
