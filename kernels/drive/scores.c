/* Strips of a score matrix: see scores.h. */
#include "kernels/drive/scores.h"

#include <math.h>

enum {
    ONE_STRIP = 512,  /* largest b whose scores are kept whole: 1 MiB */
    STRIP_ROWS = 256, /* k of the product that d_text is: one block of GEMM's k */
};

int64_t tic_strip_rows(int64_t b) {
    return b <= ONE_STRIP ? b : STRIP_ROWS;
}

int64_t tic_strip_count(int64_t b) {
    return (b + tic_strip_rows(b) - 1) / tic_strip_rows(b);
}

/* Whole cache lines, and no multiple of 4 KiB, which would map a column to a few cache sets. */
static int64_t strip_ld(int64_t b) {
    int64_t ld = (b + 15) / 16 * 16;
    return ld % 1024 == 0 ? ld + 16 : ld;
}

/* ---- products ------------------------------------------------------------------------------- */

static tic_gemm_args score_product(const tic_scores *s, int64_t first, int64_t rows) {
    return (tic_gemm_args){.trans = TIC_NT,
                           .precision = s->precision,
                           .m = rows,
                           .n = s->b,
                           .k = s->d,
                           .a = tic_f32(s->image + first * s->d, s->d),
                           .b = tic_f32(s->text, s->d),
                           .c = tic_f32(s->strip, s->ld)};
}

/* d_image[rows, d] = G text */
static tic_gemm_args image_product(const tic_scores *s, int64_t rows, float *d_image) {
    return (tic_gemm_args){.trans = TIC_NN,
                           .precision = s->precision,
                           .m = rows,
                           .n = s->d,
                           .k = s->b,
                           .a = tic_f32(s->strip, s->ld),
                           .b = tic_f32(s->text, s->d),
                           .c = tic_f32(d_image, s->d)};
}

/* d_text[b, d] += Gᵀ image, of the strip's rows */
static tic_gemm_args text_product(const tic_scores *s, int64_t first, int64_t rows, float *d_text) {
    return (tic_gemm_args){.trans = TIC_TN,
                           .precision = s->precision,
                           .m = s->b,
                           .n = s->d,
                           .k = rows,
                           .a = tic_f32(s->strip, s->ld),
                           .b = tic_f32(s->image + first * s->d, s->d),
                           .c = tic_f32(d_text, s->d),
                           .accumulate = first > 0};
}

/* ---- scratch -------------------------------------------------------------------------------- */

size_t tic_scores_bytes(int64_t b) {
    const size_t n = (size_t)b;
    return 4 * tic_align_up(n * sizeof(float)) + tic_align_up(n * sizeof(double)) +
           tic_align_up((size_t)(tic_strip_rows(b) * strip_ld(b)) * sizeof(float));
}

static void raise_to(size_t *most, size_t bytes) {
    *most = bytes > *most ? bytes : *most;
}

size_t tic_scores_gemm_bytes(const tic_ctx *ctx, int64_t b, int64_t d) {
    static const float origin[1]; /* GEMM's scratch depends on shapes only */
    const int64_t rows = tic_strip_rows(b);
    const int64_t heights[2] = {rows, b - (tic_strip_count(b) - 1) * rows};
    size_t most = 0;
    for (int precision = TIC_F32; precision <= TIC_BF16; precision++)
        for (int i = 0; i < 2; i++) {
            tic_scores s = {.precision = (tic_dtype)precision, .b = b, .d = d, .ld = strip_ld(b)};
            s.image = s.text = origin;
            tic_gemm_args scores = score_product(&s, 0, heights[i]);
            tic_gemm_args image = image_product(&s, heights[i], NULL);
            tic_gemm_args text = text_product(&s, 0, heights[i], NULL);
            raise_to(&most, tic_gemm_scratch(ctx, &scores));
            raise_to(&most, tic_gemm_scratch(ctx, &image));
            raise_to(&most, tic_gemm_scratch(ctx, &text));
            text.accumulate = true;
            raise_to(&most, tic_gemm_scratch(ctx, &text));
        }
    return most;
}

void tic_scores_take(tic_ctx *ctx, tic_scores *s) {
    const size_t n = (size_t)s->b;
    tic_arena *arena = &ctx->scratch;
    s->ld = strip_ld(s->b);
    s->diagonal = tic_arena_take(arena, n * sizeof(float));
    s->row = tic_arena_take(arena, n * sizeof(float));
    s->column = tic_arena_take(arena, n * sizeof(float));
    s->column_max = tic_arena_take(arena, n * sizeof(float));
    s->column_sum = tic_arena_take(arena, n * sizeof(double));
    s->strip = tic_arena_take(arena, (size_t)(tic_strip_rows(s->b) * s->ld) * sizeof(float));
}

/* ---- passes --------------------------------------------------------------------------------- */

/* The score of pair i over scale. In double, because it is what the loss subtracts. */
static float pair_score(const tic_scores *s, int64_t i) {
    const float *image = s->image + i * s->d, *text = s->text + i * s->d;
    double sum = 0;
    for (int64_t c = 0; c < s->d; c++)
        sum += (double)image[c] * text[c];
    return (float)sum;
}

tic_status tic_scores_strip(tic_ctx *ctx, const tic_scores *s, int64_t first, int64_t rows,
                            tic_error *err) {
    tic_gemm_args args = score_product(s, first, rows);
    TIC_TRY(tic_gemm_for(ctx, s->op, &args, err));
    for (int64_t i = 0; s->exact_diagonal && i < rows; i++) {
        float score = pair_score(s, first + i);
        s->strip[i * s->ld + first + i] = score;
        s->diagonal[first + i] = score * s->scale;
    }
    return TIC_OK;
}

static void gather_strip(tic_ctx *ctx, const tic_scores_micro *micro, const tic_scores *s,
                         int64_t first, int64_t rows) {
#pragma omp parallel num_threads(ctx->threads)
    {
#pragma omp for schedule(static) nowait
        for (int64_t i = 0; i < rows; i++)
            s->row[first + i] = micro->row_lse(s->b, s->strip + i * s->ld, s->scale);
#pragma omp for schedule(static)
        for (int64_t j = 0; j < s->b; j += TIC_SCORE_COLUMNS) {
            const int64_t n = s->b - j < TIC_SCORE_COLUMNS ? s->b - j : TIC_SCORE_COLUMNS;
            micro->column_update(rows, n, s->strip + j, s->ld, s->scale, s->column_max + j,
                                 s->column_sum + j);
        }
    }
}

tic_status tic_scores_log_sum_exps(tic_ctx *ctx, const tic_scores_micro *micro, const tic_scores *s,
                                   tic_error *err) {
    const int64_t step = tic_strip_rows(s->b);
    for (int64_t j = 0; j < s->b; j++) {
        s->column_max[j] = -INFINITY;
        s->column_sum[j] = 0;
    }
    for (int64_t first = 0; first < s->b; first += step) {
        const int64_t rows = s->b - first < step ? s->b - first : step;
        TIC_TRY(tic_scores_strip(ctx, s, first, rows, err));
        gather_strip(ctx, micro, s, first, rows);
    }
    for (int64_t j = 0; j < s->b; j++)
        s->column[j] = (float)(s->column_max[j] + log(s->column_sum[j]));
    return TIC_OK;
}

tic_status tic_scores_gradients(tic_ctx *ctx, const tic_scores *s, int64_t first, int64_t rows,
                                float *d_image, float *d_text, tic_error *err) {
    tic_gemm_args image = image_product(s, rows, d_image + first * s->d);
    tic_gemm_args text = text_product(s, first, rows, d_text);
    TIC_TRY(tic_gemm_for(ctx, s->op, &image, err));
    return tic_gemm_for(ctx, s->op, &text, err);
}
