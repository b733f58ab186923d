/* tic_gemm: checks the arguments, names the problem, lets dispatch pick the variant. */
#include "kernels/drive/gemm.h"

#include <stdio.h>

/* ---- the key of a problem ------------------------------------------------------------------- */

void tic_gemm_shape(const tic_gemm_args *args, char shape[TIC_SHAPE_TEXT]) {
    static const char *const trans[] = {"nn", "nt", "tn"};
    static const char *const acts[] = {"", ",gelu", ",quick_gelu"};
    snprintf(shape, TIC_SHAPE_TEXT, "%s,m%lld,n%lld,k%lld%s%s%s%s%s%s%s%s", trans[args->trans],
             (long long)args->m, (long long)args->n, (long long)args->k,
             args->bias != NULL ? ",bias" : "", acts[args->act],
             args->pre.data != NULL ? ",pre" : "", args->grad_pre.data != NULL ? ",grad" : "",
             args->residual != NULL ? ",residual" : "", args->accumulate ? ",accumulate" : "",
             args->colsum != NULL ? ",colsum" : "", args->c.type == TIC_BF16 ? ",out16" : "");
}

/* ---- checks --------------------------------------------------------------------------------- */

/* A [rows, cols] operand: present, aligned, and its rows do not overlap. */
static tic_status check_matrix(const char *name, tic_mat mat, int64_t rows, int64_t cols,
                               tic_error *err) {
    if (rows == 0 || cols == 0)
        return TIC_OK;
    if (mat.data == NULL)
        return tic_fail(err, TIC_EUSAGE, "gemm: %s is NULL", name);
    if (mat.type != TIC_F32 && mat.type != TIC_BF16)
        return tic_fail(err, TIC_EUSAGE, "gemm: %s has an unknown type", name);
    if ((uintptr_t)mat.data % tic_dtype_size(mat.type) != 0)
        return tic_fail(err, TIC_EUSAGE, "gemm: %s is not aligned to its elements", name);
    if (mat.ld < cols)
        return tic_fail(err, TIC_EUSAGE, "gemm: %s has ld %lld, less than its %lld columns", name,
                        (long long)mat.ld, (long long)cols);
    return TIC_OK;
}

static tic_status check_epilogue(const tic_gemm_args *args, tic_error *err) {
    if (args->act != TIC_ACT_NONE && args->act != TIC_ACT_GELU && args->act != TIC_ACT_QUICK_GELU)
        return tic_fail(err, TIC_EUSAGE, "gemm: unknown activation");
    if (args->pre.data != NULL && args->grad_pre.data != NULL)
        return tic_fail(err, TIC_EUSAGE, "gemm: pre and grad_pre exclude each other");
    if (args->act == TIC_ACT_NONE && (args->pre.data != NULL || args->grad_pre.data != NULL))
        return tic_fail(err, TIC_EUSAGE, "gemm: pre and grad_pre need an activation");
    if (args->accumulate && args->c.type != TIC_F32)
        return tic_fail(err, TIC_EUSAGE, "gemm: only f32 is accumulated to");
    if (args->colsum != NULL && args->trans != TIC_TN)
        return tic_fail(err, TIC_EUSAGE, "gemm: colsum goes with TIC_TN only");
    if (args->pre.data != NULL)
        TIC_TRY(check_matrix("pre", args->pre, args->m, args->n, err));
    if (args->grad_pre.data != NULL)
        TIC_TRY(check_matrix("grad_pre", args->grad_pre, args->m, args->n, err));
    if (args->residual != NULL)
        TIC_TRY(check_matrix("residual", tic_f32(args->residual, args->ld_residual), args->m,
                             args->n, err));
    return TIC_OK;
}

static tic_status check(const tic_gemm_args *args, tic_error *err) {
    const int64_t most = INT32_MAX;
    if (args->trans != TIC_NN && args->trans != TIC_NT && args->trans != TIC_TN)
        return tic_fail(err, TIC_EUSAGE, "gemm: unknown transposition");
    if (args->precision != TIC_F32 && args->precision != TIC_BF16)
        return tic_fail(err, TIC_EUSAGE, "gemm: unknown precision");
    if (args->m < 0 || args->n < 0 || args->k < 0 || args->m > most || args->n > most ||
        args->k > most)
        return tic_fail(err, TIC_EUSAGE, "gemm: m %lld, n %lld, k %lld are not in 0..2^31-1",
                        (long long)args->m, (long long)args->n, (long long)args->k);
    bool a_across = args->trans != TIC_TN, b_across = args->trans == TIC_NT;
    TIC_TRY(check_matrix("a", args->a, a_across ? args->m : args->k, a_across ? args->k : args->m,
                         err));
    TIC_TRY(check_matrix("b", args->b, b_across ? args->n : args->k, b_across ? args->k : args->n,
                         err));
    TIC_TRY(check_matrix("c", args->c, args->m, args->n, err));
    return check_epilogue(args, err);
}

/* ---- the operation -------------------------------------------------------------------------- */

tic_status tic_gemm(tic_ctx *ctx, const tic_gemm_args *args, tic_error *err) {
    char shape[TIC_SHAPE_TEXT];
    TIC_TRY(check(args, err));
    tic_gemm_shape(args, shape);
    TIC_TRY(tic_dispatch(ctx, TIC_OP_GEMM, args->precision, shape, args, err));
    tic_count_logical(ctx, ctx->gemm_op, (uint64_t)args->m * (uint64_t)args->n * (uint64_t)args->k);
    return TIC_OK;
}

tic_status tic_gemm_for(tic_ctx *ctx, tic_op op, const tic_gemm_args *args, tic_error *err) {
    ctx->gemm_op = op;
    tic_status status = tic_gemm(ctx, args, err);
    ctx->gemm_op = TIC_OP_GEMM;
    return status;
}

size_t tic_gemm_scratch(const tic_ctx *ctx, const tic_gemm_args *args) {
    char shape[TIC_SHAPE_TEXT];
    tic_choice choice;
    tic_gemm_shape(args, shape);
    if (tic_choose(ctx, TIC_OP_GEMM, args->precision, shape, args, &choice, NULL) != TIC_OK ||
        choice.variant->run != tic_gemm_blocked)
        return 0;
    return tic_gemm_blocked_scratch(ctx, choice.variant, choice.knobs, args);
}
