/* Memory does not grow from step to step: 50 training steps of a small model on batches whose
 * captions change in length, with and without micro-batches, in f32 and bf16. */
#include "model/model.h"
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>

/* AddressSanitizer keeps freed memory aside, so there pages tell nothing; scratch still does. */
#if defined(__SANITIZE_ADDRESS__)
enum { PAGES_COUNT = 0 };
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
enum { PAGES_COUNT = 0 };
#else
enum { PAGES_COUNT = 1 };
#endif
#else
enum { PAGES_COUNT = 1 };
#endif

enum { BATCH = 12, WARM = 6, STEPS = 50, STRETCHES = 3 };

/* Anonymous memory of the process, KiB: pages of program files come and go by sixteens. Not from
 * statm, whose counts lag by dozens of pages. */
static long anonymous(void) {
    char line[256];
    long kib = -1;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    cr_assert_not_null(file);
    while (kib < 0 && fgets(line, sizeof line, file) != NULL)
        sscanf(line, "Anonymous: %ld", &kib);
    fclose(file);
    cr_assert_gt(kib, 0);
    return kib;
}

typedef struct batch {
    tic_config config;
    uint8_t *pixels;
    int32_t *ids, offsets[BATCH + 1];
} batch;

/* The batch of a step: captions of 3 .. context_length tokens, another sum of them each time. */
static tic_batch batch_of(batch *b, int64_t step) {
    const tic_random key = {.seed = 3, .purpose = TIC_RNG_BENCH};
    int32_t at = 0;
    for (int i = 0; i < BATCH; i++) {
        uint64_t span = (uint64_t)(b->config.context_length - 2);
        int length = 3 + (int)tic_random_below(key, (uint64_t)(step * BATCH + i), span);
        b->offsets[i] = at;
        for (int t = 0; t < length; t++, at++)
            b->ids[at] = (int32_t)tic_random_below(key, (uint64_t)(step * 7919 + at),
                                                   (uint64_t)(b->config.vocab_size - 2));
        b->ids[at - 1] = b->config.vocab_size - 1;
    }
    b->offsets[BATCH] = at;
    return (tic_batch){
        .n = BATCH, .tokens = at, .pixels = b->pixels, .ids = b->ids, .offsets = b->offsets};
}

static void train(tic_model *model, batch *b, int64_t first, int64_t last) {
    const tic_loss_options loss_options = {.distill_weight = 0};
    const tic_adamw_options adamw = {
        .lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.98f, .eps = 1e-6f, .weight_decay = 0.2f};
    for (int64_t step = first; step < last; step++) {
        tic_error err = {.status = TIC_OK};
        tic_step_loss loss;
        tic_batch view = batch_of(b, step);
        cr_assert_eq(tic_model_gradients(model, &view, &loss_options, &loss, &err), TIC_OK, "%s",
                     err.text);
        cr_assert_eq(tic_model_update(model, &adamw, step + 1, NULL, &err), TIC_OK, "%s", err.text);
    }
}

static void check_growth(tic_dtype precision, int64_t micro_batch) {
    tic_error err = {.status = TIC_OK};
    tic_ctx *ctx;
    tic_model *model;
    batch b;
    const tic_ctx_options ctx_options = {.threads = 2};
    const tic_model_options options = {
        .batch = BATCH, .micro_batch = micro_batch, .precision = precision, .train = true};
    cr_assert_eq(tic_config_find(&b.config, "ViT-Nano-8-40", &err), TIC_OK, "%s", err.text);
    size_t side = (size_t)b.config.image_size, context = (size_t)b.config.context_length;
    cr_assert_eq(tic_alloc(&b.pixels, BATCH * side * side * 3, 1, &err), TIC_OK);
    cr_assert_eq(tic_alloc(&b.ids, BATCH * context, sizeof *b.ids, &err), TIC_OK);
    cr_assert_eq(tic_ctx_new(&ctx, &ctx_options, &err), TIC_OK, "%s", err.text);
    cr_assert_eq(tic_model_new(&model, ctx, &b.config, &options, &err), TIC_OK, "%s", err.text);
    tic_model_init(model, 1);

    const int growths = tic_ctx_growths(ctx);
    train(model, &b, 0, WARM); /* pages are touched, threads started */
    /* A leak of 1 KiB a step is 50 KiB, in every stretch of steps. What grows in one only is booked
     * memory touched for the first time (which thread takes which item is by chance), or a stack's.
     */
    long grown = LONG_MAX;
    for (int stretch = 0; stretch < STRETCHES && grown > 16; stretch++) {
        const int64_t first = WARM + (int64_t)stretch * STEPS;
        const long before = anonymous();
        train(model, &b, first, first + STEPS);
        const long now = anonymous() - before;
        grown = now < grown ? now : grown;
    }
    cr_expect(!PAGES_COUNT || grown <= 16, "grew by %ld KiB in %d steps", grown, STEPS);
    cr_expect_eq(tic_ctx_growths(ctx), growths, "scratch was not booked with the model");

    tic_model_free(model);
    tic_ctx_free(ctx);
    tic_free(b.pixels);
    tic_free(b.ids);
}

Test(step_memory, f32) {
    check_growth(TIC_F32, 0);
}

Test(step_memory, bf16) {
    check_growth(TIC_BF16, 0);
}

Test(step_memory, micro_batches) {
    check_growth(TIC_F32, 5);
}
