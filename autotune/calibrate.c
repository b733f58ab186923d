/* What gemm reaches here in each precision: decides precision `auto` and forecasts. */
#include "autotune/autotune.h"

/* A token-by-width product of a ViT-B block: 1.2 GMAC, 6 MB in f32, so it stays in an L3. */
enum { CALIBRATE_M = 512, CALIBRATE_N = 1536, CALIBRATE_K = 768 };
/* Seconds for both precisions, in turn: long enough for a clock to settle and for other processes
 * to let go of the cores now and then, short enough to start a run. */
static const double calibrate_seconds = 0.3;
enum { CALIBRATE_ROUNDS = 4 }; /* at least, however slow */

/* The product in one precision, its weight packed before, as in training: args points to packed, so
 * that a trial must not move. packed.data is freed by tic_calibrate, whatever went wrong. */
typedef struct trial {
    tic_gemm_args args;
    tic_packed packed;
    double shortest; /* seconds, so far */
} trial;

static tic_status prepare(trial *t, tic_ctx *ctx, const tic_gemm_args *args, tic_dtype precision,
                          tic_error *err) {
    *t = (trial){.args = *args, .shortest = 1e30};
    t->args.precision = precision;
    t->packed = tic_gemm_packing(ctx, &t->args);
    if (t->packed.bytes == 0)
        return TIC_OK;
    TIC_TRY(tic_alloc(&t->packed.data, t->packed.bytes, 1, err));
    tic_gemm_pack(&t->packed, args->b);
    t->args.packed_b = &t->packed;
    return TIC_OK;
}

/* Runs the product once and keeps the shortest time. */
static tic_status time_once(trial *t, tic_ctx *ctx, tic_error *err) {
    const double before = tic_now();
    TIC_TRY(tic_gemm(ctx, &t->args, err));
    const double seconds = tic_now() - before;
    if (seconds < t->shortest)
        t->shortest = seconds;
    return TIC_OK;
}

/* f32 and bf16 alternate: what else the machine does meanwhile must not decide between them. */
static tic_status best_rates(tic_ctx *ctx, const tic_gemm_args *args, trial both[2],
                             tic_calibration *out, tic_error *err) {
    TIC_TRY(prepare(&both[0], ctx, args, TIC_F32, err));
    TIC_TRY(prepare(&both[1], ctx, args, TIC_BF16, err));
    const double start = tic_now();
    for (int round = 0; round < CALIBRATE_ROUNDS || tic_now() - start < calibrate_seconds; round++)
        for (int i = 0; i < 2; i++)
            TIC_TRY(time_once(&both[i], ctx, err));
    const double gmacs = (double)CALIBRATE_M * CALIBRATE_N * CALIBRATE_K * 1e-9;
    *out = (tic_calibration){.f32 = gmacs / both[0].shortest, .bf16 = gmacs / both[1].shortest};
    return TIC_OK;
}

tic_status tic_calibrate(tic_ctx *ctx, tic_calibration *out, tic_error *err) {
    const size_t a = (size_t)CALIBRATE_M * CALIBRATE_K, b = (size_t)CALIBRATE_N * CALIBRATE_K;
    const size_t count = a + b + (size_t)CALIBRATE_M * CALIBRATE_N;
    float *operands = NULL;
    TIC_TRY(tic_alloc(&operands, count, sizeof *operands, err));
    const tic_random key = {.seed = 1, .purpose = TIC_RNG_BENCH};
    for (size_t i = 0; i < count; i++)
        operands[i] = (float)(tic_random_u32(key, i) >> 8) * 0x1p-24f - 0.5f;
    const tic_gemm_args args = {.trans = TIC_NT,
                                .m = CALIBRATE_M,
                                .n = CALIBRATE_N,
                                .k = CALIBRATE_K,
                                .a = tic_f32(operands, CALIBRATE_K),
                                .b = tic_f32(operands + a, CALIBRATE_K),
                                .c = tic_f32(operands + a + b, CALIBRATE_N)};
    tic_ctx_purpose(ctx, TIC_FOR_TUNING);
    trial both[2] = {0};
    const tic_status status = best_rates(ctx, &args, both, out, err);
    tic_free(both[0].packed.data);
    tic_free(both[1].packed.data);
    tic_free(operands);
    return status;
}

tic_dtype tic_precision_auto(const tic_calibration *calibration) {
    return calibration->bf16 >= 1.5 * calibration->f32 ? TIC_BF16 : TIC_F32;
}
