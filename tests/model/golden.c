/* Against PyTorch and open_clip (tests/golden/make_model.py): features, loss and every gradient of
 * one batch, then 20 steps of AdamW. The golden values were computed in float64. */
#include "tests/model/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { STEPS = 20, BATCHES = 4, PAIRS = 8 };
static const double bound = 1e-4; /* relative, tensor by tensor: the issue's */

typedef struct golden {
    tic_safetensors *file;
    tic_ctx *ctx;
    tic_model *model;
    tic_config config;
} golden;

static const void *values(const golden *g, const char *name) {
    const tic_array *array = tic_safetensors_find(g->file, name);
    cr_assert(array != NULL, "%s is missing", name);
    return array->data;
}

/* The golden tensor prefix + name, copied: the file aligns nothing. */
static float *copy(const golden *g, const char *prefix, const char *name, int64_t count) {
    char key[128];
    float *out = NULL;
    snprintf(key, sizeof key, "%s%s", prefix, name);
    MUST(tic_alloc(&out, (size_t)count, sizeof *out, err));
    memcpy(out, values(g, key), (size_t)count * sizeof *out);
    return out;
}

static golden open_golden(const char *name) {
    golden g = {0};
    char path[1024];
    snprintf(path, sizeof path, "%s/%s.safetensors", TIC_GOLDEN, name);
    MUST(tic_safetensors_open(&g.file, path, err));
    const char *json = tic_safetensors_metadata(g.file, "config");
    snprintf(path, sizeof path, "%s/config.json", test_folder(name));
    MUST(tic_file_write(path, json, strlen(json), err));
    MUST(tic_config_find(&g.config, path, err));
    g.ctx = test_ctx(2);
    const tic_model_options options = {.batch = PAIRS, .train = true};
    MUST(tic_model_new(&g.model, g.ctx, &g.config, &options, err));
    for (int i = 0; i < tic_model_tensor_count(g.model); i++) {
        const tic_tensor *tensor = tic_model_tensor(g.model, i);
        float *weight = copy(&g, "weight.", tensor->name, tensor->count);
        memcpy(tic_model_weights(g.model) + tensor->offset, weight,
               (size_t)tensor->count * sizeof *weight);
        tic_free(weight);
    }
    return g;
}

static void close_golden(golden *g) {
    tic_model_free(g->model);
    tic_ctx_free(g->ctx);
    tic_safetensors_close(g->file);
}

/* Batch i, in memory of its own. */
static tic_batch *golden_batch(const golden *g, int i) {
    tic_batch *batch = test_batch(&g->config, PAIRS, 0); /* for its memory */
    const size_t pixels = (size_t)PAIRS * 3 * (size_t)(g->config.image_size * g->config.image_size);
    const size_t row = (PAIRS + 1) * sizeof(int32_t);
    const char *offsets = values(g, "offsets"), *ids = values(g, "ids");
    int32_t before = 0;
    for (int b = 0; b < i; b++) {
        memcpy(batch->offsets, offsets + (size_t)b * row, row);
        before += batch->offsets[PAIRS];
    }
    memcpy(batch->offsets, offsets + (size_t)i * row, row);
    batch->tokens = batch->offsets[PAIRS];
    memcpy(batch->ids, ids + (size_t)before * sizeof(int32_t),
           (size_t)batch->tokens * sizeof(int32_t));
    memcpy(batch->pixels, (const char *)values(g, "pixels") + (size_t)i * pixels, pixels);
    return batch;
}

static void check(const golden *g, const char *prefix, const char *name, const float *got,
                  int64_t count) {
    float *want = copy(g, prefix, name, count);
    const double error = test_relative(got, want, count);
    cr_log_info("%s%s: %.2e", prefix, name, error);
    cr_expect(error <= bound, "%s%s: relative error %.3g", prefix, name, error);
    tic_free(want);
}

static void check_tensors(const golden *g, const char *prefix, const float *flat) {
    for (int i = 0; i < tic_model_tensor_count(g->model); i++) {
        const tic_tensor *tensor = tic_model_tensor(g->model, i);
        check(g, prefix, tensor->name, flat + tensor->offset, tensor->count);
    }
}

static double golden_double(const golden *g, const char *name, int i) {
    double x;
    memcpy(&x, (const char *)values(g, name) + (size_t)i * sizeof x, sizeof x);
    return x;
}

/* The loss does not depend on the biases of keys: softmax does not see a constant. Their gradient
 * is rounding noise, about 1e-8 here, and AdamW makes of noise g a step of up to rate g / eps, so
 * the two programs' noises move them by 1e-8 / 1e-6 of all rates; that is what is allowed. */
static void check_in_proj_bias(const golden *g, const tic_tensor *tensor) {
    float *want = copy(g, "final.", tensor->name, tensor->count);
    const float *got = tic_model_weights(g->model) + tensor->offset;
    const int64_t w = tensor->count / 3;
    double rates = 0;
    for (int step = 0; step < STEPS; step++)
        rates += golden_double(g, "rates", step);
    for (int part = 0; part < 3; part += 2) { /* queries, values */
        const double error = test_relative(got + part * w, want + part * w, w);
        cr_expect(error <= bound, "%s, part %d: relative error %.3g", tensor->name, part, error);
    }
    for (int64_t i = w; i < 2 * w; i++)
        cr_expect(fabs((double)got[i] - want[i]) <= 1e-2 * rates, "%s[%d]: %g, not %g",
                  tensor->name, (int)i, got[i], want[i]);
    tic_free(want);
}

static void check_final(const golden *g) {
    for (int i = 0; i < tic_model_tensor_count(g->model); i++) {
        const tic_tensor *tensor = tic_model_tensor(g->model, i);
        if (strstr(tensor->name, "in_proj_bias"))
            check_in_proj_bias(g, tensor);
        else
            check(g, "final.", tensor->name, tic_model_weights(g->model) + tensor->offset,
                  tensor->count);
    }
}

static void check_first_batch(const golden *g) {
    tic_batch *batch = golden_batch(g, 0);
    const int64_t count = PAIRS * (int64_t)g->config.embed_dim;
    float *features = NULL;
    MUST(tic_alloc(&features, (size_t)count, sizeof *features, err));
    MUST(tic_encode_images(g->model, PAIRS, batch->pixels, features, err));
    check(g, "features.", "image", features, count);
    MUST(tic_encode_texts(g->model, PAIRS, batch->ids, batch->offsets, features, err));
    check(g, "features.", "text", features, count);
    tic_step_loss loss;
    MUST(tic_model_gradients(g->model, batch, NULL, &loss, err));
    check_tensors(g, "gradient.", tic_model_gradient(g->model));
    memset(tic_model_gradient(g->model), 0, (size_t)tic_model_size(g->model) * sizeof(float));
    tic_free(features);
    test_batch_free(batch);
}

static void check_training(const golden *g) {
    tic_batch *batches[BATCHES];
    for (int i = 0; i < BATCHES; i++)
        batches[i] = golden_batch(g, i);
    for (int step = 0; step < STEPS; step++) {
        tic_step_loss loss;
        MUST(tic_model_gradients(g->model, batches[step % BATCHES], NULL, &loss, err));
        const double want = golden_double(g, "losses", step);
        const double error = fabs(loss.total - want) / want;
        cr_expect(error <= bound, "loss of step %d: %.8f, not %.8f", step, loss.total, want);
        const tic_adamw_options options = {.lr = (float)golden_double(g, "rates", step),
                                           .beta1 = 0.9f,
                                           .beta2 = 0.98f,
                                           .eps = 1e-6f,
                                           .weight_decay = 0.2f};
        MUST(tic_model_update(g->model, &options, step + 1, NULL, err));
    }
    check_final(g);
    for (int i = 0; i < BATCHES; i++)
        test_batch_free(batches[i]);
}

static void check_golden(const char *name) {
    golden g = open_golden(name);
    check_first_batch(&g);
    check_training(&g);
    close_golden(&g);
}

Test(golden, gelu) {
    check_golden("model_gelu");
}

Test(golden, quick_gelu) {
    check_golden("model_quick_gelu");
}
