/* A step of made-up pairs, made to be counted: what `tic_logical_*` (macs.c) tell by formula, here
 * by the counters of kernels that ran. */
#include "room.h"

typedef struct made_up { /* pairs that look like pairs */
    uint8_t *pixels;
    int32_t *ids, *offsets;
} made_up;

static tic_status make_up(const tic_config *config, int64_t n, int tokens, made_up *out,
                          tic_error *err) {
    const size_t picture = 3 * (size_t)config->image_size * (size_t)config->image_size;
    *out = (made_up){0};
    TIC_TRY(tic_alloc(&out->pixels, (size_t)n * picture, 1, err));
    TIC_TRY(tic_alloc(&out->ids, (size_t)n * (size_t)tokens, sizeof *out->ids, err));
    TIC_TRY(tic_alloc(&out->offsets, (size_t)n + 1, sizeof *out->offsets, err));
    for (size_t i = 0; i < (size_t)n * picture; i++)
        out->pixels[i] = (uint8_t)(i * 40503 >> 8);
    for (int64_t i = 0; i < n * tokens; i++)
        out->ids[i] = (int32_t)(i * 31 % config->vocab_size);
    for (int64_t i = 0; i <= n; i++)
        out->offsets[i] = (int32_t)(i * tokens);
    return TIC_OK;
}

static tic_status run_step(tic_ctx *ctx, const tic_config *config, const tic_model_options *options,
                           const tic_batch *batch, tic_error *err) {
    const tic_adamw_options adamw = {.lr = 1e-3f, .beta1 = 0.9f, .beta2 = 0.98f, .eps = 1e-6f};
    const tic_loss_options plain = {0};
    tic_step_loss loss;
    tic_model *model;
    TIC_TRY(tic_model_new(&model, ctx, config, options, err));
    tic_model_init(model, 0);
    tic_status status = tic_model_gradients(model, batch, &plain, &loss, err);
    if (status == TIC_OK)
        status = tic_model_update(model, &adamw, 1, NULL, err);
    tic_model_free(model);
    return status;
}

tic_status tic_model_count_step(tic_ctx *ctx, const tic_config *config,
                                const tic_model_options *options, int tokens, tic_counters *out,
                                tic_error *err) {
    made_up pairs;
    if (tokens < 1 || tokens > config->context_length)
        return tic_fail(err, TIC_EUSAGE, "tokens: %s reads at most %d", config->name,
                        config->context_length);
    tic_status status = make_up(config, options->batch, tokens, &pairs, err);
    if (status == TIC_OK) {
        const tic_batch batch = {.n = options->batch,
                                 .tokens = options->batch * tokens,
                                 .pixels = pairs.pixels,
                                 .ids = pairs.ids,
                                 .offsets = pairs.offsets};
        status = run_step(ctx, config, options, &batch, err);
        tic_ctx_counters(ctx, out);
    }
    tic_free(pairs.pixels);
    tic_free(pairs.ids);
    tic_free(pairs.offsets);
    return status;
}
