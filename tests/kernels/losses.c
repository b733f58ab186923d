/* The contrastive and the distillation loss: every variant against the reference, the reference
 * against a naive computation and against differences. */
#include "kernels/ops.h"
#include "operands.h"

typedef struct problem {
    int64_t b, d, teacher_d;
    tic_dtype precision;
    float scale;
} problem;
static const problem problems[] = {
    {1, 5, 3, TIC_F32, 14},      {2, 1, 1, TIC_F32, 100},    {7, 16, 24, TIC_F32, 14},
    {61, 33, 20, TIC_F32, 50},   {300, 24, 40, TIC_F32, 14}, {601, 17, 16, TIC_F32, 100},
    {64, 32, 32, TIC_BF16, 14},  {521, 16, 8, TIC_BF16, 14}, {33, 67, 31, TIC_BF16, 40},
    {1, 3, 3, TIC_BF16, 14},     {2600, 5, 3, TIC_F32, 20},  {1100, 35, 3, TIC_BF16, 20},
    {520, 300, 8, TIC_BF16, 14}, /* a row of texts is longer than one of scores */
};
enum { PROBLEMS = sizeof problems / sizeof problems[0] };

/* As check_next, the variants that compute in `precision` only. */
static int next_for(tic_ctx *ctx, tic_op op, tic_dtype precision, int v) {
    do
        v = check_next(ctx, op, v);
    while (v >= 0 && !(tic_variant_get(v).precisions & 1u << precision));
    return v;
}

/* b unit vectors; texts lean towards their pictures, so that the losses are not all alike. */
static float *features(int64_t b, int64_t d, uint32_t lane, const float *towards) {
    float *x = normals(b * d, lane, 1);
    for (int64_t i = 0; i < b; i++) {
        double sum = 0;
        for (int64_t c = i * d; c < (i + 1) * d; c++) {
            x[c] += towards ? 2 * towards[c] : 0;
            sum += (double)x[c] * x[c];
        }
        for (int64_t c = i * d; c < (i + 1) * d; c++)
            x[c] = (float)(x[c] / sqrt(sum));
    }
    return x;
}

static tic_contrastive_args contrastive(const problem *p) {
    float *image = features(p->b, p->d, 1, NULL);
    return (tic_contrastive_args){.b = p->b,
                                  .d = p->d,
                                  .precision = p->precision,
                                  .image = image,
                                  .text = features(p->b, p->d, 2, image),
                                  .scale = p->scale,
                                  .d_image = zeros(p->b * p->d),
                                  .d_text = zeros(p->b * p->d)};
}

static tic_distill_args distill(const problem *p) {
    const tic_contrastive_args c = contrastive(p);
    float *teacher = features(p->b, p->teacher_d, 3, NULL);
    return (tic_distill_args){.b = p->b,
                              .d = p->d,
                              .teacher_d = p->teacher_d,
                              .precision = p->precision,
                              .image = c.image,
                              .text = c.text,
                              .teacher_image = teacher,
                              .teacher_text = features(p->b, p->teacher_d, 4, teacher),
                              .scale = p->scale,
                              .teacher_scale = 0.7f * p->scale,
                              .d_image = c.d_image,
                              .d_text = c.d_text};
}

/* Features have norm 1, so a score errs by EPS scale (sqrt(d) + 2) and a probability relatively by
 * twice that, its lse's sum of b terms and exp. In bf16 the gradients of two variants may differ by
 * a rounding of each score's gradient. A row of |dS| sums to at most 2/b, a column too. */
typedef struct bounds {
    double loss, gradient, d_log_scale;
} bounds;

static bounds bounds_of(const problem *p) {
    const double score = EPS * p->scale * (sqrt((double)p->d) + 2);
    const double teacher = EPS * p->scale * (sqrt((double)p->teacher_d) + 2);
    const double relative = 2 * (score + teacher) + EPS * (sqrt((double)p->b) + 16);
    const double rounding = p->precision == TIC_BF16 ? 2 * EPS_BF16 : 0;
    const double b = (double)p->b;
    return (bounds){.loss = 4 * relative,
                    .gradient = p->scale * 4 / b * (relative + rounding),
                    .d_log_scale = 4 * p->scale * relative};
}

static void compare(const problem *p, const float *got[2], const float *want[2], double got_loss[2],
                    double want_loss[2]) {
    const bounds bound = bounds_of(p);
    close_to(got[0], want[0], p->b * p->d, bound.gradient, EPS, "d_image");
    close_to(got[1], want[1], p->b * p->d, bound.gradient, EPS, "d_text");
    cr_assert(check_near(got_loss[0], want_loss[0], bound.loss), "loss %.12g, not %.12g",
              got_loss[0], want_loss[0]);
    cr_assert(check_near(got_loss[1], want_loss[1], bound.d_log_scale),
              "d_log_scale %.12g, not %.12g", got_loss[1], want_loss[1]);
}

Test(contrastive, every_variant_against_the_reference) {
    tic_ctx *ctx = check_ctx(2);
    for (int i = 0; i < PROBLEMS; i++) {
        tic_contrastive_args want = contrastive(&problems[i]);
        force(ctx, TIC_OP_CONTRASTIVE, "ref");
        CHECK_OK(tic_contrastive(ctx, &want, err));
        for (int v = -1; (v = next_for(ctx, TIC_OP_CONTRASTIVE, problems[i].precision, v)) >= 0;) {
            tic_contrastive_args got = contrastive(&problems[i]);
            CHECK_OK(tic_contrastive(ctx, &got, err));
            compare(&problems[i], (const float *[]){got.d_image, got.d_text},
                    (const float *[]){want.d_image, want.d_text},
                    (double[]){got.loss, got.d_log_scale}, (double[]){want.loss, want.d_log_scale});
            const double loss = got.loss;
            got.d_image = got.d_text = NULL;
            CHECK_OK(tic_contrastive(ctx, &got, err));
            cr_assert_eq(got.loss, loss, "the loss alone is another");
        }
    }
    tic_ctx_free(ctx);
}

Test(distill, every_variant_against_the_reference) {
    tic_ctx *ctx = check_ctx(2);
    for (int i = 0; i < PROBLEMS; i++) {
        tic_distill_args want = distill(&problems[i]);
        force(ctx, TIC_OP_DISTILL, "ref");
        CHECK_OK(tic_distill(ctx, &want, err));
        cr_assert(want.loss >= 0);
        for (int v = -1; (v = next_for(ctx, TIC_OP_DISTILL, problems[i].precision, v)) >= 0;) {
            tic_distill_args got = distill(&problems[i]);
            CHECK_OK(tic_distill(ctx, &got, err));
            compare(&problems[i], (const float *[]){got.d_image, got.d_text},
                    (const float *[]){want.d_image, want.d_text},
                    (double[]){got.loss, got.d_log_scale}, (double[]){want.loss, want.d_log_scale});
            const double loss = got.loss;
            got.d_image = got.d_text = NULL;
            CHECK_OK(tic_distill(ctx, &got, err));
            cr_assert_eq(got.loss, loss, "the loss alone is another");
        }
    }
    tic_ctx_free(ctx);
}

/* ---- the mathematics ------------------------------------------------------------------------ */

/* The textbook's: softmax by long double exponentials that cannot underflow at these scores. */
static double naive_loss(const tic_contrastive_args *a) {
    long double total = 0;
    for (int side = 0; side < 2; side++)
        for (int64_t i = 0; i < a->b; i++) {
            long double sum = 0, own = 0;
            for (int64_t j = 0; j < a->b; j++) {
                const float *x = a->image + (side ? j : i) * a->d;
                const float *y = a->text + (side ? i : j) * a->d;
                long double s = 0;
                for (int64_t c = 0; c < a->d; c++)
                    s += (long double)x[c] * y[c];
                sum += expl(a->scale * s);
                own = i == j ? a->scale * s : own;
            }
            total += logl(sum) - own;
        }
    return (double)(total / (2 * a->b));
}

/* At scale 100 the pairs of opposite vectors lie 200 below the best: a fixed maximum would make
 * their rows' sums underflow in f32. */
Test(contrastive, scores_far_apart_against_the_textbook) {
    static const problem p = {40, 6, 1, TIC_F32, 100};
    tic_ctx *ctx = check_ctx(2);
    tic_contrastive_args a = contrastive(&p);
    for (int64_t c = 0; c < 20 * p.d; c++) /* the first 20 texts point away from their pictures */
        ((float *)a.text)[c] = -a.image[c];
    for (int v = -1; (v = next_for(ctx, TIC_OP_CONTRASTIVE, p.precision, v)) >= 0;) {
        CHECK_OK(tic_contrastive(ctx, &a, err));
        const double want = naive_loss(&a);
        cr_assert(want > 50, "the scores of this test are not far apart");
        cr_assert(check_near(a.loss, want, bounds_of(&p).loss), "%.9g, not %.9g", a.loss, want);
        cr_assert(largest(a.d_image, p.b * p.d) > 0 && isfinite(largest(a.d_image, p.b * p.d)));
    }
    tic_ctx_free(ctx);
}

Test(contrastive, perfect_pairs_cost_nothing_and_equal_features_cost_log_b) {
    static const problem p = {32, 32, 1, TIC_F32, 100};
    tic_ctx *ctx = check_ctx(1);
    for (int v = -1; (v = next_for(ctx, TIC_OP_CONTRASTIVE, p.precision, v)) >= 0;) {
        tic_contrastive_args a = contrastive(&p);
        for (int64_t i = 0; i < p.b * p.d; i++)
            ((float *)a.image)[i] = ((float *)a.text)[i] = i / p.d == i % p.d;
        CHECK_OK(tic_contrastive(ctx, &a, err));
        cr_assert(a.loss >= 0 && a.loss < 1e-30); /* 31 exp(-100) is 1e-42 */
        for (int64_t i = 0; i < p.b * p.d; i++)
            ((float *)a.image)[i] = ((float *)a.text)[i] = i % p.d == 0;
        CHECK_OK(tic_contrastive(ctx, &a, err));
        cr_assert(check_near(a.loss, log(32), 200 * EPS), "%.9g", a.loss);
    }
    tic_ctx_free(ctx);
}

/* scale * (x_i . y_j) of one side's row i: pictures against texts, or texts against pictures. */
static long double score(const float *image, const float *text, int64_t d, float scale, int side,
                         int64_t i, int64_t j) {
    const float *x = image + (side ? j : i) * d, *y = text + (side ? i : j) * d;
    long double s = 0;
    for (int64_t c = 0; c < d; c++)
        s += (long double)x[c] * y[c];
    return scale * s;
}

/* The textbook's KL(p || q) = sum p (ln p - ln q) of two softmaxes, row by row and column by
 * column.
 */
static double naive_distillation(const tic_distill_args *a) {
    long double total = 0;
    for (int side = 0; side < 2; side++)
        for (int64_t i = 0; i < a->b; i++) {
            long double q_sum = 0, p_sum = 0;
            for (int64_t j = 0; j < a->b; j++) {
                q_sum += expl(score(a->image, a->text, a->d, a->scale, side, i, j));
                p_sum += expl(score(a->teacher_image, a->teacher_text, a->teacher_d,
                                    a->teacher_scale, side, i, j));
            }
            for (int64_t j = 0; j < a->b; j++) {
                const long double q = score(a->image, a->text, a->d, a->scale, side, i, j);
                const long double p = score(a->teacher_image, a->teacher_text, a->teacher_d,
                                            a->teacher_scale, side, i, j);
                total += expl(p) / p_sum * (p - logl(p_sum) - q + logl(q_sum));
            }
        }
    return (double)(total / (2 * a->b));
}

Test(distill, against_the_textbook) {
    for (int i = 0; i < 4; i++) { /* f32, up to 61 pairs */
        const problem *p = &problems[i];
        tic_ctx *ctx = check_ctx(2);
        tic_distill_args a = distill(p);
        const double want = naive_distillation(&a);
        /* One pair, or one number at scale 100, leaves nothing to tell apart. */
        cr_assert(p->b == 1 || p->d == 1 ? fabs(want) < 1e-15 : want > 0.01, "%g", want);
        for (int v = -1; (v = next_for(ctx, TIC_OP_DISTILL, p->precision, v)) >= 0;) {
            CHECK_OK(tic_distill(ctx, &a, err));
            cr_assert(check_near(a.loss, want, bounds_of(p).loss), "%.9g, not %.9g", a.loss, want);
        }
        tic_ctx_free(ctx);
    }
}

/* Softmaxes (3/4, 1/4) of the student and (1/2, 1/2) of the teacher, in rows and in columns:
 * 1/2 ln(2/3) + 1/2 ln 2. */
Test(distill, two_pairs_by_hand) {
    const float unit[] = {1, 0, 0, 1}, same[] = {1, 1};
    float d_image[4] = {0}, d_text[4] = {0};
    tic_ctx *ctx = check_ctx(1);
    for (int v = -1; (v = next_for(ctx, TIC_OP_DISTILL, TIC_F32, v)) >= 0;) {
        tic_distill_args a = {.b = 2,
                              .d = 2,
                              .teacher_d = 1,
                              .precision = TIC_F32,
                              .image = unit,
                              .text = unit,
                              .teacher_image = same,
                              .teacher_text = same,
                              .scale = logf(3),
                              .teacher_scale = 1,
                              .d_image = d_image,
                              .d_text = d_text};
        CHECK_OK(tic_distill(ctx, &a, err));
        cr_assert(check_near(a.loss, log(4.0 / 3) / 2, 8 * EPS), "%.9g", a.loss);
    }
    tic_ctx_free(ctx);
}

typedef struct point {
    tic_ctx *ctx;
    tic_contrastive_args contrastive;
    tic_distill_args distill;
    float log_scale;
} point;

static double contrastive_loss(void *state) {
    point *at = state;
    tic_contrastive_args a = at->contrastive;
    a.scale = expf(at->log_scale);
    a.d_image = a.d_text = NULL;
    CHECK_OK(tic_contrastive(at->ctx, &a, err));
    return a.loss;
}

static double distill_loss(void *state) {
    point *at = state;
    tic_distill_args a = at->distill;
    a.scale = expf(at->log_scale);
    a.d_image = a.d_text = NULL;
    CHECK_OK(tic_distill(at->ctx, &a, err));
    return a.loss;
}

static const problem differentiated = {9, 12, 7, TIC_F32, 8};

Test(contrastive, gradients_are_those_of_the_loss) {
    const problem *p = &differentiated;
    point at = {.ctx = check_ctx(1), .contrastive = contrastive(p), .log_scale = logf(p->scale)};
    tic_contrastive_args *a = &at.contrastive;
    for (int v = -1; (v = next_for(at.ctx, TIC_OP_CONTRASTIVE, p->precision, v)) >= 0;) {
        CHECK_OK(tic_contrastive(at.ctx, a, err));
        const float d_log_scale = (float)a->d_log_scale;
        force(at.ctx, TIC_OP_CONTRASTIVE, "ref");
        const int64_t n = p->b * p->d;
        gradient_of(contrastive_loss, &at, (float *)a->image, n, a->d_image, 0x1p-9, "d_image");
        gradient_of(contrastive_loss, &at, (float *)a->text, n, a->d_text, 0x1p-9, "d_text");
        gradient_of(contrastive_loss, &at, &at.log_scale, 1, &d_log_scale, 0x1p-9, "d_log_scale");
    }
    tic_ctx_free(at.ctx);
}

Test(distill, gradients_are_those_of_the_loss) {
    const problem *p = &differentiated;
    point at = {.ctx = check_ctx(1), .distill = distill(p), .log_scale = logf(p->scale)};
    tic_distill_args *a = &at.distill;
    for (int v = -1; (v = next_for(at.ctx, TIC_OP_DISTILL, p->precision, v)) >= 0;) {
        CHECK_OK(tic_distill(at.ctx, a, err));
        const float d_log_scale = (float)a->d_log_scale;
        force(at.ctx, TIC_OP_DISTILL, "ref");
        const int64_t n = p->b * p->d;
        gradient_of(distill_loss, &at, (float *)a->image, n, a->d_image, 0x1p-9, "d_image");
        gradient_of(distill_loss, &at, (float *)a->text, n, a->d_text, 0x1p-9, "d_text");
        gradient_of(distill_loss, &at, &at.log_scale, 1, &d_log_scale, 0x1p-9, "d_log_scale");
    }
    tic_ctx_free(at.ctx);
}

Test(distill, the_teacher_itself_costs_nothing) {
    static const problem p = {50, 16, 16, TIC_F32, 20};
    tic_ctx *ctx = check_ctx(2);
    for (int v = -1; (v = next_for(ctx, TIC_OP_DISTILL, p.precision, v)) >= 0;) {
        tic_distill_args a = distill(&p);
        a.teacher_image = a.image;
        a.teacher_text = a.text;
        a.teacher_scale = a.scale;
        CHECK_OK(tic_distill(ctx, &a, err));
        cr_assert(fabs(a.loss) <= 1e-13); /* the reference: differences of doubles around 20 */
        cr_assert_eq(largest(a.d_image, p.b * p.d), 0);
        cr_assert_eq(a.d_log_scale, 0);
    }
    tic_ctx_free(ctx);
}

/* ---- threads, counts, scratch, bad values --------------------------------------------------- */

static void same_losses(const problem *p, int variant_c, int variant_d) {
    tic_contrastive_args c = {0};
    tic_distill_args t = {0};
    const size_t bytes = (size_t)(p->b * p->d) * sizeof(float);
    for (int i = 0; i < THREAD_COUNTS; i++) {
        tic_ctx *ctx = check_ctx(thread_counts[i]);
        tic_contrastive_args a = contrastive(p);
        tic_distill_args d = distill(p);
        force(ctx, TIC_OP_CONTRASTIVE, tic_variant_get(variant_c).name);
        force(ctx, TIC_OP_DISTILL, tic_variant_get(variant_d).name);
        CHECK_OK(tic_contrastive(ctx, &a, err));
        CHECK_OK(tic_distill(ctx, &d, err));
        if (i == 0) {
            c = a;
            t = d;
        }
        same_bits(a.d_image, c.d_image, bytes, "contrastive d_image", thread_counts[i]);
        same_bits(a.d_text, c.d_text, bytes, "contrastive d_text", thread_counts[i]);
        same_bits(&a.loss, &c.loss, 2 * sizeof(double), "contrastive loss", thread_counts[i]);
        same_bits(d.d_image, t.d_image, bytes, "distill d_image", thread_counts[i]);
        same_bits(d.d_text, t.d_text, bytes, "distill d_text", thread_counts[i]);
        same_bits(&d.loss, &t.loss, 2 * sizeof(double), "distill loss", thread_counts[i]);
        tic_ctx_free(ctx);
    }
}

/* Kept and computed twice, every variant. */
Test(losses, bits_do_not_depend_on_threads) {
    static const problem cases[] = {{300, 20, 24, TIC_F32, 30},
                                    {700, 20, 24, TIC_F32, 30},
                                    {300, 20, 24, TIC_BF16, 30},
                                    {700, 20, 24, TIC_BF16, 30}};
    tic_ctx *ctx = check_ctx(1);
    for (int i = 0; i < 4; i++) {
        int d = -1;
        for (int v = -1; (v = next_for(ctx, TIC_OP_CONTRASTIVE, cases[i].precision, v)) >= 0;) {
            d = next_for(ctx, TIC_OP_DISTILL, cases[i].precision, d); /* the same names in turn */
            if (tic_registry[v].micro == NULL)
                continue; /* the reference has one thread */
            same_losses(&cases[i], v, d);
        }
    }
    tic_ctx_free(ctx);
}

/* Features that end at a page that may not be touched, at every alignment of a float, and denormal
 * ones among them: what is read is what belongs to the operands, and the result is the reference's.
 */
Test(contrastive, misaligned_and_denormal_features) {
    enum { MOST = 16 };
    static const problem cases[] = {{65, 21, 1, TIC_F32, 30}, {65, 21, 1, TIC_BF16, 30}};
    tic_ctx *ctx = check_ctx(2);
    for (int i = 0; i < 2; i++)
        for (int shift = 0; shift < MOST; shift += 5) {
            const problem *p = &cases[i];
            const int64_t n = p->b * p->d;
            tic_contrastive_args want = contrastive(p), got = want;
            float *moved[4];
            for (int x = 0; x < 4; x++)
                moved[x] = zeros(n + shift); /* ends at the page; starts `shift` floats earlier */
            for (int64_t j = 0; j < n; j += 7)
                ((float *)want.image)[j] = ((float *)want.text)[n - 1 - j] = 0x1p-140f;
            got.image = memcpy(moved[0], want.image, (size_t)n * sizeof(float));
            got.text = memcpy(moved[1], want.text, (size_t)n * sizeof(float));
            got.d_image = moved[2];
            got.d_text = moved[3];
            force(ctx, TIC_OP_CONTRASTIVE, "ref");
            CHECK_OK(tic_contrastive(ctx, &want, err));
            for (int v = -1; (v = next_for(ctx, TIC_OP_CONTRASTIVE, p->precision, v)) >= 0;) {
                CHECK_OK(tic_contrastive(ctx, &got, err));
                compare(p, (const float *[]){got.d_image, got.d_text},
                        (const float *[]){want.d_image, want.d_text},
                        (double[]){got.loss, got.d_log_scale},
                        (double[]){want.loss, want.d_log_scale});
                for (int x = 0; x < 4; x++)
                    for (int64_t j = n; j < n + shift; j++)
                        cr_assert_eq(moved[x][j], 0, "written past the end");
            }
        }
    tic_ctx_free(ctx);
}

/* A variant that keeps its strips counts what the formula says, the padding of tiles included; the
 * reference keeps all scores and so computes them once. */
static void check_counts(tic_ctx *ctx, tic_op op, uint64_t logical) {
    tic_counters counters;
    tic_ctx_counters(ctx, &counters);
    const tic_macs *by = counters.by[TIC_FOR_FORWARD];
    const bool reference = strcmp(tic_ctx_ran(ctx, op), "ref") == 0;
    cr_assert_eq(by[TIC_OP_GEMM].issued + by[TIC_OP_GEMM].logical, 0);
    cr_assert_eq(tic_counters_sum(&counters).logical, by[op].logical);
    cr_assert(by[op].logical == logical || (reference && by[op].logical < logical));
    cr_assert_geq(by[op].issued, by[op].logical);
    cr_assert_eq(tic_ctx_growths(ctx), 0);
}

static void count_contrastive(const problem *p, int v) {
    tic_ctx *ctx = check_ctx(3);
    tic_contrastive_args a = contrastive(p);
    force(ctx, TIC_OP_CONTRASTIVE, tic_variant_get(v).name);
    CHECK_OK(tic_ctx_reserve(ctx, tic_contrastive_scratch(ctx, p->precision, p->b, p->d), err));
    CHECK_OK(tic_contrastive(ctx, &a, err));
    check_counts(ctx, TIC_OP_CONTRASTIVE, tic_contrastive_macs(p->b, p->d, true));
    tic_ctx_free(ctx);
}

static void count_distill(const problem *p, int v) {
    tic_ctx *ctx = check_ctx(3);
    tic_distill_args a = distill(p);
    force(ctx, TIC_OP_DISTILL, tic_variant_get(v).name);
    CHECK_OK(tic_ctx_reserve(ctx, tic_distill_scratch(ctx, p->precision, p->b, p->d, p->teacher_d),
                             err));
    CHECK_OK(tic_distill(ctx, &a, err));
    check_counts(ctx, TIC_OP_DISTILL, tic_distill_macs(p->b, p->d, p->teacher_d, true));
    tic_ctx_free(ctx);
}

Test(losses, counts_and_scratch) {
    tic_ctx *ctx = check_ctx(1);
    for (int i = 0; i < PROBLEMS; i++) {
        for (int v = -1; (v = next_for(ctx, TIC_OP_CONTRASTIVE, problems[i].precision, v)) >= 0;)
            count_contrastive(&problems[i], v);
        for (int v = -1; (v = next_for(ctx, TIC_OP_DISTILL, problems[i].precision, v)) >= 0;)
            count_distill(&problems[i], v);
    }
    tic_ctx_free(ctx);
    cr_assert_eq(tic_contrastive_macs(100, 7, false), 70000);
    cr_assert_eq(tic_contrastive_macs(100, 7, true), 210000);
    cr_assert_eq(tic_contrastive_macs(1000, 7, true), 28000000);
}

/* ---- issued counts, to the last one ---------------------------------------------------------- */

static int64_t up_to(int64_t n, int64_t unit) {
    return (n + unit - 1) / unit * unit;
}

/* MACs of the products of one block: `rows` in strips, each rounded up, by n columns and k. */
static uint64_t block_macs(const tic_scores_products *x, int64_t rows, int64_t n, int64_t k) {
    const int64_t strips = (rows + x->strip - 1) / x->strip, elements = x->unit == TIC_F32 ? 1 : 2;
    uint64_t height = 0;
    for (int64_t i = 0; i < strips; i++)
        height += (uint64_t)up_to((i + 1) * rows / strips - i * rows / strips, x->row_unit);
    return height * (uint64_t)(up_to(n, x->panel) * up_to(k, x->k_unit * elements));
}

/* As scores.h describes the blocks; d_text may be formed transposed, in strips of d. */
static uint64_t issued_macs(const tic_variant *variant, int64_t b, int64_t d, bool kept,
                            bool gradients) {
    const tic_scores_micro *micro = variant->micro;
    const tic_scores_products *x = micro->products;
    const int64_t least = up_to((b + 7) / 8, 32), most = variant->knobs[0].value;
    const int64_t block = least < most ? least : most;
    uint64_t sum = 0;
    for (int64_t left = 0; left < b; left += block)
        for (int64_t top = 0; top < b; top += block) {
            const int64_t rows = b - top < block ? b - top : block;
            const int64_t n = b - left < block ? b - left : block;
            sum += (kept ? 1 : 2) * block_macs(x, rows, n, d);
            if (!gradients)
                continue;
            sum += block_macs(x, rows, d, n);
            if (x->columns != NULL) {
                sum += block_macs(x, n, d, rows);
                continue;
            }
            for (int64_t c = 0; c < d; c += x->strip)
                sum += block_macs(x, d - c < x->strip ? d - c : x->strip, n, rows);
        }
    return sum;
}

static uint64_t issued_by(const tic_ctx *ctx, tic_op op) {
    tic_counters counters;
    tic_ctx_counters(ctx, &counters);
    return counters.by[TIC_FOR_FORWARD][op].issued;
}

Test(losses, issued_is_what_the_blocks_make) {
    tic_ctx *ctx = check_ctx(3);
    for (int i = 0; i < PROBLEMS; i++) {
        const problem *p = &problems[i];
        tic_contrastive_args c = contrastive(p);
        tic_distill_args t = distill(p);
        const bool kept = p->b <= 512;
        for (int v = -1; (v = next_for(ctx, TIC_OP_CONTRASTIVE, p->precision, v)) >= 0;) {
            const tic_variant *variant = &tic_registry[v];
            const uint64_t before = issued_by(ctx, TIC_OP_CONTRASTIVE);
            if (variant->micro == NULL)
                continue; /* the reference */
            CHECK_OK(tic_contrastive(ctx, &c, err));
            cr_assert_eq(issued_by(ctx, TIC_OP_CONTRASTIVE) - before,
                         issued_macs(variant, p->b, p->d, kept, true), "%s", variant->info.name);
        }
        for (int v = -1; (v = next_for(ctx, TIC_OP_DISTILL, p->precision, v)) >= 0;) {
            const tic_variant *variant = &tic_registry[v];
            const uint64_t before = issued_by(ctx, TIC_OP_DISTILL);
            if (variant->micro == NULL)
                continue;
            CHECK_OK(tic_distill(ctx, &t, err));
            cr_assert_eq(issued_by(ctx, TIC_OP_DISTILL) - before,
                         issued_macs(variant, p->b, p->d, kept, true) +
                             issued_macs(variant, p->b, p->teacher_d, kept, false),
                         "%s", variant->info.name);
        }
    }
    tic_ctx_free(ctx);
}

/* O(B D): at twice the pairs at most twice the bytes, and far from a B x B matrix. Nothing but this
 * scratch is booked (counts_and_scratch; the reference aside). */
Test(losses, memory_is_linear_in_the_batch) {
    enum { B = 1 << 15, D = 512 };
    tic_ctx *ctx = check_ctx(2);
    for (int precision = TIC_F32; precision <= TIC_BF16; precision++) {
        const size_t bytes = tic_contrastive_scratch(ctx, (tic_dtype)precision, B, D);
        cr_assert_leq(tic_contrastive_scratch(ctx, (tic_dtype)precision, 2 * B, D), 2 * bytes);
        cr_assert_lt(bytes, (size_t)B * B * sizeof(float) / 8);
        const size_t distill = tic_distill_scratch(ctx, (tic_dtype)precision, B, D, D);
        cr_assert_leq(tic_distill_scratch(ctx, (tic_dtype)precision, 2 * B, D, D), 2 * distill);
        cr_assert_lt(distill, (size_t)B * B * sizeof(float) / 4);
        /* open_clip's loss holds both logits and the gradient of each: at 8,192 pairs a twentieth
         * of that is what scratch and gradients may be, in bf16 too */
        const size_t gradients = (size_t)2 * 8192 * D * sizeof(float);
        cr_assert_lt(tic_contrastive_scratch(ctx, (tic_dtype)precision, 8192, D) + gradients,
                     (size_t)4 * 8192 * 8192 * sizeof(float) / 20);
    }
    tic_ctx_free(ctx);
}

Test(losses, not_finite_features_give_a_loss_that_is_not) {
    static const problem p = {70, 9, 5, TIC_F32, 10};
    static const float bad[] = {NAN, INFINITY};
    tic_ctx *ctx = check_ctx(2);
    for (int b = 0; b < 2; b++) {
        for (int v = -1; (v = next_for(ctx, TIC_OP_CONTRASTIVE, p.precision, v)) >= 0;) {
            tic_contrastive_args a = contrastive(&p);
            ((float *)a.text)[17 * p.d + 3] = bad[b];
            CHECK_OK(tic_contrastive(ctx, &a, err));
            cr_assert_not(isfinite(a.loss));
        }
        for (int v = -1; (v = next_for(ctx, TIC_OP_DISTILL, p.precision, v)) >= 0;) {
            tic_distill_args a = distill(&p);
            ((float *)a.image)[17 * p.d + 3] = bad[b];
            CHECK_OK(tic_distill(ctx, &a, err));
            cr_assert_not(isfinite(a.loss));
        }
    }
    tic_ctx_free(ctx);
}

Test(losses, impossible_arguments_are_refused) {
    tic_ctx *ctx = check_ctx(1);
    tic_contrastive_args a = contrastive(&problems[2]);
    a.d_text = NULL;
    CHECK_FAILS(TIC_EUSAGE, "missing", tic_contrastive(ctx, &a, err));
    a.d_image = NULL;
    a.scale = NAN;
    CHECK_FAILS(TIC_EUSAGE, "scale", tic_contrastive(ctx, &a, err));
    tic_distill_args d = distill(&problems[2]);
    d.teacher_d = 0;
    CHECK_FAILS(TIC_EUSAGE, "teacher", tic_distill(ctx, &d, err));
    d = distill(&problems[2]);
    d.teacher_scale = -1;
    CHECK_FAILS(TIC_EUSAGE, "scales", tic_distill(ctx, &d, err));
    tic_ctx_free(ctx);
}
