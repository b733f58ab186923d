/* Operands of a problem: made, run, and checked against the reference. */
#include "autotune/operands.h"

#include <math.h>
#include <string.h>

enum { BLOCKS = 24 };

/* ---- making --------------------------------------------------------------------------------- */

void *tic_operand_zeros(tic_operands *o, int64_t count, size_t size) {
    void *memory = NULL;
    if (o->failed.status == TIC_OK && o->pieces < TIC_MOST_PIECES &&
        tic_alloc(&memory, (size_t)count, size, &o->failed) == TIC_OK)
        o->piece[o->pieces++] = memory;
    return memory;
}

tic_mat tic_operand_filled(tic_operands *o, int64_t rows, int64_t cols, tic_dtype type,
                           float scale) {
    tic_mat mat = {tic_operand_zeros(o, rows * cols, tic_dtype_size(type)), type, cols};
    uint32_t x = o->seed += 0x9e3779b9u;
    for (int64_t i = 0; mat.data != NULL && i < rows * cols; i++) {
        x = x * 1664525u + 1013904223u; /* Numerical Recipes' generator; its high bits are used */
        float value = (float)((int)(x >> 28) - 8) * 0.0625f * scale;
        if (type == TIC_F32)
            ((float *)mat.data)[i] = value;
        else
            ((tic_bf16 *)mat.data)[i] = tic_to_bf16(value);
    }
    return mat;
}

static void writes(tic_operands *o, tic_mat mat, int64_t rows, int64_t cols, bool added,
                   double absolute, double relative) {
    float *right = tic_operand_zeros(o, rows * cols, sizeof *right);
    o->out[o->outputs++] = (tic_output){mat, rows, cols, added, absolute, relative, right};
}

tic_mat tic_operand_result(tic_operands *o, int64_t rows, int64_t cols, tic_dtype type, bool added,
                           double absolute, double relative) {
    tic_mat mat = {tic_operand_zeros(o, rows * cols, tic_dtype_size(type)), type, cols};
    writes(o, mat, rows, cols, added, absolute, relative);
    return mat;
}

double tic_operand_step(tic_dtype type) {
    return type == TIC_BF16 ? 0x1p-7 : 0;
}

/* Products are exact while 64 k units of 1/256 fit 24 bits. The activations are within 4e-7 of
 * their argument's size, their slopes within 6e-7 (kernels/vec/gelu.h), on either side; |s| is at
 * most a quarter of k, and its root in all likelihood. */
static double gemm_slack(const tic_problem *p) {
    double size = 4 * sqrt((double)p->k), slack = 0;
    if (64.0 * (double)p->k >= 0x1p24)
        slack = 4 * sqrt((double)p->k) * 0x1p-24 * (double)p->k / 4;
    if (p->act != TIC_ACT_NONE)
        slack += 1.2e-6 * (1 + size);
    return slack;
}

static void make_gemm(tic_operands *o) {
    const tic_problem *p = &o->problem;
    const bool ta = p->trans == TIC_TN, tb = p->trans == TIC_NT;
    const double slack = gemm_slack(p);
    tic_gemm_args *args = &o->args.gemm;
    *args = (tic_gemm_args){.trans = p->trans,
                            .precision = o->precision,
                            .m = p->m,
                            .n = p->n,
                            .k = p->k,
                            .act = p->act,
                            .accumulate = p->accumulate};
    args->a = tic_operand_filled(o, ta ? p->k : p->m, ta ? p->m : p->k, p->a, 1);
    args->b = tic_operand_filled(o, tb ? p->n : p->k, tb ? p->k : p->n, p->b, 1);
    args->c = tic_operand_result(o, p->m, p->n, p->c, p->accumulate, slack,
                                 p->act == TIC_ACT_NONE && slack == 0 ? 0 : tic_operand_step(p->c));
    if (p->bias)
        args->bias = tic_operand_filled(o, 1, p->n, TIC_F32, 1).data;
    if (p->pre)
        args->pre = tic_operand_result(o, p->m, p->n, p->kept, false, slack,
                                       slack == 0 ? 0 : tic_operand_step(p->kept));
    if (p->grad_pre)
        args->grad_pre = tic_operand_filled(o, p->m, p->n, p->kept, 4);
    if (p->residual) {
        args->residual = tic_operand_filled(o, p->m, p->n, TIC_F32, 1).data;
        args->ld_residual = p->n;
    }
    if (p->colsum)
        args->colsum = tic_operand_result(o, 1, p->m, TIC_F32, p->accumulate, slack, 0).data;
}

int32_t *tic_operand_offsets(tic_operands *o, int64_t sequences, int length) {
    int32_t *at = tic_operand_zeros(o, sequences + 1, sizeof *at);
    for (int64_t s = 0; at != NULL && s <= sequences; s++)
        at[s] = (int32_t)(s * length);
    return at;
}

static void make_attention(tic_operands *o) {
    const tic_problem *p = &o->problem;
    const int64_t width = (int64_t)p->heads * p->head_dim, keys = p->m * p->length;
    const tic_dtype type = o->precision;
    const bool backward = p->op == TIC_OP_ATTENTION_BACKWARD;
    /* Probabilities are rounded to bf16 at most twice on the way to sums of values below 1/2. */
    const double slack = type == TIC_BF16 ? 0x1p-7 : 2e-6, grow = type == TIC_BF16 ? 0x1p-6 : 1e-5;
    tic_attention_args *args = &o->args.attention;
    o->rows = p->pooled ? p->m : keys;
    *args = (tic_attention_args){.sequences = p->m,
                                 .heads = p->heads,
                                 .head_dim = p->head_dim,
                                 .causal = p->causal,
                                 .scale = (float)(1 / sqrt(p->head_dim))};
    args->kv_offsets = tic_operand_offsets(o, p->m, p->length);
    args->q_offsets = p->pooled ? tic_operand_offsets(o, p->m, 1) : args->kv_offsets;
    args->q = tic_operand_filled(o, o->rows, width, type, 1);
    args->k = tic_operand_filled(o, keys, width, type, 1);
    args->v = tic_operand_filled(o, keys, width, type, 1);
    if (backward) {
        args->o =
            (tic_mat){tic_operand_zeros(o, o->rows * width, tic_dtype_size(type)), type, width};
        args->d_o = tic_operand_filled(o, o->rows, width, type, 1);
        args->dq = tic_operand_result(o, o->rows, width, type, false, slack, grow);
        args->dk = tic_operand_result(o, keys, width, type, false, slack, grow);
        args->dv = tic_operand_result(o, keys, width, type, false, slack, grow);
    } else {
        args->o = tic_operand_result(o, o->rows, width, type, false, slack, grow);
    }
    args->lse = tic_operand_zeros(o, o->rows * p->heads, sizeof(float));
}

float *tic_operand_unit_rows(tic_operands *o, int64_t rows, int64_t d) {
    float *x = tic_operand_filled(o, rows, d, TIC_F32, 1).data;
    for (int64_t i = 0; x != NULL && i < rows; i++) {
        double sum = 1e-9;
        for (int64_t j = 0; j < d; j++)
            sum += (double)x[i * d + j] * x[i * d + j];
        for (int64_t j = 0; j < d; j++)
            x[i * d + j] *= (float)(1 / sqrt(sum));
    }
    return x;
}

static void make_contrastive(tic_operands *o) {
    const tic_problem *p = &o->problem;
    /* A gradient is scale / b times a mean of features: at most 14 / b each. */
    const double slack = 14.0 / (double)p->m * (o->precision == TIC_BF16 ? 0x1p-7 : 1e-5);
    o->args.contrastive =
        (tic_contrastive_args){.b = p->m, .d = p->n, .precision = o->precision, .scale = 14};
    o->args.contrastive.image = tic_operand_unit_rows(o, p->m, p->n);
    o->args.contrastive.text = tic_operand_unit_rows(o, p->m, p->n);
    o->args.contrastive.d_image = tic_operand_result(o, p->m, p->n, TIC_F32, false, slack, 0).data;
    o->args.contrastive.d_text = tic_operand_result(o, p->m, p->n, TIC_F32, false, slack, 0).data;
}

static void make_layernorm(tic_operands *o) {
    const tic_problem *p = &o->problem;
    const bool backward = p->op == TIC_OP_LAYERNORM_BACKWARD;
    tic_layernorm_args *args = &o->args.layernorm;
    *args = (tic_layernorm_args){.rows = p->m, .d = p->n, .eps = 1e-5f, .ld_x = p->n};
    args->x = tic_operand_filled(o, p->m, p->n, TIC_F32, 1).data;
    args->gamma = tic_operand_filled(o, 1, p->n, TIC_F32, 1).data;
    args->beta = tic_operand_filled(o, 1, p->n, TIC_F32, 1).data;
    args->mean = tic_operand_zeros(o, p->m, sizeof(float));
    args->rstd = tic_operand_zeros(o, p->m, sizeof(float));
    if (!backward) {
        args->y = tic_operand_result(o, p->m, p->n, o->precision, false, 1e-5,
                                     tic_operand_step(o->precision));
        return;
    }
    /* Statistics of uniform x: rstd is about 1 / 0.29; sums over rows are off by their length. */
    for (int64_t i = 0; args->rstd != NULL && i < p->m; i++)
        args->rstd[i] = 3.4f;
    args->dy = tic_operand_filled(o, p->m, p->n, o->precision, 1);
    args->ld_dx = p->n;
    args->add_dx = p->accumulate;
    args->dx = tic_operand_result(o, p->m, p->n, TIC_F32, p->accumulate, 1e-5, 1e-5).data;
    double slack = 4e-7 * sqrt((double)p->m) * 16;
    args->dgamma = tic_operand_result(o, 1, p->n, TIC_F32, true, slack, 1e-5).data;
    args->dbeta = tic_operand_result(o, 1, p->n, TIC_F32, true, slack, 1e-5).data;
}

tic_status tic_operands_new(tic_operands **out, const tic_problem *problem, tic_dtype precision,
                            tic_error *err) {
    tic_operands *o = NULL;
    *out = NULL;
    TIC_TRY(tic_alloc(&o, 1, sizeof *o, err));
    o->problem = *problem;
    o->precision = precision;
    switch (problem->op) {
    case TIC_OP_GEMM:
        make_gemm(o);
        break;
    case TIC_OP_ATTENTION:
    case TIC_OP_ATTENTION_BACKWARD:
        make_attention(o);
        break;
    case TIC_OP_CONTRASTIVE:
        make_contrastive(o);
        break;
    case TIC_OP_LAYERNORM:
    case TIC_OP_LAYERNORM_BACKWARD:
        make_layernorm(o);
        break;
    default:
        if (tic_operands_make_more(o))
            break;
        tic_operands_free(o);
        return tic_fail(err, TIC_EUSAGE, "%s has no operands", tic_op_name(problem->op));
    }
    if (o->failed.status != TIC_OK) {
        tic_status status = tic_fail(err, o->failed.status, "%s", o->failed.text);
        tic_operands_free(o);
        return status;
    }
    *out = o;
    return TIC_OK;
}

void tic_operands_free(tic_operands *o) {
    if (o == NULL)
        return;
    for (int i = 0; i < o->pieces; i++)
        tic_free(o->piece[i]);
    tic_free(o);
}

/* ---- running -------------------------------------------------------------------------------- */

const void *tic_operands_args(const tic_operands *operands) {
    return &operands->args;
}

tic_status tic_operands_prepare(tic_operands *o, tic_ctx *ctx, tic_error *err) {
    if (o->problem.op == TIC_OP_ATTENTION_BACKWARD)
        return tic_attention(ctx, &o->args.attention, err);
    return TIC_OK;
}

/* In the panels that the plan's variant reads; what was packed for another variant is kept. */
tic_status tic_operands_pack(tic_operands *o, tic_ctx *ctx, tic_error *err) {
    if (o->problem.op != TIC_OP_GEMM || !o->problem.packed)
        return TIC_OK;
    tic_gemm_args *args = &o->args.gemm;
    args->packed_b = NULL;
    tic_packed packed = tic_gemm_packing(ctx, args);
    int at = 0;
    while (at < o->packings && o->packing[at].format != packed.format)
        at++;
    if (packed.bytes == 0 || at == TIC_MOST_PACKINGS)
        return TIC_OK;
    if (at == o->packings) {
        packed.data = tic_operand_zeros(o, (int64_t)packed.bytes, 1);
        if (packed.data == NULL)
            return tic_fail(err, TIC_ERESOURCE, "no memory for a packed weight of %zu bytes",
                            packed.bytes);
        tic_gemm_pack(&packed, args->b);
        o->packing[o->packings++] = packed;
    }
    args->packed_b = &o->packing[at];
    return TIC_OK;
}

tic_status tic_operands_run(tic_operands *o, tic_ctx *ctx, tic_error *err) {
    switch (o->problem.op) {
    case TIC_OP_GEMM:
        return tic_gemm(ctx, &o->args.gemm, err);
    case TIC_OP_ATTENTION:
        return tic_attention(ctx, &o->args.attention, err);
    case TIC_OP_ATTENTION_BACKWARD:
        return tic_attention_backward(ctx, &o->args.attention, err);
    case TIC_OP_CONTRASTIVE:
        return tic_contrastive(ctx, &o->args.contrastive, err);
    case TIC_OP_LAYERNORM:
        return tic_layernorm(ctx, &o->args.layernorm, err);
    case TIC_OP_LAYERNORM_BACKWARD:
        return tic_layernorm_backward(ctx, &o->args.layernorm, err);
    default:
        return tic_operands_run_more(o, ctx, err);
    }
}

void tic_operands_reset(tic_operands *o) {
    for (int i = 0; i < o->outputs; i++)
        if (o->out[i].added)
            memset(o->out[i].mat.data, 0,
                   (size_t)(o->out[i].rows * o->out[i].cols) * tic_dtype_size(o->out[i].mat.type));
    if (o->fresh != NULL)
        memcpy(o->used, o->fresh, (size_t)o->problem.n * sizeof *o->used);
}

/* ---- checking ------------------------------------------------------------------------------- */

static float element(tic_mat mat, int64_t i) {
    return mat.type == TIC_F32 ? ((const float *)mat.data)[i]
                               : tic_from_bf16(((const tic_bf16 *)mat.data)[i]);
}

bool tic_operands_agree(const tic_operands *o, double *worst) {
    bool agree = true;
    *worst = 0;
    for (int x = 0; x < o->outputs; x++) {
        const tic_output *out = &o->out[x];
        for (int64_t i = 0; i < out->rows * out->cols; i++) {
            double right = out->right[i], off = fabs(element(out->mat, i) - right);
            agree = agree && off <= out->absolute + out->relative * fabs(right);
            if (!(off <= *worst)) /* NaN too */
                *worst = off;
        }
    }
    return agree;
}

static tic_mat shifted(tic_mat mat, int64_t elements) {
    if (mat.data != NULL)
        mat.data = (unsigned char *)mat.data + (size_t)elements * tic_dtype_size(mat.type);
    return mat;
}

/* The reference over the block of C that begins at (i, j), in place. */
static tic_status gemm_block(const tic_gemm_args *whole, int64_t i, int64_t j, int64_t rows,
                             int64_t cols, tic_ctx *ctx, tic_error *err) {
    tic_gemm_args part = *whole;
    part.m = rows;
    part.n = cols;
    part.accumulate = false; /* the outputs were zero before */
    part.packed_b = NULL;
    part.a = shifted(part.a, part.trans == TIC_TN ? i : i * part.a.ld);
    part.b = shifted(part.b, part.trans == TIC_NT ? j * part.b.ld : j);
    part.c = shifted(part.c, i * part.c.ld + j);
    part.pre = shifted(part.pre, i * part.pre.ld + j);
    part.grad_pre = shifted(part.grad_pre, i * part.grad_pre.ld + j);
    part.bias = part.bias != NULL ? part.bias + j : NULL;
    part.residual = part.residual != NULL ? part.residual + i * part.ld_residual + j : NULL;
    part.colsum = part.colsum != NULL ? part.colsum + i : NULL;
    return tic_gemm(ctx, &part, err);
}

/* Blocks of eight by eight: the four corners, and others all over C. */
static tic_status gemm_sample(const tic_gemm_args *args, tic_ctx *ctx, tic_error *err) {
    const int64_t rows = args->m < 8 ? args->m : 8, cols = args->n < 8 ? args->n : 8;
    const tic_random key = {.seed = 5, .purpose = TIC_RNG_BENCH};
    for (int x = 0; x < BLOCKS; x++) {
        int64_t down = args->m - rows, right = args->n - cols;
        int64_t i = x < 4 ? (x & 1) * down
                          : (int64_t)tic_random_below(key, (uint64_t)x, (uint64_t)down + 1);
        int64_t j = x < 4 ? (x >> 1) * right
                          : (int64_t)tic_random_below(key, (uint64_t)x + 1000, (uint64_t)right + 1);
        TIC_TRY(gemm_block(args, i, j, rows, cols, ctx, err));
    }
    return TIC_OK;
}

/* One sequence, in place: all have the same length. */
static tic_status attention_part(tic_operands *o, int64_t s, tic_ctx *ctx, tic_error *err) {
    tic_attention_args part = o->args.attention;
    const int64_t queries = s * (o->problem.pooled ? 1 : o->problem.length);
    const int64_t keys = s * o->problem.length;
    part.sequences = 1;
    part.q = shifted(part.q, queries * part.q.ld);
    part.o = shifted(part.o, queries * part.o.ld);
    part.d_o = shifted(part.d_o, queries * part.d_o.ld);
    part.dq = shifted(part.dq, queries * part.dq.ld);
    part.k = shifted(part.k, keys * part.k.ld);
    part.v = shifted(part.v, keys * part.v.ld);
    part.dk = shifted(part.dk, keys * part.dk.ld);
    part.dv = shifted(part.dv, keys * part.dv.ld);
    part.lse += queries * part.heads;
    return o->problem.op == TIC_OP_ATTENTION ? tic_attention(ctx, &part, err)
                                             : tic_attention_backward(ctx, &part, err);
}

static tic_status reference(tic_operands *o, tic_ctx *ctx, tic_error *err) {
    const tic_problem *p = &o->problem;
    if (p->op == TIC_OP_GEMM)
        return gemm_sample(&o->args.gemm, ctx, err);
    if (p->op == TIC_OP_ATTENTION || p->op == TIC_OP_ATTENTION_BACKWARD) {
        TIC_TRY(attention_part(o, 0, ctx, err));
        return attention_part(o, p->m - 1, ctx, err);
    }
    if (p->op == TIC_OP_CONTRASTIVE && (double)p->m * (double)p->m * (double)p->n > 1e8)
        return tic_operands_loss_sample(o, ctx, err);
    tic_operands_reset(o);
    return tic_operands_run(o, ctx, err);
}

tic_status tic_operands_expect(tic_operands *o, tic_ctx *ctx, tic_error *err) {
    const char *ran = tic_ctx_ran(ctx, o->problem.op);
    double worst;
    for (int x = 0; x < o->outputs; x++)
        for (int64_t i = 0; i < o->out[x].rows * o->out[x].cols; i++)
            o->out[x].right[i] = element(o->out[x].mat, i);
    TIC_TRY(tic_ctx_force(ctx, o->problem.op, "ref", err));
    tic_status status = reference(o, ctx, err);
    TIC_TRY(tic_ctx_force(ctx, o->problem.op, NULL, err));
    TIC_TRY(status);
    if (tic_operands_agree(o, &worst))
        return TIC_OK;
    return tic_fail(err, TIC_EVERIFY,
                    "%s: the default kernel \"%s\" is off by %.3g from the reference",
                    o->problem.name, ran, worst);
}
