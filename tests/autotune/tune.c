/* A real, tiny tuning: every line of the plan names what ran, wrong kernels are never timed, what
 * is known is not measured again. */
#include "autotune/room.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static tic_error err;
#define OK(call) cr_assert_eq(call, TIC_OK, "%s: %s", #call, err.text)

static const tic_problem problems[] = {
    {.name = "forward",
     .op = TIC_OP_GEMM,
     .trans = TIC_NT,
     .m = 60,
     .n = 70,
     .k = 50,
     .bias = true,
     .act = TIC_ACT_GELU,
     .pre = true,
     .packed = true},
    {.name = "dX",
     .op = TIC_OP_GEMM,
     .trans = TIC_NN,
     .m = 61,
     .n = 50,
     .k = 70,
     .act = TIC_ACT_QUICK_GELU,
     .grad_pre = true,
     .packed = true},
    {.name = "dW",
     .op = TIC_OP_GEMM,
     .trans = TIC_TN,
     .m = 70,
     .n = 50,
     .k = 60,
     .accumulate = true,
     .colsum = true},
    {.name = "residual",
     .op = TIC_OP_GEMM,
     .trans = TIC_NT,
     .m = 7,
     .n = 200,
     .k = 700,
     .residual = true},
    {.name = "attention",
     .op = TIC_OP_ATTENTION,
     .m = 3,
     .length = 9,
     .heads = 2,
     .head_dim = 16,
     .calls = 3},
    {.name = "causal",
     .op = TIC_OP_ATTENTION,
     .m = 3,
     .length = 9,
     .heads = 2,
     .head_dim = 16,
     .causal = true,
     .calls = 2},
    {.name = "pooled",
     .op = TIC_OP_ATTENTION,
     .m = 3,
     .length = 9,
     .heads = 2,
     .head_dim = 16,
     .pooled = true,
     .calls = 1},
    {.name = "backward",
     .op = TIC_OP_ATTENTION_BACKWARD,
     .m = 3,
     .length = 9,
     .heads = 2,
     .head_dim = 16,
     .causal = true},
    {.name = "loss", .op = TIC_OP_CONTRASTIVE, .m = 33, .n = 40},
    {.name = "norm", .op = TIC_OP_LAYERNORM, .m = 30, .n = 50},
    {.name = "norm backward", .op = TIC_OP_LAYERNORM_BACKWARD, .m = 30, .n = 50},
    {.name = "not tuned", .op = TIC_OP_ADAMW, .m = 10},
};
enum { PROBLEMS = sizeof problems / sizeof problems[0], KEYS = 9 };

static void in_type(tic_problem *out, tic_dtype type) {
    memcpy(out, problems, sizeof problems);
    for (int i = 0; i < PROBLEMS; i++) {
        out[i].a = out[i].kept = type;
        out[i].c = out[i].accumulate || out[i].residual ? TIC_F32 : type;
    }
}

/* ---- operands ------------------------------------------------------------------------------- */

/* The default passes; one wrong element anywhere does not. */
static void one_wrong_element_shows(const tic_problem *problem, tic_dtype precision) {
    tic_ctx *ctx = NULL;
    tic_operands *o = NULL;
    double worst;
    OK(tic_ctx_new(&ctx, &(tic_ctx_options){.threads = 1}, &err));
    OK(tic_operands_new(&o, problem, precision, &err));
    OK(tic_operands_prepare(o, ctx, &err));
    tic_operands_reset(o);
    OK(tic_operands_run(o, ctx, &err));
    OK(tic_operands_expect(o, ctx, &err));
    tic_operands_reset(o);
    OK(tic_operands_run(o, ctx, &err));
    cr_assert(tic_operands_agree(o, &worst), "%s: off by %g", problem->name, worst);
    if (problem->op == TIC_OP_GEMM) {
        const tic_gemm_args *args = tic_operands_args(o);
        int64_t at = args->m / 2 * args->c.ld + args->n / 3;
        if (args->c.type == TIC_F32)
            ((float *)args->c.data)[at] += 0x1p-6f;
        else
            ((tic_bf16 *)args->c.data)[at] ^= 8;
        cr_assert_not(tic_operands_agree(o, &worst), "%s: a changed element was not seen",
                      problem->name);
        ((float *)args->c.data)[0] = NAN;
        cr_assert_not(tic_operands_agree(o, &worst), "%s: NaN", problem->name);
    }
    tic_operands_free(o);
    tic_ctx_free(ctx);
}

Test(operands, one_wrong_element_shows) {
    tic_problem list[PROBLEMS];
    for (int type = TIC_F32; type <= TIC_BF16; type++) {
        in_type(list, (tic_dtype)type);
        for (int i = 0; i < PROBLEMS - 1; i++)
            one_wrong_element_shows(&list[i], (tic_dtype)type);
    }
}

/* ---- candidates ------------------------------------------------------------------------------ */

/* A made-up machine; the default stands first, none is there twice, at most `limit` are measured.
 */
static int made(size_t l2, double seconds, int limit, tic_candidate **list) {
    tic_ctx *ctx = NULL;
    tic_operands *o = NULL;
    int count = 0, measured = 0;
    const tic_machine machine = {.l1d = 32768,
                                 .l2 = l2,
                                 .l3 = 32 << 20,
                                 .threads = 1,
                                 .peak = {100, 50, 0},
                                 .peak_avx2 = 60,
                                 .peak_portable = 10,
                                 .bandwidth = 20};
    OK(tic_ctx_new(&ctx, &(tic_ctx_options){.threads = 1}, &err));
    const tic_problem problem = {
        .name = "x", .op = TIC_OP_GEMM, .trans = TIC_NT, .m = 400, .n = 600, .k = 1600};
    OK(tic_operands_new(&o, &problem, TIC_F32, &err));
    const tic_search_space space = {
        ctx,     &machine, &problem, TIC_F32, "nt,m400,n600,k1600", tic_operands_args(o),
        seconds, limit};
    OK(tic_candidates_make(list, &count, &space, &err));
    for (int i = 0; i < count; i++) {
        measured += (*list)[i].fate == TIC_MEASURED;
        cr_expect(((*list)[i].fate == TIC_MEASURED) == ((*list)[i].why[0] == '\0'), "%s: \"%s\"",
                  (*list)[i].line, (*list)[i].why);
        for (int j = 0; j < i; j++)
            cr_expect_str_neq((*list)[i].line, (*list)[j].line);
    }
    cr_expect_eq((*list)[0].fate, TIC_MEASURED);
    tic_operands_free(o);
    tic_ctx_free(ctx);
    cr_expect(measured <= limit && count > measured, "%d of %d", measured, count);
    return count;
}

Test(candidates, are_pruned_with_reasons) {
    tic_candidate *list;
    int count = made(1 << 20, 0, TIC_CANDIDATES, &list), reference = 0;
    for (int i = 0; i < count; i++)
        reference += strcmp(tic_variant_get(list[i].variant).name, "ref") == 0 &&
                     list[i].fate == TIC_DECLINED;
    cr_expect_eq(reference, 1);
    tic_free(list);
    tic_free((made(1 << 20, 0, 8, &list), list));
    /* half the L2: blocks that fitted do not */
    int misfits = 0;
    count = made(64 << 10, 0, TIC_CANDIDATES, &list);
    for (int i = 0; i < count; i++)
        misfits += strstr(list[i].why, "L2") != NULL;
    cr_expect_gt(misfits, 0);
    tic_free(list);
}

/* 384 MMAC at 100 GMAC/s are 3.84 ms: units of 10 cannot beat a default of 4 ms. */
Test(candidates, slow_units_are_left_out_by_the_roofline) {
    tic_candidate *list;
    int slow = 0, count = made(1 << 20, 4e-3, TIC_CANDIDATES, &list);
    for (int i = 1; i < count; i++)
        if (strcmp(tic_variant_get(list[i].variant).name, "portable") == 0) {
            cr_expect_eq(list[i].fate, TIC_PRUNED);
            slow += strstr(list[i].why, "10 GMAC/s") != NULL;
        }
    cr_expect_gt(slow, 0);
    tic_free(list);
}

/* ---- all of it ------------------------------------------------------------------------------- */

typedef struct seen {
    int done, progress, stop_after;
} seen;

static void on_done(void *user, const tic_tuned *t) {
    seen *s = user;
    s->done++;
    cr_expect_eq(t->candidates[0].fate, TIC_MEASURED);
    cr_expect(t->seconds > 0 && t->seconds <= t->default_seconds);
    cr_expect(t->winner == 0 || t->gain >= 0.02, "%s: %g", t->key, t->gain);
    cr_expect(t->peak > 0 && t->bandwidth > 0 && t->bytes > 0);
    for (int i = 0; i < t->count; i++)
        cr_expect(t->candidates[i].fate != TIC_WRONG, "%s: %s %s", t->key, t->candidates[i].line,
                  t->candidates[i].why);
}
static void on_progress(void *user, const tic_tune_progress *p) {
    ((seen *)user)->progress++;
    cr_expect(p->key >= 0 && p->key < p->keys);
}
static bool stop(void *user) {
    seen *s = user;
    return s->stop_after > 0 && s->done >= s->stop_after;
}

Test(tune, fills_a_plan_that_runs) {
    tic_problem list[PROBLEMS];
    for (int type = TIC_F32; type <= TIC_BF16; type++) {
        tic_plan *plan = NULL;
        tic_ctx *ctx = NULL;
        seen s = {0};
        in_type(list, (tic_dtype)type);
        OK(tic_plan_new(&plan, &err));
        cr_assert_eq(tic_tune_missing(plan, list, PROBLEMS, (tic_dtype)type), KEYS);
        const tic_tune_options options = {.precision = (tic_dtype)type,
                                          .threads = 2,
                                          .seconds = 1,
                                          .progress = on_progress,
                                          .done = on_done,
                                          .stop = stop,
                                          .user = &s};
        OK(tic_tune(plan, list, PROBLEMS, &options, &err));
        cr_expect_eq(s.done, KEYS);
        cr_expect_eq(tic_plan_lines(plan), KEYS);
        cr_expect_eq(tic_tune_missing(plan, list, PROBLEMS, (tic_dtype)type), 0);
        OK(tic_ctx_new(&ctx, &(tic_ctx_options){.threads = 2, .plan = plan}, &err));
        tic_ctx_free(ctx);
        OK(tic_tune(plan, list, PROBLEMS, &options, &err));
        cr_expect_eq(s.done, KEYS, "what is known was measured again");
        tic_plan_free(plan);
    }
}

/* One key speaks for all shapes of a layernorm, however many a model has. */
enum { MANY = 40 };
static void on_many(void *user, const tic_tuned *t) {
    uint64_t bytes = 0;
    for (int i = 1; i <= MANY; i++) {
        const tic_layernorm_args a = {.rows = i, .d = 24, .y = tic_f32(NULL, 24)};
        bytes += tic_demand_of(TIC_OP_LAYERNORM, &a).bytes;
    }
    cr_expect_eq(t->bytes, bytes, "%llu bytes, not %llu", (unsigned long long)t->bytes,
                 (unsigned long long)bytes);
    cr_expect_not_null(strstr(t->name, "39 others"), "%s", t->name);
    ++*(int *)user;
}

Test(tune, measures_every_problem_of_a_key) {
    tic_problem list[MANY];
    tic_plan *plan = NULL;
    int keys = 0;
    for (int i = 0; i < MANY; i++)
        list[i] = (tic_problem){.name = "norm", .op = TIC_OP_LAYERNORM, .m = i + 1, .n = 24};
    OK(tic_plan_new(&plan, &err));
    const tic_tune_options options = {.threads = 1, .seconds = 1, .done = on_many, .user = &keys};
    OK(tic_tune(plan, list, MANY, &options, &err));
    cr_expect_eq(keys, 1);
    tic_plan_free(plan);
}

Test(tune, stops_and_keeps_what_it_found) {
    tic_plan *plan = NULL;
    seen s = {.stop_after = 2};
    OK(tic_plan_new(&plan, &err));
    tic_tune_options options = {
        .threads = 1, .seconds = 1, .done = on_done, .stop = stop, .user = &s};
    cr_expect_eq(tic_tune(plan, problems, PROBLEMS, &options, &err), TIC_EINTERRUPTED);
    cr_expect_eq(tic_plan_lines(plan), 2);
    s.stop_after = 0;
    options.only = "norm back";
    OK(tic_tune(plan, problems, PROBLEMS, &options, &err));
    cr_expect_eq(tic_plan_lines(plan), 3);
    tic_plan_free(plan);
}
