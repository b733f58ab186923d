/* The memory that is promised is the memory that is booked, and --memory finds a micro-batch. */
#include "tests/model/support.h"

#include <criterion/criterion.h>
#include <malloc.h>

static tic_config demo_config(void) {
    tic_config config;
    MUST(tic_config_find(&config, "ViT-Nano-8-40", err));
    config.vocab_size = 2000;
    return config;
}

#if defined(__has_feature) /* clang's way to say what gcc says with a macro */
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__
#endif
#endif
#if !defined(__SANITIZE_ADDRESS__) /* its allocator keeps no such statistics */
/* Bytes in use on the heap, mapped blocks included. */
static size_t in_use(void) {
    const struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

/* The model's own struct, the table of tensors and the allocator's caches come on top. */
static void check_promise(const tic_model_options *options) {
    const tic_config config = demo_config();
    tic_ctx *ctx = test_ctx(0);
    const size_t before = in_use();
    const size_t promised = tic_model_memory(&config, options);
    tic_model *model = NULL;
    MUST(tic_model_new(&model, ctx, &config, options, err));
    const double booked = (double)(in_use() - before);
    cr_expect(booked <= (double)promised + (1 << 18) && booked >= (double)promised - (1 << 18),
              "promised %zu, booked %.0f", promised, booked);
    tic_model_free(model);
    tic_ctx_free(ctx);
}

Test(memory, promised_is_booked) {
    check_promise(&(tic_model_options){.batch = 16, .train = true});
    check_promise(&(tic_model_options){.batch = 16, .micro_batch = 3, .train = true});
    check_promise(&(tic_model_options){.batch = 16, .precision = TIC_BF16, .train = true});
    check_promise(&(tic_model_options){.batch = 16});
}
#endif

Test(memory, micro_batch_for_a_limit) {
    const tic_config config = demo_config();
    tic_model_options options = {.batch = 128, .train = true};
    const size_t whole = tic_model_memory(&config, &options);
    cr_expect(tic_micro_batch_for(&config, &options, false, whole) == 128);
    cr_expect(tic_micro_batch_for(&config, &options, false, 1000) == 0);
    const size_t limit = whole / 3;
    const int64_t micro = tic_micro_batch_for(&config, &options, false, limit);
    cr_assert(micro >= 1 && micro < 128);
    options.micro_batch = micro;
    cr_expect(tic_model_memory(&config, &options) <= limit);
    options.micro_batch = micro + 1;
    cr_expect(tic_model_memory(&config, &options) > limit);
    const int64_t beside = tic_micro_batch_for(&config, &options, true, limit);
    cr_assert(beside >= 1 && beside < micro);
    for (int64_t more = 0; more < 2; more++) { /* it fits with the teacher, one more does not */
        tic_model_options frozen = {.batch = 128, .micro_batch = beside + more};
        options.micro_batch = beside + more;
        const size_t both =
            tic_model_memory(&config, &options) + tic_model_memory(&config, &frozen);
        cr_expect((both <= limit) == (more == 0));
    }
}

Test(memory, an_evaluating_model_is_small) {
    const tic_config config = demo_config();
    const tic_model_options train = {.batch = 128, .train = true}, evaluate = {.batch = 128};
    cr_expect(tic_model_memory(&config, &evaluate) * 4 < tic_model_memory(&config, &train));
}

Test(memory, impossible_shapes) {
    tic_config config = demo_config();
    const tic_model_options none = {.batch = 0, .train = true}, one = {.batch = 1, .train = true};
    cr_expect(tic_model_memory(&config, &none) == 0);
    config.text_heads = 3; /* does not divide 128 */
    cr_expect(tic_model_memory(&config, &one) == 0);
    tic_ctx *ctx = test_ctx(1);
    tic_model *model = NULL;
    tic_error err = {0};
    cr_expect(tic_model_new(&model, ctx, &config, &one, &err) == TIC_EINPUT && model == NULL);
    tic_ctx_free(ctx);
}
