/* The optimizer's step: AdamW over the two groups of the flat arrays (layout.c), then OpenCLIP's
 * clamp of logit_scale. */
#include "room.h"

#include <math.h>

static tic_status adamw(tic_model *model, const tic_adamw_options *o, int64_t step, float factor,
                        int64_t first, int64_t end, float decay, double *squares, tic_error *err) {
    double part = 0;
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
        .squares = squares != NULL ? &part : NULL,
    };
    TIC_TRY(tic_adamw(model->ctx, &args, err));
    if (squares != NULL)
        *squares += part;
    return TIC_OK;
}

/* PyTorch's clip_grad_norm_: g *= min(1, clip / (|g| + 1e-6)). */
static float clip_factor(double norm, float clip) {
    const double factor = (double)clip / (norm + 1e-6);
    return factor < 1 ? (float)factor : 1;
}

static tic_status check_finite(double squares, int64_t step, tic_error *err) {
    if (isfinite(squares))
        return TIC_OK;
    return tic_fail(err, TIC_EVERIFY, "the gradient of step %lld holds NaN or Inf",
                    (long long)step);
}

/* A norm that nothing depends on is a by-product of the pass that reads the gradient anyway. */
static tic_status both_groups(tic_model *model, const tic_adamw_options *options, int64_t step,
                              double *squares, tic_error *err) {
    const bool clips = options->clip_norm > 0;
    const int64_t decayed = model->layout.decayed, size = model->layout.size;
    double *sum = clips ? NULL : squares;
    float factor = 1;
    tic_ctx_site(model->ctx, TIC_AT_OPTIMIZER);
    if (clips) {
        TIC_TRY(tic_square_sum(model->ctx, model->gradient, size, squares, err));
        TIC_TRY(check_finite(*squares, step, err));
        factor = clip_factor(sqrt(*squares), options->clip_norm);
    }
    TIC_TRY(adamw(model, options, step, factor, 0, decayed, options->weight_decay, sum, err));
    TIC_TRY(adamw(model, options, step, factor, decayed, size, 0, sum, err));
    return check_finite(*squares, step, err);
}

tic_status tic_model_update(tic_model *model, const tic_adamw_options *options, int64_t step,
                            double *norm, tic_error *err) {
    if (!model->options.train || step < 1)
        return tic_fail(err, TIC_EUSAGE, "an update needs a model for training and a step from 1");
    double squares = 0;
    TIC_TRY(tic_pass_end(model->ctx, both_groups(model, options, step, &squares, err)));
    if (norm)
        *norm = sqrt(squares);
    float *scale = &model->weights[model->layout.logit_scale];
    model->packings.fresh = model->packings.whole;
    *scale = fminf(fmaxf(*scale, 0), (float)TIC_LOGIT_SCALE_MAX);
    return TIC_OK;
}
