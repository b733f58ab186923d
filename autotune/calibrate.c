/* What gemm reaches here in each precision: decides precision `auto` and forecasts. */
#include "autotune/autotune.h"

/* A token-by-width product of a ViT-B block: 1.2 GMAC, 6 MB in f32, so it stays in an L3. */
enum { CALIBRATE_M = 512, CALIBRATE_N = 1536, CALIBRATE_K = 768 };
/* Seconds for both precisions, in turn: long enough for a clock to settle and for other processes
 * to let go of the cores now and then, short enough to start a run. */
static const double calibrate_seconds = 0.3;
enum { CALIBRATE_ROUNDS = 4 }; /* at least, however slow */

/* Runs the product once and keeps the shortest time so far. */
static tic_status time_once(tic_ctx *ctx, tic_gemm_args *args, tic_dtype precision,
                            double *shortest, tic_error *err) {
    args->precision = precision;
    double before = tic_now();
    TIC_TRY(tic_gemm(ctx, args, err));
    double seconds = tic_now() - before;
    if (seconds < *shortest)
        *shortest = seconds;
    return TIC_OK;
}

/* f32 and bf16 alternate: what else the machine does meanwhile must not decide between them. */
static tic_status best_rates(tic_ctx *ctx, float *operands, tic_calibration *out, tic_error *err) {
    float *a = operands, *b = a + (size_t)CALIBRATE_M * CALIBRATE_K;
    float *c = b + (size_t)CALIBRATE_N * CALIBRATE_K;
    tic_gemm_args args = {.trans = TIC_NT,
                          .m = CALIBRATE_M,
                          .n = CALIBRATE_N,
                          .k = CALIBRATE_K,
                          .a = tic_f32(a, CALIBRATE_K),
                          .b = tic_f32(b, CALIBRATE_K),
                          .c = tic_f32(c, CALIBRATE_N)};
    double f32 = 1e30, bf16 = 1e30, start = tic_now();
    for (int round = 0; round < CALIBRATE_ROUNDS || tic_now() - start < calibrate_seconds;
         round++) {
        TIC_TRY(time_once(ctx, &args, TIC_F32, &f32, err));
        TIC_TRY(time_once(ctx, &args, TIC_BF16, &bf16, err));
    }
    double gmacs = (double)CALIBRATE_M * CALIBRATE_N * CALIBRATE_K * 1e-9;
    *out = (tic_calibration){.f32 = gmacs / f32, .bf16 = gmacs / bf16};
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
    tic_status status = best_rates(ctx, operands, out, err);
    tic_free(operands);
    return status;
}

tic_dtype tic_precision_auto(const tic_calibration *calibration) {
    return calibration->bf16 >= 1.5 * calibration->f32 ? TIC_BF16 : TIC_F32;
}
