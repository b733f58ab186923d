/* The gradient of a training step: features of the whole batch, the loss over all of it, and back
 * through the towers. When the model holds activations for a part of the batch only, the towers run
 * once for the features, and again, part by part, with the features' gradients known (GradCache:
 * Gao et al. 2021, "Scaling deep contrastive learning batch size under memory limited setup"). */
#include "room.h"

#include <math.h>

typedef struct part { /* pairs first .. first + n - 1 of a batch */
    int64_t first, n;
} part;

static tic_pass vision_part(tic_model *model, const tic_batch *batch, part p, tic_error *err) {
    const int64_t size = model->config.image_size, e = model->config.embed_dim;
    return tic_vision_pass(model, p.n, batch->pixels + p.first * size * size * 3,
                           model->step.image + p.first * e, model->step.image_inverse + p.first,
                           err);
}

static tic_pass text_part(tic_model *model, const tic_batch *batch, part p, tic_error *err) {
    const int64_t e = model->config.embed_dim;
    return tic_text_pass(model, p.n, batch->ids, batch->offsets, p.first,
                         model->step.text + p.first * e, model->step.text_inverse + p.first, err);
}

static part part_at(const tic_model *model, const tic_batch *batch, int64_t first) {
    const int64_t left = batch->n - first, micro = model->options.micro_batch;
    return (part){first, left < micro ? left : micro};
}

static tic_status check(const tic_model *model, const tic_batch *batch, tic_error *err) {
    if (!model->options.train)
        return tic_fail(err, TIC_EUSAGE, "this model was not built for training");
    if (batch->n < 1 || batch->n > model->options.batch)
        return tic_fail(err, TIC_EUSAGE, "a batch of %lld pairs; 1 to %lld are possible",
                        (long long)batch->n, (long long)model->options.batch);
    return tic_check_captions(&model->config, batch->n, batch->ids, batch->offsets, err);
}

/* ---- the losses ------------------------------------------------------------------------------ */

static tic_status contrastive(tic_model *model, int64_t n, tic_step_loss *loss, tic_error *err) {
    tic_contrastive_args args = {.b = n,
                                 .d = model->config.embed_dim,
                                 .precision = model->options.precision,
                                 .image = model->step.image,
                                 .text = model->step.text,
                                 .scale = tic_model_scale(model),
                                 .d_image = model->step.d_image,
                                 .d_text = model->step.d_text};
    TIC_TRY(tic_contrastive(model->ctx, &args, err));
    loss->contrastive = args.loss;
    model->gradient[model->layout.logit_scale] += (float)args.d_log_scale;
    return TIC_OK;
}

static void add_scaled(float *to, const float *from, float factor, int64_t count) {
    for (int64_t i = 0; i < count; i++)
        to[i] += factor * from[i];
}

/* Adds the distillation loss, times its weight, to the gradients that contrastive() wrote. */
static tic_status distill(tic_model *model, int64_t n, const tic_loss_options *options,
                          tic_step_loss *loss, tic_error *err) {
    const int64_t d = model->config.embed_dim;
    tic_distill_args args = {.b = n,
                             .d = d,
                             .teacher_d = options->teacher_d,
                             .precision = model->options.precision,
                             .image = model->step.image,
                             .text = model->step.text,
                             .teacher_image = options->teacher_image,
                             .teacher_text = options->teacher_text,
                             .scale = tic_model_scale(model),
                             .teacher_scale = options->teacher_scale,
                             .d_image = model->step.distill_image,
                             .d_text = model->step.distill_text};
    TIC_TRY(tic_distill(model->ctx, &args, err));
    const float weight = options->distill_weight;
    add_scaled(model->step.d_image, args.d_image, weight, n * d);
    add_scaled(model->step.d_text, args.d_text, weight, n * d);
    model->gradient[model->layout.logit_scale] += weight * (float)args.d_log_scale;
    loss->distill = args.loss;
    return TIC_OK;
}

static tic_status losses(tic_model *model, int64_t n, const tic_loss_options *options,
                         tic_step_loss *loss, tic_error *err) {
    *loss = (tic_step_loss){0};
    tic_ctx_site(model->ctx, TIC_AT_LOSS);
    TIC_TRY(contrastive(model, n, loss, err));
    loss->total = loss->contrastive;
    if (options && options->teacher_image && options->distill_weight != 0) {
        TIC_TRY(distill(model, n, options, loss, err));
        loss->total += (double)options->distill_weight * loss->distill;
    }
    if (!isfinite(loss->total))
        return tic_fail(err, TIC_EVERIFY, "the loss is %g: training has diverged", loss->total);
    return TIC_OK;
}

/* ---- forward, backward ----------------------------------------------------------------------- */

/* What a phase of the step is charged to. */
static void charge(const tic_model *model, const tic_loss_options *options, tic_purpose phase) {
    const bool named = options && options->purpose != TIC_FOR_FORWARD;
    tic_ctx_purpose(model->ctx, named ? options->purpose : phase);
}

static tic_status features(tic_model *model, const tic_batch *batch, tic_error *err) {
    for (int64_t i = 0; i < batch->n; i += model->options.micro_batch) {
        const part p = part_at(model, batch, i);
        const tic_pass vision = vision_part(model, batch, p, err);
        TIC_TRY(tic_vision_forward(&vision));
        const tic_pass text = text_part(model, batch, p, err);
        TIC_TRY(tic_text_forward(&text));
    }
    return TIC_OK;
}

/* Forward again, unless the activations of `features` are still there, and backward. */
static tic_status tower_gradients(tic_model *model, const tic_pass *pass,
                                  const tic_loss_options *options,
                                  tic_status (*forward)(const tic_pass *),
                                  tic_status (*backward)(const tic_pass *, const float *),
                                  const float *d_features) {
    if (model->shared) {
        charge(model, options, TIC_FOR_RECOMPUTE);
        TIC_TRY(forward(pass));
    }
    charge(model, options, TIC_FOR_BACKWARD);
    return backward(pass, d_features);
}

static tic_status gradients(tic_model *model, const tic_batch *batch,
                            const tic_loss_options *options, tic_step_loss *loss, tic_error *err) {
    tic_pack_weights(model);
    TIC_TRY(tic_table_read(model, batch->ids, batch->offsets[batch->n], err));
    charge(model, options, TIC_FOR_FORWARD);
    TIC_TRY(features(model, batch, err));
    TIC_TRY(losses(model, batch->n, options, loss, err));
    const int64_t e = model->config.embed_dim;
    for (int64_t i = 0; i < batch->n; i += model->options.micro_batch) {
        const part p = part_at(model, batch, i);
        const tic_pass vision = vision_part(model, batch, p, err);
        TIC_TRY(tower_gradients(model, &vision, options, tic_vision_forward, tic_vision_backward,
                                model->step.d_image + i * e));
        const tic_pass text = text_part(model, batch, p, err);
        TIC_TRY(tower_gradients(model, &text, options, tic_text_forward, tic_text_backward,
                                model->step.d_text + i * e));
    }
    return TIC_OK;
}

tic_status tic_model_gradients(tic_model *model, const tic_batch *batch,
                               const tic_loss_options *options, tic_step_loss *loss,
                               tic_error *err) {
    TIC_TRY(check(model, batch, err));
    return tic_pass_end(model->ctx, gradients(model, batch, options, loss, err));
}
