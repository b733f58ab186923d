/* A model's life: shape, memory, initial weights' place, and what callers may look at. */
#include "room.h"

#include <math.h>
#include <string.h>

enum { MAX_BATCH = 1 << 20 };

tic_status tic_model_shape(tic_model *model, const tic_config *config,
                           const tic_model_options *options, tic_error *err) {
    if (!config || !options)
        return tic_fail(err, TIC_EUSAGE, "a model needs a configuration and options");
    TIC_TRY(tic_config_check(config, config->name, err));
    if (options->batch < 1 || options->batch > MAX_BATCH)
        return tic_fail(err, TIC_EUSAGE, "batch %lld: 1 to %d are possible",
                        (long long)options->batch, MAX_BATCH);
    if (options->micro_batch < 0)
        return tic_fail(err, TIC_EUSAGE, "micro-batch %lld is negative",
                        (long long)options->micro_batch);
    model->config = *config;
    model->options = *options;
    if (options->micro_batch == 0 || options->micro_batch > options->batch)
        model->options.micro_batch = options->batch;
    model->shared = !options->train || model->options.micro_batch < options->batch;
    tic_layout_of(config, &model->layout, NULL);
    tic_tower_vision(&model->vision, config, &model->layout, options->precision);
    tic_tower_text(&model->text, config, &model->layout, options->precision);
    return TIC_OK;
}

/* ---- new, free ------------------------------------------------------------------------------- */

static tic_status book_parameters(tic_model *model, tic_error *err) {
    const size_t size = (size_t)model->layout.size;
    TIC_TRY(tic_alloc(&model->rows, (size_t)model->layout.count, sizeof *model->rows, err));
    tic_layout_of(&model->config, &model->layout, model->rows);
    TIC_TRY(tic_alloc(&model->weights, size, sizeof(float), err));
    if (!model->options.train)
        return TIC_OK;
    TIC_TRY(tic_alloc(&model->gradient, size, sizeof(float), err));
    TIC_TRY(tic_alloc(&model->moment1, size, sizeof(float), err));
    TIC_TRY(tic_alloc(&model->moment2, size, sizeof(float), err));
    return tic_table_book(model, err);
}

/* Offsets and pooled rows that never change: pictures all have the same number of rows. */
static void fill_offsets(tic_model *model) {
    const int32_t tokens = model->vision.tokens;
    for (int64_t s = 0; s <= model->options.micro_batch; s++) {
        model->vision.offsets[s] = (int32_t)s * tokens;
        model->vision.singles[s] = (int32_t)s;
        model->text.singles[s] = (int32_t)s;
        if (s < model->options.micro_batch)
            model->vision.pooled[s] = (int32_t)s * tokens;
    }
}

static tic_status book_all(tic_model *model, tic_error *err) {
    TIC_TRY(tic_ctx_reserve(model->ctx, tic_step_scratch(model->ctx, model), err));
    TIC_TRY(book_parameters(model, err));
    TIC_TRY(tic_packings_list(model->ctx, model, &model->packings, err));
    TIC_TRY(tic_packings_book(&model->packings, err));
    tic_booking booking = {0};
    tic_book_activations(&booking, model);
    TIC_TRY(tic_alloc(&model->activations, booking.peak, 1, err));
    booking = (tic_booking){.base = model->activations};
    tic_book_activations(&booking, model);
    fill_offsets(model);
    return TIC_OK;
}

tic_status tic_model_new(tic_model **out, tic_ctx *ctx, const tic_config *config,
                         const tic_model_options *options, tic_error *err) {
    *out = NULL;
    if (!ctx)
        return tic_fail(err, TIC_EUSAGE, "a model needs a context");
    tic_model *model = NULL;
    TIC_TRY(tic_alloc(&model, 1, sizeof *model, err));
    model->ctx = ctx;
    tic_status status = tic_model_shape(model, config, options, err);
    if (status == TIC_OK)
        status = book_all(model, err);
    if (status != TIC_OK) {
        tic_model_free(model);
        return status;
    }
    *out = model;
    return TIC_OK;
}

void tic_model_free(tic_model *model) {
    if (!model)
        return;
    tic_free(model->rows);
    tic_free(model->weights);
    tic_free(model->gradient);
    tic_free(model->moment1);
    tic_free(model->moment2);
    tic_free(model->activations);
    tic_packings_free(&model->packings);
    tic_table_free(&model->table);
    tic_free(model);
}

/* ---- accessors ------------------------------------------------------------------------------- */

const tic_config *tic_model_config(const tic_model *model) {
    return &model->config;
}
tic_ctx *tic_model_ctx(const tic_model *model) {
    return model->ctx;
}
int64_t tic_model_size(const tic_model *model) {
    return model->layout.size;
}
int tic_model_tensor_count(const tic_model *model) {
    return model->layout.count;
}
const tic_tensor *tic_model_tensor(const tic_model *model, int i) {
    return &model->rows[i].tensor;
}
const tic_tensor *tic_model_find(const tic_model *model, const char *name) {
    for (int i = 0; i < model->layout.count; i++)
        if (strcmp(model->rows[i].tensor.name, name) == 0)
            return &model->rows[i].tensor;
    return NULL;
}
/* A table that cannot be settled fails every call of a step too, and those tell. */
static float *settled(tic_model *model, float *array) {
    (void)tic_table_settle(model, NULL);
    return array;
}
float *tic_model_weights(tic_model *model) {
    model->packings.fresh = false; /* the caller may change them */
    return settled(model, model->weights);
}
const float *tic_model_look(tic_model *model) {
    return settled(model, model->weights);
}
float *tic_model_gradient(tic_model *model) {
    model->table.written = true; /* by the caller, anywhere */
    return model->gradient;
}
float *tic_model_moment1(tic_model *model) {
    return settled(model, model->moment1);
}
float *tic_model_moment2(tic_model *model) {
    return settled(model, model->moment2);
}
float tic_model_scale(const tic_model *model) {
    return (float)exp((double)model->weights[model->layout.logit_scale]);
}
