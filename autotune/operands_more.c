/* Operands of the operations that are benchmarked but not tuned. Their values, small multiples of
 * 1/16 like all others, make sums exact; what remains is the rounding of divisions and roots. */
#include "autotune/operands.h"

#include <math.h>

/* ---- making ---------------------------------------------------------------------------------- */

static void make_distill(tic_operands *o) {
    const tic_problem *p = &o->problem;
    /* As the contrastive loss's: at most scale / b each. */
    const double slack = 14.0 / (double)p->m * (o->precision == TIC_BF16 ? 0x1p-6 : 1e-5);
    tic_distill_args *args = &o->args.distill;
    *args = (tic_distill_args){.b = p->m,
                               .d = p->n,
                               .teacher_d = p->k,
                               .precision = o->precision,
                               .scale = 14,
                               .teacher_scale = 20};
    args->image = tic_operand_unit_rows(o, p->m, p->n);
    args->text = tic_operand_unit_rows(o, p->m, p->n);
    args->teacher_image = tic_operand_unit_rows(o, p->m, p->k);
    args->teacher_text = tic_operand_unit_rows(o, p->m, p->k);
    args->d_image = tic_operand_result(o, p->m, p->n, TIC_F32, false, slack, 0).data;
    args->d_text = tic_operand_result(o, p->m, p->n, TIC_F32, false, slack, 0).data;
}

static void make_patchify(tic_operands *o) {
    const tic_problem *p = &o->problem;
    const int64_t bytes = p->m * p->n * p->n * 3, grid = p->n / p->k;
    const tic_random key = {.seed = 3, .purpose = TIC_RNG_BENCH};
    uint8_t *pixels = tic_operand_zeros(o, bytes, 1);
    for (int64_t i = 0; pixels != NULL && i < bytes; i++)
        pixels[i] = (uint8_t)tic_random_u32(key, (uint64_t)i);
    o->args.patchify = (tic_patchify_args){.n = p->m,
                                           .size = (int)p->n,
                                           .patch = (int)p->k,
                                           .pixels = pixels,
                                           .mean = {0.48f, 0.46f, 0.41f},
                                           .std = {0.27f, 0.26f, 0.28f}};
    o->args.patchify.out = tic_operand_result(o, p->m * grid * grid, 3 * p->k * p->k, o->precision,
                                              false, 1e-6, 1e-6 + tic_operand_step(o->precision));
}

static void make_embedding(tic_operands *o) {
    const tic_problem *p = &o->problem;
    const int64_t rows = p->m * p->length;
    const bool backward = p->op == TIC_OP_EMBEDDING_BACKWARD, text = p->k > 0;
    tic_embedding_args *args = &o->args.embedding;
    *args = (tic_embedding_args){.sequences = p->m, .d = p->n, .vocab = text ? p->k : 1};
    args->offsets = tic_operand_offsets(o, p->m, p->length);
    if (text) {
        const tic_random key = {.seed = 4, .purpose = TIC_RNG_BENCH};
        int32_t *ids = tic_operand_zeros(o, rows, sizeof *ids);
        for (int64_t i = 0; ids != NULL && i < rows; i++)
            ids[i] = (int32_t)tic_random_below(key, (uint64_t)i, (uint64_t)p->k);
        args->ids = ids;
    }
    if (backward) {
        args->dx = tic_operand_filled(o, rows, p->n, TIC_F32, 1).data;
        args->dtable = tic_operand_result(o, args->vocab, p->n, TIC_F32, true, 0, 0).data;
        args->dposition = tic_operand_result(o, p->length, p->n, TIC_F32, true, 0, 0).data;
        if (!text)
            args->dpatches = tic_operand_result(o, rows - p->m, p->n, o->precision, false, 0, 0);
        return;
    }
    args->table = tic_operand_filled(o, args->vocab, p->n, TIC_F32, 1).data;
    args->position = tic_operand_filled(o, p->length, p->n, TIC_F32, 1).data;
    if (!text)
        args->patches = tic_operand_filled(o, rows - p->m, p->n, TIC_F32, 1).data;
    args->x = tic_operand_result(o, rows, p->n, TIC_F32, false, 0, 0).data;
}

static void make_l2norm(tic_operands *o) {
    const tic_problem *p = &o->problem;
    tic_l2norm_args *args = &o->args.l2norm;
    *args = (tic_l2norm_args){.rows = p->m, .d = p->n, .eps = 1e-12f};
    args->inverse = tic_operand_zeros(o, p->m, sizeof(float));
    if (p->op == TIC_OP_L2NORM) {
        args->x = tic_operand_filled(o, p->m, p->n, TIC_F32, 1).data;
        args->y = tic_operand_result(o, p->m, p->n, TIC_F32, false, 0, 1e-6).data;
        return;
    }
    /* y . dy sums n products below 1/2 / sqrt(n), rounded n times, but not all the same way. */
    args->y = tic_operand_unit_rows(o, p->m, p->n);
    args->dy = tic_operand_filled(o, p->m, p->n, TIC_F32, 1).data;
    for (int64_t i = 0; args->inverse != NULL && i < p->m; i++)
        args->inverse[i] = 1;
    args->dx = tic_operand_result(o, p->m, p->n, TIC_F32, false, 2e-6, 2e-6).data;
}

static void make_adamw(tic_operands *o) {
    const tic_problem *p = &o->problem;
    const float lr = 1e-3f;
    o->fresh = tic_operand_filled(o, 1, p->n, TIC_F32, 1).data;
    o->used = tic_operand_zeros(o, p->n, sizeof(float));
    o->args.adamw = (tic_adamw_args){.n = p->n,
                                     .g = o->used,
                                     .lr = lr,
                                     .beta1 = 0.9f,
                                     .beta2 = 0.98f,
                                     .eps = 1e-6f,
                                     .weight_decay = 0.2f,
                                     .grad_scale = 1,
                                     .step = 1,
                                     .zero_grad = true};
    /* From zeros: w moves by lr, m is g / 10, v is g² / 50, each within some units of rounding. */
    o->args.adamw.w = tic_operand_result(o, 1, p->n, TIC_F32, true, 0, 1e-5).data;
    o->args.adamw.m = tic_operand_result(o, 1, p->n, TIC_F32, true, 0, 1e-6).data;
    o->args.adamw.v = tic_operand_result(o, 1, p->n, TIC_F32, true, 0, 1e-5).data;
}

bool tic_operands_make_more(tic_operands *o) {
    switch (o->problem.op) {
    case TIC_OP_DISTILL:
        make_distill(o);
        return true;
    case TIC_OP_PATCHIFY:
        make_patchify(o);
        return true;
    case TIC_OP_EMBEDDING:
    case TIC_OP_EMBEDDING_BACKWARD:
        make_embedding(o);
        return true;
    case TIC_OP_L2NORM:
    case TIC_OP_L2NORM_BACKWARD:
        make_l2norm(o);
        return true;
    case TIC_OP_ADAMW:
        make_adamw(o);
        return true;
    default:
        return false;
    }
}

/* ---- running --------------------------------------------------------------------------------- */

tic_status tic_operands_run_more(tic_operands *o, tic_ctx *ctx, tic_error *err) {
    switch (o->problem.op) {
    case TIC_OP_DISTILL:
        return tic_distill(ctx, &o->args.distill, err);
    case TIC_OP_PATCHIFY:
        return tic_patchify(ctx, &o->args.patchify, err);
    case TIC_OP_EMBEDDING:
        return tic_embedding(ctx, &o->args.embedding, err);
    case TIC_OP_EMBEDDING_BACKWARD:
        return tic_embedding_backward(ctx, &o->args.embedding, err);
    case TIC_OP_L2NORM:
        return tic_l2norm(ctx, &o->args.l2norm, err);
    case TIC_OP_L2NORM_BACKWARD:
        return tic_l2norm_backward(ctx, &o->args.l2norm, err);
    case TIC_OP_ADAMW:
        return tic_adamw(ctx, &o->args.adamw, err);
    default:
        return tic_fail(err, TIC_EINTERNAL, "%s has no operands", tic_op_name(o->problem.op));
    }
}
