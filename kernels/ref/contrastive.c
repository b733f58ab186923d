/* References of the contrastive and the distillation loss: the whole B x B matrices, in double.
 * Precision bf16 rounds what a product would round: the features (except for the diagonal of the
 * contrastive scores, which stays f32) and the scores' gradient. */
#include "kernels/ops.h"
#include "kernels/ref/dot.h"

#include <math.h>

static double rounded(double x, tic_dtype precision) {
    return precision == TIC_BF16 ? tic_from_bf16(tic_to_bf16((float)x)) : x;
}

/* s[b,b] = scale image textᵀ */
static void score(int64_t b, int64_t d, const float *image, const float *text, float scale,
                  tic_dtype precision, double *s) {
    const bool round = precision == TIC_BF16;
    for (int64_t i = 0; i < b; i++)
        for (int64_t j = 0; j < b; j++)
            s[i * b + j] = scale * tic_line_dot(d, tic_line_f32(image + i * d, 1, round),
                                                tic_line_f32(text + j * d, 1, round));
}

/* One element of the diagonal, never rounded: elementwise work beside the product. */
static double pair_score(const tic_contrastive_args *a, int64_t i) {
    double sum = 0;
    for (int64_t c = 0; c < a->d; c++)
        sum += (double)a->image[i * a->d + c] * a->text[i * a->d + c];
    return a->scale * sum;
}

/* log sum exp of n elements `step` apart */
static double log_sum_exp(int64_t n, const double *s, int64_t step) {
    double max = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++)
        max = s[i * step] > max || isnan(s[i * step]) ? s[i * step] : max;
    for (int64_t i = 0; i < n; i++)
        sum += exp(s[i * step] - max);
    return max + log(sum);
}

static void all_log_sum_exps(int64_t b, const double *s, double *row, double *column) {
    for (int64_t i = 0; i < b; i++) {
        row[i] = log_sum_exp(b, s + i * b, 1);
        column[i] = log_sum_exp(b, s + i, b);
    }
}

/* d_image = scale ds text, d_text = scale dsᵀ image, unless they are NULL; answers score(). ds
 * becomes what the products take. */
static void score_backward(int64_t b, int64_t d, const float *image, const float *text, float scale,
                           tic_dtype precision, double *ds, float *d_image, float *d_text) {
    const bool round = precision == TIC_BF16;
    for (int64_t i = 0; d_image && i < b * b; i++)
        ds[i] = rounded(scale * ds[i], precision);
    for (int64_t i = 0; d_image && i < b; i++)
        for (int64_t c = 0; c < d; c++) {
            d_image[i * d + c] = (float)tic_line_dot(b, tic_line_f64(ds + i * b, 1),
                                                     tic_line_f32(text + c, d, round));
            d_text[i * d + c] =
                (float)tic_line_dot(b, tic_line_f64(ds + i, b), tic_line_f32(image + c, d, round));
        }
}

TIC_RUN(tic_contrastive_ref) {
    tic_contrastive_args *a = (tic_contrastive_args *)args;
    (void)variant, (void)knobs;
    const int64_t b = a->b;
    double *s, loss = 0, d_log_scale = 0;
    TIC_TRY(tic_alloc(&s, (size_t)(b * (b + 2)), sizeof *s, err));
    double *row = s + b * b, *column = row + b;
    score(b, a->d, a->image, a->text, a->scale, a->precision, s);
    for (int64_t i = 0; i < b; i++)
        s[i * b + i] = pair_score(a, i);
    all_log_sum_exps(b, s, row, column);
    for (int64_t i = 0; i < b; i++)
        loss += (row[i] + column[i] - 2 * s[i * b + i]) / (2.0 * (double)b);
    for (int64_t i = 0; i < b; i++)
        for (int64_t j = 0; j < b; j++) {
            double sij = s[i * b + j];
            double ds = exp(sij - row[i]) + exp(sij - column[j]) - (i == j ? 2 : 0);
            s[i * b + j] = ds / (2.0 * (double)b);
            d_log_scale += s[i * b + j] * sij;
        }
    a->loss = loss;
    a->d_log_scale = a->d_image ? d_log_scale : 0;
    score_backward(b, a->d, a->image, a->text, a->scale, a->precision, s, a->d_image, a->d_text);
    tic_free(s);
    const uint64_t macs = (uint64_t)(b * b * a->d * (a->d_image ? 3 : 1));
    tic_count_issued(ctx, 0, TIC_OP_CONTRASTIVE, macs);
    tic_count_logical(ctx, TIC_OP_CONTRASTIVE, macs);
    return TIC_OK;
}

TIC_RUN(tic_distill_ref) {
    tic_distill_args *a = (tic_distill_args *)args;
    (void)variant, (void)knobs;
    const int64_t b = a->b;
    double *s, loss = 0, d_log_scale = 0;
    TIC_TRY(tic_alloc(&s, (size_t)(2 * b * (b + 2)), sizeof *s, err));
    double *row = s + b * b, *column = row + b;
    double *t = column + b, *t_row = t + b * b, *t_column = t_row + b;
    score(b, a->d, a->image, a->text, a->scale, a->precision, s);
    score(b, a->teacher_d, a->teacher_image, a->teacher_text, a->teacher_scale, a->precision, t);
    all_log_sum_exps(b, s, row, column);
    all_log_sum_exps(b, t, t_row, t_column);
    for (int64_t i = 0; i < b; i++)
        for (int64_t j = 0; j < b; j++) {
            double sij = s[i * b + j], tij = t[i * b + j];
            double q_row = exp(tij - t_row[i]), q_column = exp(tij - t_column[j]);
            loss += q_row * (tij - t_row[i] - sij + row[i]) / (2.0 * (double)b);
            loss += q_column * (tij - t_column[j] - sij + column[j]) / (2.0 * (double)b);
            double ds = exp(sij - row[i]) - q_row + exp(sij - column[j]) - q_column;
            s[i * b + j] = ds / (2.0 * (double)b);
            d_log_scale += s[i * b + j] * sij;
        }
    a->loss = loss;
    a->d_log_scale = a->d_image ? d_log_scale : 0;
    score_backward(b, a->d, a->image, a->text, a->scale, a->precision, s, a->d_image, a->d_text);
    tic_free(s);
    const uint64_t macs = (uint64_t)(b * b * (a->teacher_d + a->d * (a->d_image ? 3 : 1)));
    tic_count_issued(ctx, 0, TIC_OP_DISTILL, macs);
    tic_count_logical(ctx, TIC_OP_DISTILL, macs);
    return TIC_OK;
}
