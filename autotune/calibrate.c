/* What gemm reaches here in each precision: decides precision `auto` and forecasts. */
#include "autotune/autotune.h"

/* A token-by-width product of a ViT-B block: 1.2 GMAC, 6 MB in f32, so it stays in an L3. */
enum { CALIBRATE_M = 512, CALIBRATE_N = 1536, CALIBRATE_K = 768 };
/* Seconds spent on one precision: long enough for a clock to settle, short enough to start a run.
 */
static const double calibrate_seconds = 0.12;

static tic_status best_rate(tic_ctx *ctx, tic_dtype precision, float *operands, double *gmacs,
                            tic_error *err) {
    float *a = operands, *b = a + (size_t)CALIBRATE_M * CALIBRATE_K;
    float *c = b + (size_t)CALIBRATE_N * CALIBRATE_K;
    tic_gemm_args args = {.trans = TIC_NT,
                          .precision = precision,
                          .m = CALIBRATE_M,
                          .n = CALIBRATE_N,
                          .k = CALIBRATE_K,
                          .a = tic_f32(a, CALIBRATE_K),
                          .b = tic_f32(b, CALIBRATE_K),
                          .c = tic_f32(c, CALIBRATE_N)};
    double start = tic_now(), now = start, best = 1e30;
    do {
        double before = now;
        TIC_TRY(tic_gemm(ctx, &args, err));
        now = tic_now();
        if (now - before < best)
            best = now - before;
    } while (now - start < calibrate_seconds);
    *gmacs = (double)CALIBRATE_M * CALIBRATE_N * CALIBRATE_K / best * 1e-9;
    return TIC_OK;
}

tic_status tic_calibrate(tic_ctx *ctx, tic_calibration *out, tic_error *err) {
    size_t count = (size_t)CALIBRATE_M * CALIBRATE_K + (size_t)CALIBRATE_N * CALIBRATE_K +
                   (size_t)CALIBRATE_M * CALIBRATE_N;
    float *operands = NULL;
    TIC_TRY(tic_alloc(&operands, count, sizeof *operands, err));
    tic_random key = {.seed = 1, .purpose = TIC_RNG_BENCH};
    for (size_t i = 0; i < count; i++)
        operands[i] = (float)(tic_random_u32(key, i) >> 8) * 0x1p-24f - 0.5f;
    tic_ctx_purpose(ctx, TIC_FOR_TUNING);
    tic_status status = best_rate(ctx, TIC_F32, operands, &out->f32, err);
    if (status == TIC_OK)
        status = best_rate(ctx, TIC_BF16, operands, &out->bf16, err);
    tic_free(operands);
    return status;
}

tic_dtype tic_precision_auto(const tic_calibration *calibration) {
    return calibration->bf16 >= 1.5 * calibration->f32 ? TIC_BF16 : TIC_F32;
}
