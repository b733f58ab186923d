/* The optimizer's step: AdamW over the two groups of the flat arrays (layout.c), then OpenCLIP's
 * clamp of logit_scale. */
#include "room.h"

#include <math.h>

static tic_status adamw(tic_model *model, const tic_adamw_options *o, int64_t step, float factor,
                        int64_t first, int64_t end, float decay, tic_error *err) {
    const tic_packings *packings = &model->packings;
    const tic_adamw_args args = {
        .n = end - first,
        .w = model->weights + first,
        .g = model->gradient + first,
        .m = model->moment1 + first,
        .v = model->moment2 + first,
        .lr = o->lr,
        .beta1 = o->beta1,
        .beta2 = o->beta2,
        .eps = o->eps,
        .weight_decay = decay,
        .grad_scale = factor,
        .step = step,
        .zero_grad = true,
        /* Matrices all decay: their group begins at 0. Packings that were never whole wait. */
        .matrices = first == 0 && packings->whole ? packings->matrices : NULL,
        .matrix_count = first == 0 && packings->whole ? packings->matrix_count : 0,
    };
    return tic_adamw(model->ctx, &args, err);
}

/* PyTorch's clip_grad_norm_: g *= min(1, clip / (|g| + 1e-6)). */
static float clip_factor(double norm, float clip) {
    if (clip <= 0)
        return 1;
    const double factor = (double)clip / (norm + 1e-6);
    return factor < 1 ? (float)factor : 1;
}

tic_status tic_model_update(tic_model *model, const tic_adamw_options *options, int64_t step,
                            double *norm, tic_error *err) {
    if (!model->options.train || step < 1)
        return tic_fail(err, TIC_EUSAGE, "an update needs a model for training and a step from 1");
    double squares = 0;
    TIC_TRY(tic_square_sum(model->ctx, model->gradient, model->layout.size, &squares, err));
    const double length = sqrt(squares);
    if (norm)
        *norm = length;
    if (!isfinite(squares))
        return tic_fail(err, TIC_EVERIFY, "the gradient of step %lld holds NaN or Inf",
                        (long long)step);
    const float factor = clip_factor(length, options->clip_norm);
    const int64_t decayed = model->layout.decayed, size = model->layout.size;
    TIC_TRY(adamw(model, options, step, factor, 0, decayed, options->weight_decay, err));
    TIC_TRY(adamw(model, options, step, factor, decayed, size, 0, err));
    float *scale = &model->weights[model->layout.logit_scale];
    model->packings.fresh = model->packings.whole;
    *scale = fminf(fmaxf(*scale, 0), (float)TIC_LOGIT_SCALE_MAX);
    return TIC_OK;
}
