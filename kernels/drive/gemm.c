/* tic_gemm: checks the arguments, names the problem, lets dispatch pick the variant. */
#include "kernels/drive/gemm.h"

#include <stdio.h>

/* ---- the key of a problem ------------------------------------------------------------------- */

/* Rows of a batch vary from step to step: one class holds those up to twice its least. */
static void write_class(char text[24], char name, int64_t rows, bool exact) {
    int64_t least = rows > 0 ? 1 : 0;
    while (!exact && least > 0 && 2 * least <= rows)
        least *= 2;
    snprintf(text, 24, exact ? "%c%lld" : "%c%lld+", name, (long long)(exact ? rows : least));
}

void tic_gemm_shape(const tic_gemm_args *args, char shape[TIC_SHAPE_TEXT]) {
    static const char *const trans[] = {"nn", "nt", "tn"};
    static const char *const acts[] = {"", ",gelu", ",quick_gelu"};
    char m[24], k[24];
    write_class(m, 'm', args->m, args->trans == TIC_TN);
    write_class(k, 'k', args->k, args->trans != TIC_TN);
    snprintf(shape, TIC_SHAPE_TEXT, "%s,%s,n%lld,%s%s%s%s%s%s%s%s%s", trans[args->trans], m,
             (long long)args->n, k, args->bias != NULL ? ",bias" : "", acts[args->act],
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

static tic_status check_packed(const tic_gemm_args *args, tic_error *err) {
    const tic_packed *packed = args->packed_b;
    if (packed == NULL)
        return TIC_OK;
    if (packed->format == NULL || packed->data == NULL || (uintptr_t)packed->data % 64 != 0)
        return tic_fail(err, TIC_EUSAGE,
                        "gemm: packed_b holds nothing, or not from a multiple of "
                        "64 bytes on");
    if (packed->n != args->n || packed->k != args->k || packed->precision != args->precision ||
        (packed->trans == TIC_NT) != (args->trans == TIC_NT))
        return tic_fail(err, TIC_EUSAGE, "gemm: packed_b was packed for another B: n %lld, k %lld",
                        (long long)packed->n, (long long)packed->k);
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
    TIC_TRY(check_packed(args, err));
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
    if (tic_choose(ctx, TIC_OP_GEMM, args->precision, shape, args, &choice, NULL) != TIC_OK)
        return 0;
    if (choice.variant->run == tic_gemm_blocked)
        return tic_gemm_blocked_scratch(ctx, choice.variant, choice.knobs, args);
    return choice.variant->packs != NULL
               ? tic_gemm_tiles_scratch(ctx, choice.variant, choice.knobs, args)
               : 0;
}
