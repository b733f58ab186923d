/* The contrastive loss at the batch of 90,112 of the paper's largest models, where only a closed
 * form can be compared with: pictures and texts of K kinds, one axis each, so that every row and
 * column holds B / K scores of `scale` and zeros. */
#include "operands.h"

enum { B = 90112, K = 16 };

/* With n = B / K and Z = n exp(scale) + B - n: loss = log Z - scale; the gradient of a picture is
 * scale / B times n exp(scale) / Z - 1 along its own axis and n / Z along the others. */
static void check(tic_dtype precision, float scale) {
    tic_ctx *ctx = check_ctx(2);
    tic_contrastive_args a = {.b = B,
                              .d = K,
                              .precision = precision,
                              .image = zeros(B * K),
                              .text = zeros(B * K),
                              .scale = scale,
                              .d_image = zeros(B * K),
                              .d_text = zeros(B * K)};
    for (int64_t i = 0; i < B; i++)
        ((float *)a.image)[i * K + i % K] = ((float *)a.text)[i * K + i % K] = 1;
    CHECK_OK(tic_contrastive(ctx, &a, err));

    const double n = (double)B / K, rest = (B - n) * exp(-scale), z = n + rest; /* Z / exp(scale) */
    const double own = n / z, other = rest / z / (K - 1), factor = (double)scale / B;
    /* a sum's chain: the rows of a block, then the blocks; exp of a score of relative error EPS; in
     * bf16 each term may be rounded the same way */
    const double relative =
        EPS * (512 + B / 32.0 / 8 + 2 * scale + 16) + (precision == TIC_BF16 ? EPS_BF16 / 2 : 0);
    cr_assert(check_near(a.loss, log(z), 4 * EPS * (scale + 16 + sqrt(B))), "loss %.9g, not %.9g",
              a.loss, log(z));
    const double slope = (own - 1) * scale, slope_bound = scale * EPS * (512 + 2 * scale + 16);
    cr_assert(check_near(a.d_log_scale, slope, slope_bound), "d_log_scale %.9g, not %.9g",
              a.d_log_scale, slope);
    for (int64_t i = 0; i < B; i++)
        for (int64_t c = 0; c < K; c++) {
            const double want = factor * (c == i % K ? own - 1 : other);
            /* FLT_MIN: a probability that small may become zero */
            const double bound = factor * (relative * (c == i % K ? own + 1 : other) + n * FLT_MIN);
            cr_assert(check_near(a.d_image[i * K + c], want, bound),
                      "d_image[%lld,%lld] %.9g, %.9g", (long long)i, (long long)c,
                      a.d_image[i * K + c], want);
            cr_assert(check_near(a.d_text[i * K + c], want, bound), "d_text[%lld,%lld] %.9g, %.9g",
                      (long long)i, (long long)c, a.d_text[i * K + c], want);
        }
    tic_ctx_free(ctx);
}

Test(losses_large, f32_against_the_closed_form) {
    check(TIC_F32, 3);
    check(TIC_F32, 100);
}

Test(losses_large, bf16_against_the_closed_form) {
    check(TIC_BF16, 3);
}
