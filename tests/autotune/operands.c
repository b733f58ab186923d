/* Operands of the operations that are benchmarked but not tuned (tune.c tests the others): every
 * variant agrees with the reference again and again, and one wrong element shows. */
#include "autotune/autotune.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static tic_error err;
#define OK(call) cr_assert_eq(call, TIC_OK, "%s: %s", #call, err.text)

static const tic_problem problems[] = {
    {.name = "distill", .op = TIC_OP_DISTILL, .m = 33, .n = 40, .k = 24},
    {.name = "patchify", .op = TIC_OP_PATCHIFY, .m = 3, .n = 24, .k = 8},
    {.name = "words", .op = TIC_OP_EMBEDDING, .m = 5, .n = 40, .k = 90, .length = 7},
    {.name = "pictures", .op = TIC_OP_EMBEDDING, .m = 5, .n = 40, .length = 7},
    {.name = "words dX", .op = TIC_OP_EMBEDDING_BACKWARD, .m = 5, .n = 40, .k = 90, .length = 7},
    {.name = "pictures dX", .op = TIC_OP_EMBEDDING_BACKWARD, .m = 5, .n = 40, .length = 7},
    {.name = "l2norm", .op = TIC_OP_L2NORM, .m = 30, .n = 50},
    {.name = "l2norm dX", .op = TIC_OP_L2NORM_BACKWARD, .m = 30, .n = 50},
    {.name = "adamw", .op = TIC_OP_ADAMW, .n = 40000},
    {.name = "large loss", .op = TIC_OP_CONTRASTIVE, .m = 600, .n = 400},
};

/* An output's element that any call writes. */
static float *an_output(tic_op op, const void *args) {
    switch (op) {
    case TIC_OP_DISTILL:
        return ((const tic_distill_args *)args)->d_text + 70;
    case TIC_OP_CONTRASTIVE:
        return ((const tic_contrastive_args *)args)->d_text + 70;
    case TIC_OP_PATCHIFY:
        return (float *)((const tic_patchify_args *)args)->out.data + 70;
    case TIC_OP_EMBEDDING:
        return ((const tic_embedding_args *)args)->x + 70;
    case TIC_OP_EMBEDDING_BACKWARD:
        return ((const tic_embedding_args *)args)->dposition + 70;
    case TIC_OP_L2NORM:
        return ((const tic_l2norm_args *)args)->y + 70;
    case TIC_OP_L2NORM_BACKWARD:
        return ((const tic_l2norm_args *)args)->dx + 70;
    default:
        return ((const tic_adamw_args *)args)->v + 70;
    }
}

static void run_and_agree(tic_operands *o, tic_ctx *ctx, const char *what) {
    double worst;
    tic_operands_reset(o);
    OK(tic_operands_run(o, ctx, &err));
    cr_assert(tic_operands_agree(o, &worst), "%s: off by %g", what, worst);
}

static void check(const tic_problem *problem, tic_dtype precision) {
    tic_ctx *ctx = NULL;
    tic_operands *o = NULL;
    double worst;
    OK(tic_ctx_new(&ctx, &(tic_ctx_options){.threads = 2}, &err));
    OK(tic_operands_new(&o, problem, precision, &err));
    OK(tic_operands_prepare(o, ctx, &err));
    tic_operands_reset(o);
    OK(tic_operands_run(o, ctx, &err));
    OK(tic_operands_expect(o, ctx, &err));
    for (int v = 0; v < tic_variant_count(); v++) {
        const tic_variant_info info = tic_variant_get(v);
        const bool slow = problem->op == TIC_OP_CONTRASTIVE && strcmp(info.name, "ref") == 0;
        if (info.op != problem->op || !(info.precisions >> precision & 1) || slow ||
            tic_ctx_force(ctx, info.op, info.name, NULL) != TIC_OK)
            continue;
        run_and_agree(o, ctx, info.name);
        run_and_agree(o, ctx, info.name); /* from the same beginning */
    }
    float *element = an_output(problem->op, tic_operands_args(o));
    *element += 0x1p-6f + fabsf(*element) / 16; /* more than any rounding */
    cr_assert_not(tic_operands_agree(o, &worst), "%s: a changed element was not seen",
                  problem->name);
    *element = NAN;
    cr_assert_not(tic_operands_agree(o, &worst), "%s: NaN", problem->name);
    tic_operands_free(o);
    tic_ctx_free(ctx);
}

Test(operands, of_every_operation) {
    for (size_t i = 0; i < sizeof problems / sizeof problems[0]; i++) {
        check(&problems[i], TIC_F32);
        if (problems[i].op == TIC_OP_DISTILL || problems[i].op == TIC_OP_CONTRASTIVE)
            check(&problems[i], TIC_BF16);
    }
}

/* What the large loss is held against is what the reference says. */
Test(operands, the_sampled_loss_is_the_reference) {
    const tic_problem *problem = &problems[sizeof problems / sizeof problems[0] - 1];
    tic_ctx *ctx = NULL;
    tic_operands *o = NULL;
    double worst;
    OK(tic_ctx_new(&ctx, &(tic_ctx_options){.threads = 2}, &err));
    OK(tic_operands_new(&o, problem, TIC_F32, &err));
    OK(tic_operands_run(o, ctx, &err));
    OK(tic_operands_expect(o, ctx, &err));
    OK(tic_ctx_force(ctx, problem->op, "ref", &err));
    OK(tic_operands_run(o, ctx, &err));
    cr_assert(tic_operands_agree(o, &worst), "off by %g", worst);
    tic_operands_free(o);
    tic_ctx_free(ctx);
}
