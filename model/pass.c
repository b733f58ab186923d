/* Passes of a real model over one micro-batch, and the encoders, which are forward passes alone. */
#include "room.h"

tic_pass tic_vision_pass(tic_model *model, int64_t n, const uint8_t *pixels, float *features,
                         float *inverse, tic_error *err) {
    return (tic_pass){.ctx = model->ctx,
                      .err = err,
                      .tower = &model->vision,
                      .weights = model->weights,
                      .gradient = model->gradient,
                      .n = n,
                      .rows = n * model->vision.tokens,
                      .offsets = model->vision.offsets,
                      .pixels = pixels,
                      .config = &model->config,
                      .features = features,
                      .inverse = inverse,
                      .packings = &model->packings,
                      .train = model->options.train};
}

tic_pass tic_text_pass(tic_model *model, int64_t n, const int32_t *ids, const int32_t *offsets,
                       int64_t first, float *features, float *inverse, tic_error *err) {
    tic_tower *tower = &model->text;
    const int32_t begin = offsets[first];
    for (int64_t s = 0; s <= n; s++)
        tower->offsets[s] = offsets[first + s] - begin;
    for (int64_t s = 0; s < n; s++)
        tower->pooled[s] = tower->offsets[s + 1] - 1; /* EOT is a caption's last token */
    return (tic_pass){.ctx = model->ctx,
                      .err = err,
                      .tower = tower,
                      .weights = model->weights,
                      .gradient = model->gradient,
                      .n = n,
                      .rows = tower->offsets[n],
                      .offsets = tower->offsets,
                      .config = &model->config,
                      .ids = ids + begin,
                      .features = features,
                      .inverse = inverse,
                      .packings = &model->packings,
                      .train = model->options.train};
}

static tic_status check_count(const tic_model *model, int64_t n, tic_error *err) {
    if (n < 0 || n > model->options.batch)
        return tic_fail(err, TIC_EUSAGE, "%lld pairs in one call; the model was built for %lld",
                        (long long)n, (long long)model->options.batch);
    return TIC_OK;
}

static tic_status encode_images(tic_model *model, int64_t n, const uint8_t *pixels, float *features,
                                tic_error *err) {
    tic_pack_weights(model);
    const int64_t picture = 3 * (int64_t)model->config.image_size * model->config.image_size;
    for (int64_t i = 0; i < n; i += model->options.micro_batch) {
        const int64_t left = n - i, micro = model->options.micro_batch;
        const tic_pass pass = tic_vision_pass(
            model, left < micro ? left : micro, pixels + i * picture,
            features + i * model->config.embed_dim, model->step.image_inverse + i, err);
        TIC_TRY(tic_vision_forward(&pass));
    }
    return TIC_OK;
}

tic_status tic_encode_images(tic_model *model, int64_t n, const uint8_t *pixels, float *features,
                             tic_error *err) {
    TIC_TRY(check_count(model, n, err));
    return tic_pass_end(model->ctx, encode_images(model, n, pixels, features, err));
}

static tic_status encode_texts(tic_model *model, int64_t n, const int32_t *ids,
                               const int32_t *offsets, float *features, tic_error *err) {
    tic_pack_weights(model);
    for (int64_t i = 0; i < n; i += model->options.micro_batch) {
        const int64_t left = n - i, micro = model->options.micro_batch;
        const tic_pass pass = tic_text_pass(model, left < micro ? left : micro, ids, offsets, i,
                                            features + i * model->config.embed_dim,
                                            model->step.text_inverse + i, err);
        TIC_TRY(tic_text_forward(&pass));
    }
    return TIC_OK;
}

tic_status tic_encode_texts(tic_model *model, int64_t n, const int32_t *ids, const int32_t *offsets,
                            float *features, tic_error *err) {
    TIC_TRY(check_count(model, n, err));
    TIC_TRY(tic_check_captions(&model->config, n, ids, offsets, err));
    TIC_TRY(tic_table_settle(model, err));
    return tic_pass_end(model->ctx, encode_texts(model, n, ids, offsets, features, err));
}
