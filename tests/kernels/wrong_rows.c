/* Variants that are wrong in ways that only an audit can see: their results are right. */
#include "kernels/drive/gemm.h"

/* ---- a counter that is told one tile too few ------------------------------------------------- */

static tic_status miscounted(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                             const void *args, tic_error *err) {
    TIC_TRY(tic_gemm_ref(ctx, variant, knobs, args, err));
    tic_count_issued(ctx, 0, ctx->gemm_op, (uint64_t)-12);
    return TIC_OK;
}

/* ---- a micro-kernel with one multiply-add too many ------------------------------------------- */

TIC_PRODUCT static void one_too_many(int64_t k, const void *a, int64_t lda, const void *b,
                                     int64_t ldb, bool add, float *c, int64_t ldc,
                                     const tic_gemm_ahead *ahead) {
    volatile float unused = 1;
    tic_gemm_micro_portable.across[0](k, a, lda, b, ldb, add, c, ldc, ahead);
    unused = unused * unused + unused;
}
static tic_gemm_run *const one_too_many_whole[] = {one_too_many};

/* ---- products that hide as elementwise work -------------------------------------------------- */

static tic_status hidden(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                         const void *arguments, tic_error *err) {
    const tic_gemm_args *args = arguments;
    (void)ctx, (void)variant, (void)knobs, (void)err;
    for (int64_t i = 0; i < args->m; i++)
        for (int64_t j = 0; j < args->n; j++) {
            volatile double sum = 0;
            for (int64_t p = 0; p < args->k; p++)
                sum += (double)((const float *)args->a.data)[i * args->a.ld + p] *
                       ((const float *)args->b.data)[j * args->b.ld + p];
            ((float *)args->c.data)[i * args->c.ld + j] = (float)sum;
        }
    return TIC_OK;
}

/* The product as it should be, and then once more where nobody counts. */
static tic_status hidden_twice(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                               const void *arguments, tic_error *err) {
    TIC_TRY(tic_gemm_ref(ctx, variant, knobs, arguments, err));
    const tic_gemm_args *args = arguments;
    for (int64_t i = 0; i < args->m; i++)
        for (int64_t j = 0; j < args->n; j++) {
            volatile float sum = 0;
            for (int64_t p = 0; p < args->k; p++)
                sum += ((const float *)args->a.data)[i * args->a.ld + p] *
                       ((const float *)args->b.data)[j * args->b.ld + p];
            (void)sum;
        }
    return TIC_OK;
}

/* ---- products of bf16 where no product micro-kernel is --------------------------------------- */

__attribute__((noinline)) static void stray(void) {
    __asm__ volatile("vpxor %%xmm0, %%xmm0, %%xmm0\n\t"
                     "vdpbf16ps %%zmm0, %%zmm0, %%zmm0\n\t"
                     "vzeroupper" ::
                         : "xmm0");
}

static tic_status misplaced(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                            const void *args, tic_error *err) {
    TIC_TRY(tic_gemm_ref(ctx, variant, knobs, args, err));
    stray();
    return TIC_OK;
}

static tic_gemm_micro wrong_micro;
static const tic_variant rows[] = {
    {.info = {"wrong-counter", TIC_OP_GEMM, TIC_ISA_PORTABLE, 3, "counts 12 MACs too few"},
     .run = miscounted},
    {.info = {"wrong-kernel", TIC_OP_GEMM, TIC_ISA_PORTABLE, 3, "multiplies once too often"},
     .run = tic_gemm_blocked,
     .micro = &wrong_micro,
     .knobs = {{"kc", 384, 16, 4096}, {"mc", 144, 12, 4096}, {"nc", 4096, 64, 65536}}},
    {.info = {"hidden", TIC_OP_GEMM, TIC_ISA_PORTABLE, 3, "counts nothing, in no marked function"},
     .run = hidden},
    {.info = {"hidden-twice", TIC_OP_GEMM, TIC_ISA_PORTABLE, 3, "multiplies again, uncounted"},
     .run = hidden_twice},
    {.info = {"misplaced", TIC_OP_GEMM, TIC_ISA_AVX512 | TIC_ISA_AVX512_BF16, 3,
              "products of bf16 in no marked function"},
     .run = misplaced},
};

const tic_variant *tic_test_row(int i) {
    wrong_micro = tic_gemm_micro_portable;
    wrong_micro.across = one_too_many_whole;
    return i < (int)(sizeof rows / sizeof rows[0]) ? &rows[i] : NULL;
}
