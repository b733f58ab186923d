/* The tensors: OpenCLIP's names, order and shapes, their places, and their initial values. */
#include "model/room.h"
#include "tests/model/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "name 12 34\n" as tests/golden/make_model.py writes it. */
static void describe(const tic_tensor *tensor, char *out, size_t size) {
    size_t used = (size_t)snprintf(out, size, "%s", tensor->name);
    for (int i = 0; i < tensor->rank; i++)
        used += (size_t)snprintf(out + used, size - used, " %lld", (long long)tensor->shape[i]);
    snprintf(out + used, size - used, "\n");
}

Test(layout, vit_b_16_is_openclips_state_dict) {
    tic_config config;
    tic_layout layout;
    tic_tensor_row *rows = NULL;
    char want[256], got[256];
    MUST(tic_config_find(&config, "ViT-B-16", err));
    tic_layout_of(&config, &layout, NULL);
    cr_assert(layout.count == 302);
    MUST(tic_alloc(&rows, 302, sizeof *rows, err));
    tic_layout_of(&config, &layout, rows);
    FILE *golden = fopen(TIC_GOLDEN "/vit_b_16.tensors", "r");
    cr_assert(golden != NULL);
    for (int i = 0; i < 302; i++) {
        cr_assert(fgets(want, sizeof want, golden) != NULL);
        describe(&rows[i].tensor, got, sizeof got);
        cr_expect(strcmp(got, want) == 0, "%s is not %s", got, want);
    }
    cr_expect(fgets(want, sizeof want, golden) == NULL);
    fclose(golden);
    tic_free(rows);
}

static int by_offset(const void *a, const void *b) {
    const tic_tensor *x = *(const tic_tensor *const *)a, *y = *(const tic_tensor *const *)b;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

Test(layout, tensors_are_aligned_disjoint_and_grouped) {
    const tic_config config = test_config(false);
    const tic_model_options options = {.batch = 1};
    tic_ctx *ctx = test_ctx(1);
    tic_model *model = test_model(ctx, &config, &options);
    const int count = tic_model_tensor_count(model);
    const tic_tensor **sorted = NULL;
    MUST(tic_alloc(&sorted, (size_t)count, sizeof *sorted, err));
    for (int i = 0; i < count; i++)
        sorted[i] = tic_model_tensor(model, i);
    qsort(sorted, (size_t)count, sizeof *sorted, by_offset);
    int64_t end = 0;
    bool decay = true;
    for (int i = 0; i < count; i++) {
        cr_expect(sorted[i]->offset % 16 == 0 && sorted[i]->offset >= end, "%s", sorted[i]->name);
        cr_expect(sorted[i]->decay == (sorted[i]->rank >= 2), "%s", sorted[i]->name);
        cr_expect(decay || !sorted[i]->decay, "%s comes after the decaying", sorted[i]->name);
        for (int64_t j = end; j < sorted[i]->offset; j++)
            cr_expect(tic_model_weights(model)[j] == 0);
        decay = sorted[i]->decay;
        end = sorted[i]->offset + sorted[i]->count;
    }
    cr_expect(end <= tic_model_size(model));
    cr_expect(tic_model_find(model, "visual.proj")->count == 24 * 12);
    cr_expect(tic_model_find(model, "visual.pro") == NULL);
    tic_free(sorted);
    tic_model_free(model);
    tic_ctx_free(ctx);
}

/* ---- initialisation -------------------------------------------------------------------------- */

typedef struct expectation { /* of reference/openclip.md's init table, for the config below */
    const char *name;
    bool uniform;
    double value; /* standard deviation, or bound of a uniform */
} expectation;

/* The sample's spread lies within five standard errors of the rule's; a uniform's range as well. */
static void check_spread(const tic_model *model, const float *weights, const expectation *e) {
    const tic_tensor *tensor = tic_model_find(model, e->name);
    cr_assert(tensor != NULL, "%s", e->name);
    const float *w = weights + tensor->offset;
    double sum = 0, squares = 0, most = 0;
    for (int64_t i = 0; i < tensor->count; i++) {
        sum += w[i];
        squares += (double)w[i] * w[i];
        most = fmax(most, fabs(w[i]));
    }
    const double n = (double)tensor->count, std = e->uniform ? e->value / sqrt(3) : e->value;
    const double kurtosis = e->uniform ? 1.8 : 3; /* variance of x² is (kurtosis - 1) std⁴ */
    cr_expect(fabs(sum / n) <= 5 * std / sqrt(n), "%s: mean %g", e->name, sum / n);
    cr_expect(fabs(squares / n / (std * std) - 1) <= 5 * sqrt((kurtosis - 1) / n),
              "%s: std %g, not %g", e->name, sqrt(squares / n), std);
    cr_expect(!e->uniform || (most <= e->value * (1 + 1e-6) && most > 0.9 * e->value), "%s",
              e->name);
}

static void check_constant(const tic_model *model, const float *weights, const char *name,
                           double value) {
    const tic_tensor *tensor = tic_model_find(model, name);
    cr_assert(tensor != NULL, "%s", name);
    for (int64_t i = 0; i < tensor->count; i++)
        cr_expect(weights[tensor->offset + i] == (float)value, "%s", name);
}

Test(layout, initialisation_is_openclips) {
    tic_config config;
    MUST(tic_config_find(&config, "ViT-Nano-8-40", err)); /* width 128, 3 layers, patch 8 */
    config.vocab_size = 1000;
    const tic_model_options options = {.batch = 1};
    tic_ctx *ctx = test_ctx(1);
    tic_model *model = NULL;
    MUST(tic_model_new(&model, ctx, &config, &options, err));
    tic_model_init(model, 3);
    const double w = 1 / sqrt(128.0), depth = 1 / sqrt(6.0);
    const expectation table[] = {
        {"token_embedding.weight", false, 0.02},
        {"positional_embedding", false, 0.01},
        {"text_projection", false, w},
        {"transformer.resblocks.1.attn.in_proj_weight", false, w},
        {"transformer.resblocks.1.attn.out_proj.weight", false, w * depth},
        {"transformer.resblocks.1.mlp.c_fc.weight", false, 1 / sqrt(256.0)},
        {"transformer.resblocks.1.mlp.c_proj.weight", false, w * depth},
        {"transformer.resblocks.1.mlp.c_fc.bias", true, w},
        {"transformer.resblocks.1.mlp.c_proj.bias", true, 1 / sqrt(512.0)},
        {"visual.class_embedding", false, w},
        {"visual.positional_embedding", false, w},
        {"visual.proj", false, w},
        {"visual.conv1.weight", true, 1 / sqrt(192.0)},
        {"visual.transformer.resblocks.2.attn.in_proj_weight", true, sqrt(6.0 / 512)},
        {"visual.transformer.resblocks.2.attn.out_proj.weight", true, w},
        {"visual.transformer.resblocks.2.mlp.c_fc.weight", true, w},
        {"visual.transformer.resblocks.2.mlp.c_proj.weight", true, 1 / sqrt(512.0)},
        {"visual.transformer.resblocks.2.mlp.c_proj.bias", true, 1 / sqrt(512.0)},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        check_spread(model, tic_model_weights(model), &table[i]);
    check_constant(model, tic_model_weights(model), "ln_final.weight", 1);
    check_constant(model, tic_model_weights(model), "visual.ln_pre.bias", 0);
    check_constant(model, tic_model_weights(model), "transformer.resblocks.0.attn.in_proj_bias", 0);
    check_constant(model, tic_model_weights(model),
                   "visual.transformer.resblocks.0.attn.out_proj.bias", 0);
    check_constant(model, tic_model_weights(model), "logit_scale", log(1 / 0.07));
    tic_model_free(model);
    tic_ctx_free(ctx);
}
