/* The problems of a step are the calls of a step: their MACs add up to the logical ones, their keys
 * are those that the calls ask a plan for. */
#include "support.h"

#include <criterion/criterion.h>
#include <stdio.h>

#include <string.h>

static tic_error err;

static uint64_t macs_of(const tic_problem *p) {
    const uint64_t m = (uint64_t)p->m, length = (uint64_t)p->length;
    const uint64_t width = (uint64_t)p->heads * (uint64_t)p->head_dim;
    const uint64_t pairs = p->pooled   ? length
                           : p->causal ? length * (length + 1) / 2
                                       : length * length;
    switch (p->op) {
    case TIC_OP_GEMM:
        return m * (uint64_t)p->n * (uint64_t)p->k;
    case TIC_OP_ATTENTION:
        return 2 * m * pairs * width;
    case TIC_OP_ATTENTION_BACKWARD:
        return 4 * m * pairs * width;
    case TIC_OP_CONTRASTIVE:
        return tic_contrastive_macs(p->m, p->n, true);
    default:
        return 0;
    }
}

static void adds_up(const char *name, int64_t batch, int tokens, tic_dtype precision) {
    tic_config config;
    tic_problems problems;
    int32_t offsets[65];
    cr_assert_eq(tic_config_find(&config, name, &err), TIC_OK, "%s", err.text);
    const tic_model_options options = {.batch = batch, .precision = precision, .train = true};
    cr_assert_eq(tic_model_problems(&problems, &config, &options, tokens, &err), TIC_OK, "%s",
                 err.text);
    for (int64_t s = 0; s <= batch; s++)
        offsets[s] = (int32_t)s * tokens;
    uint64_t listed = 0, needed = tic_logical_loss(&config, batch);
    for (int backward = 0; backward < 2; backward++)
        needed += tic_logical_image(&config, batch, backward) +
                  tic_logical_text(&config, batch, offsets, backward);
    for (size_t i = 0; i < problems.count; i++)
        listed += macs_of(&problems.list[i]) * (uint64_t)problems.list[i].calls;
    cr_expect_eq(listed, needed, "%s: %llu listed, %llu needed", name, (unsigned long long)listed,
                 (unsigned long long)needed);
    tic_problems_free(&problems);
}

Test(problems, macs_add_up) {
    adds_up("ViT-B-32", 32, 20, TIC_F32);
    adds_up("ViT-B-16", 16, 77, TIC_BF16);
    adds_up("ViT-Nano-8-40", 64, 12, TIC_F32);
}

/* A plan with a line for every problem's key names "ref" for gemm; a step must then run nothing
 * else. */
Test(problems, keys_are_those_of_a_step) {
    tic_problems problems;
    tic_plan *plan = NULL;
    tic_config config;
    char key[TIC_PROBLEM_KEY], line[TIC_PROBLEM_KEY + 8];
    cr_assert_eq(tic_config_find(&config, "ViT-Nano-8-40", &err), TIC_OK, "%s", err.text);
    const tic_model_options options = {.batch = 2, .train = true};
    cr_assert_eq(tic_model_problems(&problems, &config, &options, 5, &err), TIC_OK, "%s", err.text);
    cr_assert_eq(tic_plan_new(&plan, &err), TIC_OK);
    cr_assert_eq(tic_plan_add(plan, "gemm/f32/any portable", &err), TIC_OK, "%s", err.text);
    for (size_t i = 0; i < problems.count; i++) {
        tic_problem_key(&problems.list[i], TIC_F32, key);
        snprintf(line, sizeof line, "%s ref", key);
        cr_assert_eq(tic_plan_add(plan, line, &err), TIC_OK, "%s", err.text);
    }
    tic_ctx *ctx = NULL;
    tic_model *model = NULL;
    cr_assert_eq(tic_ctx_new(&ctx, &(tic_ctx_options){.threads = 1, .plan = plan}, &err), TIC_OK);
    cr_assert_eq(tic_model_new(&model, ctx, &config, &options, &err), TIC_OK, "%s", err.text);
    tic_model_init(model, 1);
    uint8_t *pixels = NULL;
    int32_t ids[10], offsets[] = {0, 5, 10};
    cr_assert_eq(
        tic_alloc(&pixels, 2 * 3 * (size_t)(config.image_size * config.image_size), 1, &err),
        TIC_OK);
    for (int i = 0; i < 10; i++)
        ids[i] = i;
    const tic_batch batch = {.n = 2, .pixels = pixels, .ids = ids, .offsets = offsets};
    tic_step_loss loss;
    cr_assert_eq(tic_model_gradients(model, &batch, &(tic_loss_options){0}, &loss, &err), TIC_OK,
                 "%s", err.text);
    /* what ran gemm last was a layer's; the reference's issued MACs are its logical ones, a
     * blocked kernel's are padded */
    tic_counters counters;
    tic_ctx_counters(ctx, &counters);
    uint64_t issued = 0, logical = 0;
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        issued += counters.by[p][TIC_OP_GEMM].issued;
        logical += counters.by[p][TIC_OP_GEMM].logical;
    }
    cr_expect_eq(issued, logical, "%llu issued, %llu logical: a call had another key",
                 (unsigned long long)issued, (unsigned long long)logical);
    cr_expect_gt(logical, 0);
    tic_free(pixels);
    tic_model_free(model);
    tic_ctx_free(ctx);
    tic_plan_free(plan);
    tic_problems_free(&problems);
}
