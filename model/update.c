/* The optimizer's step: AdamW over the two groups of the flat arrays (layout.c), then OpenCLIP's
 * clamp of logit_scale. */
#include "room.h"

#include <math.h>

tic_status tic_adamw_add(tic_ctx *ctx, tic_adamw_args *args, tic_error *err) {
    double part = 0, *const sum = args->squares;
    args->squares = sum != NULL ? &part : NULL;
    TIC_TRY(tic_adamw(ctx, args, err));
    if (sum != NULL)
        *sum += part;
    return TIC_OK;
}

/* `now`: a step without its operands. */
static tic_status adamw(tic_model *model, const tic_adamw_args *now, int64_t first, int64_t end,
                        tic_error *err) {
    const tic_packings *packings = &model->packings;
    tic_adamw_args args = *now;
    args.n = end - first;
    args.w = model->weights + first;
    args.g = model->gradient + first;
    args.m = model->moment1 + first;
    args.v = model->moment2 + first;
    /* Matrices all decay: their group begins at 0. Packings that were never whole wait. */
    args.matrices = first == 0 && packings->whole ? packings->matrices : NULL;
    args.matrix_count = first == 0 && packings->whole ? packings->matrix_count : 0;
    return tic_adamw_add(model->ctx, &args, err);
}

/* The table of tokens is the last of the tensors that decay (layout.c). Its rows that no caption
 * had have a gradient only where the caller wrote it. */
static tic_status decaying(tic_model *model, const tic_adamw_args *now, tic_error *err) {
    if (!model->table.written) {
        TIC_TRY(adamw(model, now, 0, model->layout.text.table, err));
        return tic_table_update(model, now, err);
    }
    TIC_TRY(tic_table_settle(model, err));
    TIC_TRY(adamw(model, now, 0, model->layout.decayed, err));
    tic_table_updated(model);
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
    const int64_t size = model->layout.size;
    tic_adamw_args now = {.lr = options->lr,
                          .beta1 = options->beta1,
                          .beta2 = options->beta2,
                          .eps = options->eps,
                          .weight_decay = options->weight_decay,
                          .grad_scale = 1,
                          .step = step,
                          .zero_grad = true,
                          .squares = clips ? NULL : squares};
    tic_ctx_site(model->ctx, TIC_AT_OPTIMIZER);
    if (clips) {
        TIC_TRY(tic_square_sum(model->ctx, model->gradient, size, squares, err));
        TIC_TRY(check_finite(*squares, step, err));
        now.grad_scale = clip_factor(sqrt(*squares), options->clip_norm);
    }
    TIC_TRY(decaying(model, &now, err));
    now.weight_decay = 0;
    TIC_TRY(adamw(model, &now, model->layout.decayed, size, err));
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
