/* Training steps: the same bits for any number of threads, the same gradients in micro-batches,
 * counted as the formulas say, in memory that does not grow. */
#include "tests/model/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const tic_adamw_options recipe = {
    .lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.98f, .eps = 1e-6f, .weight_decay = 0.2f};

static void train(tic_model *model, const tic_batch *batch, int steps) {
    for (int step = 1; step <= steps; step++) {
        tic_step_loss loss;
        MUST(tic_model_gradients(model, batch, NULL, &loss, err));
        MUST(tic_model_update(model, &recipe, step, NULL, err));
    }
}

/* Weights after three steps; the caller's. */
static float *trained(int threads, tic_dtype precision, int64_t micro_batch) {
    const tic_config config = test_config(false);
    const tic_model_options options = {
        .batch = 13, .micro_batch = micro_batch, .precision = precision, .train = true};
    tic_ctx *ctx = test_ctx(threads);
    tic_model *model = test_model(ctx, &config, &options);
    tic_batch *batch = test_batch(&config, 13, 1);
    train(model, batch, 3);
    float *weights = NULL;
    const size_t size = (size_t)tic_model_size(model);
    MUST(tic_alloc(&weights, size, sizeof *weights, err));
    memcpy(weights, tic_model_weights(model), size * sizeof *weights);
    test_batch_free(batch);
    tic_model_free(model);
    tic_ctx_free(ctx);
    return weights;
}

static int64_t test_size(void) {
    const tic_config config = test_config(false);
    const tic_model_options options = {.batch = 1};
    tic_ctx *ctx = test_ctx(1);
    tic_model *model = test_model(ctx, &config, &options);
    const int64_t size = tic_model_size(model);
    tic_model_free(model);
    tic_ctx_free(ctx);
    return size;
}

static void check_same_bits(tic_dtype precision, int64_t micro_batch) {
    const size_t bytes = (size_t)test_size() * sizeof(float);
    float *one = trained(1, precision, micro_batch);
    for (int threads = 1; threads <= 5; threads++) {
        float *many = trained(threads, precision, micro_batch);
        cr_expect(memcmp(one, many, bytes) == 0, "%d threads", threads);
        tic_free(many);
    }
    tic_free(one);
}

Test(step, threads_do_not_change_a_bit) {
    check_same_bits(TIC_F32, 0);
    check_same_bits(TIC_F32, 4);
    check_same_bits(TIC_BF16, 0);
}

Test(step, init_does_not_depend_on_threads) {
    tic_config config;
    MUST(tic_config_find(&config, "ViT-Nano-8-40", err));
    config.vocab_size = 100;
    const tic_model_options options = {.batch = 1};
    tic_ctx *one = test_ctx(1), *four = test_ctx(4);
    tic_model *a = NULL, *b = NULL;
    MUST(tic_model_new(&a, one, &config, &options, err));
    MUST(tic_model_new(&b, four, &config, &options, err));
    tic_model_init(a, 9);
    tic_model_init(b, 9);
    const size_t bytes = (size_t)tic_model_size(a) * sizeof(float);
    cr_expect(memcmp(tic_model_weights(a), tic_model_weights(b), bytes) == 0);
    tic_model_init(b, 10);
    cr_expect(memcmp(tic_model_weights(a), tic_model_weights(b), bytes) != 0);
    tic_model_free(a);
    tic_model_free(b);
    tic_ctx_free(one);
    tic_ctx_free(four);
}

/* ---- micro-batches --------------------------------------------------------------------------- */

typedef struct result { /* of one gradient of the batch of 13 */
    tic_ctx *ctx;
    tic_model *model;
    tic_step_loss loss;
} result;

static result gradients(const tic_config *config, const tic_batch *batch, int64_t micro_batch,
                        tic_dtype precision) {
    const tic_model_options options = {
        .batch = 13, .micro_batch = micro_batch, .precision = precision, .train = true};
    result r = {.ctx = test_ctx(2)};
    r.model = test_model(r.ctx, config, &options);
    MUST(tic_model_gradients(r.model, batch, NULL, &r.loss, err));
    return r;
}

static void free_result(result *r) {
    tic_model_free(r->model);
    tic_ctx_free(r->ctx);
}

/* The same sums in another order: 1e-5 relative, tensor by tensor, for sums of hundreds of f32. */
static void check_close(const result *got, const result *want, double bound) {
    for (int i = 0; i < tic_model_tensor_count(want->model); i++) {
        const tic_tensor *tensor = tic_model_tensor(want->model, i);
        const double error =
            test_relative(tic_model_gradient(got->model) + tensor->offset,
                          tic_model_gradient(want->model) + tensor->offset, tensor->count);
        cr_log_info("%s: %.2e", tensor->name, error);
        cr_expect(error <= bound, "%s: %.3g", tensor->name, error);
    }
}

Test(step, micro_batches_give_the_same_gradients) {
    const tic_config config = test_config(false);
    tic_batch *batch = test_batch(&config, 13, 1);
    result whole = gradients(&config, batch, 0, TIC_F32);
    static const int64_t sizes[] = {1, 4, 12, 13, 20};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        result parts = gradients(&config, batch, sizes[i], TIC_F32);
        cr_expect(fabs(parts.loss.total - whole.loss.total) <= 1e-6 * whole.loss.total);
        check_close(&parts, &whole, 1e-5);
        free_result(&parts);
    }
    free_result(&whole);
    test_batch_free(batch);
}

/* A batch that is smaller than the model was built for. */
Test(step, last_batch_of_an_epoch) {
    const tic_config config = test_config(false);
    tic_batch *batch = test_batch(&config, 6, 1);
    result whole = gradients(&config, batch, 0, TIC_F32),
           parts = gradients(&config, batch, 4, TIC_F32),
           fits = gradients(&config, batch, 8, TIC_F32);
    check_close(&parts, &whole, 1e-5);
    check_close(&fits, &whole, 1e-5);
    free_result(&whole);
    free_result(&parts);
    free_result(&fits);
    test_batch_free(batch);
}

/* ---- bf16 ------------------------------------------------------------------------------------ */

/* An operand rounded to bf16 is off by at most u = 2^-9, 0.2%. A feature has passed about ten
 * products, whose independent errors add as squares: sqrt(10 · 2/3) u, 0.5%. The loss multiplies
 * features by exp(logit_scale) = 14 before its softmax, whose relative error is then up to 14 times
 * the feature's, 7%, and every gradient starts from it. */
Test(step, bf16_is_near_f32) {
    const tic_config config = test_config(false);
    tic_batch *batch = test_batch(&config, 13, 1);
    result f32 = gradients(&config, batch, 0, TIC_F32),
           bf16 = gradients(&config, batch, 0, TIC_BF16);
    check_close(&bf16, &f32, 0.07);
    const tic_tensor *conv = tic_model_find(f32.model, "visual.conv1.weight");
    const double error = test_relative(tic_model_gradient(bf16.model) + conv->offset,
                                       tic_model_gradient(f32.model) + conv->offset, conv->count);
    cr_expect(error > 1e-4, "bf16 was not used: %.3g", error);
    free_result(&f32);
    free_result(&bf16);
    test_batch_free(batch);
}

/* ---- counters -------------------------------------------------------------------------------- */

static uint64_t logical(tic_ctx *ctx, tic_purpose purpose) {
    tic_counters counters;
    tic_ctx_counters(ctx, &counters);
    return tic_counters_purpose(&counters, purpose).logical;
}

Test(step, counters_equal_the_formulas) {
    const tic_config config = test_config(false);
    tic_batch *batch = test_batch(&config, 13, 1);
    result whole = gradients(&config, batch, 0, TIC_F32),
           parts = gradients(&config, batch, 4, TIC_F32);
    const uint64_t forward = tic_logical_image(&config, 13, false) +
                             tic_logical_text(&config, 13, batch->offsets, false);
    const uint64_t backward =
        tic_logical_image(&config, 13, true) + tic_logical_text(&config, 13, batch->offsets, true);
    const uint64_t loss = tic_logical_loss(&config, 13);
    cr_expect(logical(whole.ctx, TIC_FOR_FORWARD) == forward + loss);
    cr_expect(logical(whole.ctx, TIC_FOR_BACKWARD) == backward);
    cr_expect(logical(whole.ctx, TIC_FOR_RECOMPUTE) == 0);
    cr_expect(logical(parts.ctx, TIC_FOR_FORWARD) == forward + loss);
    cr_expect(logical(parts.ctx, TIC_FOR_BACKWARD) == backward);
    cr_expect(logical(parts.ctx, TIC_FOR_RECOMPUTE) == forward);
    free_result(&whole);
    free_result(&parts);
    test_batch_free(batch);
}

/* Every MAC of a step is a layer's: the layers' sums are the purposes', and each layer's logical
 * ones are the formulas'. */
static void check_layers(tic_ctx *ctx, const tic_config *config, const tic_batch *batch,
                         bool twice) {
    tic_counters c;
    uint64_t want[TIC_SITES] = {0};
    tic_macs layers[TIC_PURPOSE_COUNT] = {{0}};
    tic_ctx_counters(ctx, &c);
    for (int again = 0; again < 1 + twice; again++) {
        tic_logical_image_at(config, batch->n, false, want);
        tic_logical_text_at(config, batch->n, batch->offsets, false, want);
    }
    tic_logical_image_at(config, batch->n, true, want);
    tic_logical_text_at(config, batch->n, batch->offsets, true, want);
    want[TIC_AT_LOSS] = tic_logical_loss(config, batch->n);
    for (int site = 0; site < TIC_SITES; site++) {
        char name[TIC_SITE_TEXT];
        const tic_macs one = tic_counters_site(&c, site);
        cr_expect(one.logical == want[site], "%s: %llu logical MACs, not %llu",
                  tic_site_name(site, name), (unsigned long long)one.logical,
                  (unsigned long long)want[site]);
        cr_expect(one.issued >= one.logical && (one.logical > 0) == (one.issued > 0), "%s", name);
        cr_expect(one.logical == 0 || tic_site_in(config, site), "%s", name);
        for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
            layers[p].logical += c.at[site][p].logical;
            layers[p].issued += c.at[site][p].issued;
        }
    }
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        const tic_macs all = tic_counters_purpose(&c, (tic_purpose)p);
        cr_expect(layers[p].logical == all.logical && layers[p].issued == all.issued, "%s",
                  tic_purpose_name((tic_purpose)p));
    }
}

Test(step, layers_add_up_to_the_step) {
    const tic_config config = test_config(false);
    tic_batch *batch = test_batch(&config, 13, 1);
    result whole = gradients(&config, batch, 0, TIC_F32),
           parts = gradients(&config, batch, 4, TIC_F32);
    check_layers(whole.ctx, &config, batch, false);
    check_layers(parts.ctx, &config, batch, true);
    free_result(&whole);
    free_result(&parts);
    test_batch_free(batch);
}

Test(step, layers_have_names) {
    char name[TIC_SITE_TEXT];
    for (int site = 0; site < TIC_AT_COUNT; site++)
        cr_expect(tic_site_find(tic_site_name(site, name)) == site, "%s", name);
    cr_expect(tic_site_find("vision.block.64") == TIC_AT_COUNT);
    cr_expect(strcmp(tic_site_name(TIC_AT_TEXT_BLOCK + 11, name), "text.block.11") == 0);
    const tic_config config = test_config(false);
    cr_expect(!tic_site_in(&config, TIC_AT_VISION_BLOCK + config.vision_layers));
}

/* By hand for one picture and one caption of 3 tokens, last blocks for one row each. */
Test(step, logical_by_hand) {
    const tic_config c = test_config(false); /* 10 rows of 24, MLP 96; width 16, MLP 64; embed 12 */
    const int32_t offsets[] = {0, 3};
    const uint64_t conv = 9 * 24 * 48, tail = 24 * 24 + 2 * 24 * 96;
    const uint64_t whole = 10 * (3 * 24 * 24) + 2 * 10 * 10 * 24 + 10 * tail;
    const uint64_t last = 10 * (2 * 24 * 24) + 24 * 24 + 2 * 10 * 24 + tail;
    cr_expect(tic_logical_image(&c, 1, false) == conv + whole + last + 24 * 12);
    /* backward: twice every product, but no gradient of the pixels */
    cr_expect(tic_logical_image(&c, 1, true) == 2 * (whole + last + 24 * 12) + conv);
    const uint64_t t_tail = 16 * 16 + 2 * 16 * 64;
    const uint64_t t_whole = 3 * (3 * 16 * 16) + 2 * 6 * 16 + 3 * t_tail; /* 6 causal pairs */
    const uint64_t t_last = 3 * (2 * 16 * 16) + 16 * 16 + 2 * 3 * 16 + t_tail;
    cr_expect(tic_logical_text(&c, 1, offsets, false) == t_whole + t_last + 16 * 12);
    cr_expect(tic_logical_text(&c, 1, offsets, true) == 2 * (t_whole + t_last + 16 * 12));
}

/* ---- memory ---------------------------------------------------------------------------------- */

static long allocations;
void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *ptr, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
int __real_posix_memalign(void **ptr, size_t alignment, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
int __wrap_posix_memalign(void **ptr, size_t alignment, size_t size);

void *__wrap_malloc(size_t size) {
    allocations++;
    return __real_malloc(size);
}
void *__wrap_calloc(size_t count, size_t size) {
    allocations++;
    return __real_calloc(count, size);
}
void *__wrap_realloc(void *ptr, size_t size) {
    allocations++;
    return __real_realloc(ptr, size);
}
void *__wrap_aligned_alloc(size_t alignment, size_t size) {
    allocations++;
    return __real_aligned_alloc(alignment, size);
}
int __wrap_posix_memalign(void **ptr, size_t alignment, size_t size) {
    allocations++;
    return __real_posix_memalign(ptr, alignment, size);
}

static void check_no_allocation(int64_t micro_batch, tic_dtype precision) {
    const tic_config config = test_config(false);
    const tic_model_options options = {
        .batch = 13, .micro_batch = micro_batch, .precision = precision, .train = true};
    tic_ctx *ctx = test_ctx(2);
    allocations = 0;
    tic_model *model = test_model(ctx, &config, &options);
    cr_expect(allocations > 0, "the counting does not work");
    tic_batch *batch = test_batch(&config, 13, 1);
    const int growths = tic_ctx_growths(ctx);
    allocations = 0;
    train(model, batch, 2);
    cr_expect(allocations == 0, "%ld allocations in two steps", allocations);
    cr_expect(tic_ctx_growths(ctx) == growths, "the scratch grew");
    test_batch_free(batch);
    tic_model_free(model);
    tic_ctx_free(ctx);
}

Test(step, nothing_is_allocated) {
    check_no_allocation(0, TIC_F32);
    check_no_allocation(4, TIC_F32);
    check_no_allocation(0, TIC_BF16);
}

/* ---- what cannot be -------------------------------------------------------------------------- */

Test(step, impossible_batches_are_refused) {
    const tic_config config = test_config(false);
    tic_batch *batch = test_batch(&config, 13, 1);
    result r = gradients(&config, batch, 0, TIC_F32);
    tic_error err = {0};
    tic_step_loss loss;
    tic_batch bad = *batch;
    bad.n = 14;
    cr_expect(tic_model_gradients(r.model, &bad, NULL, &loss, &err) == TIC_EUSAGE);
    bad.n = 0;
    cr_expect(tic_model_gradients(r.model, &bad, NULL, &loss, &err) == TIC_EUSAGE);
    int32_t offsets[14];
    memcpy(offsets, batch->offsets, sizeof offsets);
    bad = *batch;
    bad.offsets = offsets;
    offsets[3] = offsets[2];
    cr_expect(tic_model_gradients(r.model, &bad, NULL, &loss, &err) == TIC_EUSAGE);
    cr_expect(strstr(err.text, "caption 2") != NULL, "%s", err.text);
    batch->ids[1] = config.vocab_size;
    cr_expect(tic_model_gradients(r.model, batch, NULL, &loss, &err) == TIC_EUSAGE);
    free_result(&r);
    test_batch_free(batch);
}
