/* What the tests of model/ share. */
#include "tests/model/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

tic_config test_config(bool quick_gelu) {
    tic_config config;
    MUST(tic_config_find(&config, "ViT-Nano-8-40", err));
    config.quick_gelu = quick_gelu;
    config.embed_dim = 12;
    config.image_size = 12;
    config.patch_size = 4;
    config.vision_layers = config.text_layers = 2;
    config.vision_width = 24;
    config.vision_heads = 3;
    config.vision_mlp = 96;
    config.text_width = 16;
    config.text_heads = 2;
    config.text_mlp = 64;
    config.context_length = 7;
    config.vocab_size = 20;
    snprintf(config.name, sizeof config.name, "test");
    return config;
}

tic_ctx *test_ctx(int threads) {
    tic_ctx *ctx = NULL;
    const tic_ctx_options options = {.threads = threads};
    MUST(tic_ctx_new(&ctx, &options, err));
    return ctx;
}

tic_model *test_model(tic_ctx *ctx, const tic_config *config, const tic_model_options *options) {
    tic_model *model = NULL;
    MUST(tic_model_new(&model, ctx, config, options, err));
    tic_model_init(model, 1);
    const tic_random key = {.seed = 7, .purpose = TIC_RNG_BENCH};
    for (int i = 0; i < tic_model_tensor_count(model); i++) {
        const tic_tensor *tensor = tic_model_tensor(model, i);
        if (tensor->rank != 1)
            continue;
        float *w = tic_model_weights(model) + tensor->offset;
        for (int64_t j = 0; j < tensor->count; j++)
            w[j] += 0.1f * (float)tic_random_normal(key, (uint64_t)(tensor->offset + j));
    }
    return model;
}

tic_batch *test_batch(const tic_config *config, int64_t n, uint64_t seed) {
    const tic_random key = {.seed = seed, .purpose = TIC_RNG_BENCH, .lane = 1};
    const uint64_t pixels = (uint64_t)n * 3 * (uint64_t)(config->image_size * config->image_size);
    tic_batch *batch = NULL;
    MUST(tic_alloc(&batch, 1, sizeof *batch, err));
    MUST(tic_alloc(&batch->pixels, pixels, 1, err));
    MUST(tic_alloc(&batch->ids, (size_t)(n * config->context_length), sizeof(int32_t), err));
    MUST(tic_alloc(&batch->offsets, (size_t)n + 1, sizeof(int32_t), err));
    batch->n = n;
    for (uint64_t i = 0; i < pixels; i++)
        batch->pixels[i] = (uint8_t)tic_random_u32(key, i);
    uint64_t position = pixels;
    const int32_t sot = config->vocab_size - 2, eot = config->vocab_size - 1;
    for (int64_t s = 0; s < n; s++) {
        int32_t length =
            2 + (int32_t)tic_random_below(key, position++, (uint64_t)config->context_length - 1);
        if (s < 2)
            length = s == 0 ? 2 : config->context_length;
        int32_t *ids = batch->ids + batch->offsets[s];
        for (int32_t i = 0; i < length; i++)
            ids[i] = (int32_t)tic_random_below(key, position++, (uint64_t)sot);
        ids[0] = sot;
        ids[length - 1] = eot;
        batch->offsets[s + 1] = batch->offsets[s] + length;
    }
    batch->tokens = batch->offsets[n];
    return batch;
}

void test_batch_free(tic_batch *batch) {
    tic_free(batch->pixels);
    tic_free(batch->ids);
    tic_free(batch->offsets);
    tic_free(batch);
}

double test_relative(const float *a, const float *b, int64_t n) {
    double difference = 0, size = 0;
    for (int64_t i = 0; i < n; i++) {
        difference += ((double)a[i] - b[i]) * ((double)a[i] - b[i]);
        size += (double)b[i] * b[i];
    }
    return sqrt(difference) / (size > 0 ? sqrt(size) : 1);
}

const char *test_folder(const char *name) {
    static char path[512];
    const char *base = getenv("TMPDIR");
    snprintf(path, sizeof path, "%s/ticlip-%s-XXXXXX", base ? base : "/tmp", name);
    cr_assert(mkdtemp(path) != NULL);
    return path;
}
