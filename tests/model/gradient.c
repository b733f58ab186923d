/* The gradient of a whole small model against central differences of its loss, tensor by tensor,
 * along the gradient and along a random direction. The class token, EOT, both activations, ragged
 * captions and logit_scale all take part, with the contrastive loss alone and with LwF's beside it.
 */
#include "tests/model/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

typedef struct probe {
    tic_model *model;
    const tic_batch *batch;
    tic_loss_options loss;
    float image[5 * 12], text[5 * 12]; /* the teacher's, of other pairs */
    float *weights, *direction;        /* copies the size of one tensor at most */
    float *gradient;                   /* the whole, as computed */
} probe;

static double loss_at(probe *p, const tic_tensor *tensor, double step) {
    float *w = tic_model_weights(p->model) + tensor->offset;
    for (int64_t i = 0; i < tensor->count; i++)
        w[i] = (float)((double)p->weights[i] + step * p->direction[i]);
    tic_step_loss loss;
    MUST(tic_model_gradients(p->model, p->batch, &p->loss, &loss, err));
    return loss.total;
}

/* (4 D(h) - D(2h)) / 3: the error is O(h⁴). */
static double derivative(probe *p, const tic_tensor *tensor, double h) {
    const double d1 = (loss_at(p, tensor, h) - loss_at(p, tensor, -h)) / (2 * h);
    const double d2 = (loss_at(p, tensor, 2 * h) - loss_at(p, tensor, -2 * h)) / (4 * h);
    memcpy(tic_model_weights(p->model) + tensor->offset, p->weights,
           (size_t)tensor->count * sizeof(float));
    return (4 * d1 - d2) / 3;
}

/* Directions have length 1, so h is the length of the step: 0.02, or less where the gradient is so
 * steep that the loss would change by more than 0.01. The loss, about 2, is f32 work with an error
 * near 1e-6, which Richardson's weights and the division make 2e-6 / h; the third decimal of the
 * relative error is left to O(h⁴). */
static void check_direction(probe *p, const tic_tensor *tensor, const char *which) {
    double want = 0, squares = 0;
    for (int64_t i = 0; i < tensor->count; i++) {
        const double g = p->gradient[tensor->offset + i];
        want += g * p->direction[i];
        squares += g * g;
    }
    const double h = fmin(0.02, 0.01 / sqrt(squares));
    const double got = derivative(p, tensor, h);
    cr_log_info("%s along the %s: %.6f, differences %.6f", tensor->name, which, want, got);
    cr_expect(fabs(got - want) <= 2e-6 / h + 1e-3 * fabs(want),
              "%s along the %s: %.6f, differences %.6f", tensor->name, which, want, got);
}

static void set_direction(probe *p, const tic_tensor *tensor, bool random) {
    const tic_random key = {.seed = 5, .purpose = TIC_RNG_BENCH};
    const float *gradient = p->gradient + tensor->offset;
    double squares = 0;
    for (int64_t i = 0; i < tensor->count; i++) {
        p->direction[i] =
            random ? (float)tic_random_normal(key, (uint64_t)(tensor->offset + i)) : gradient[i];
        squares += (double)p->direction[i] * p->direction[i];
    }
    cr_expect(squares > 0, "%s has no gradient", tensor->name);
    for (int64_t i = 0; i < tensor->count; i++)
        p->direction[i] = (float)(p->direction[i] / sqrt(squares));
}

/* Another model's features: the same one's, of pictures and captions that are not the batch's. */
static void teach(probe *p, const tic_config *config) {
    tic_batch *other = test_batch(config, 5, 2);
    cr_assert_eq(config->embed_dim, 12);
    MUST(tic_encode_images(p->model, 5, other->pixels, p->image, err));
    MUST(tic_encode_texts(p->model, 5, other->ids, other->offsets, p->text, err));
    p->loss = (tic_loss_options){.teacher_image = p->image,
                                 .teacher_text = p->text,
                                 .teacher_d = 12,
                                 .teacher_scale = 9,
                                 .distill_weight = 0.7f};
    test_batch_free(other);
}

static void check_model(const tic_config *config, bool taught) {
    tic_ctx *ctx = test_ctx(1);
    const tic_model_options options = {.batch = 5, .train = true};
    probe p = {.model = test_model(ctx, config, &options)};
    tic_batch *batch = test_batch(config, 5, 1);
    const size_t size = (size_t)tic_model_size(p.model);
    p.batch = batch;
    if (taught)
        teach(&p, config);
    MUST(tic_alloc(&p.weights, size, sizeof(float), err));
    MUST(tic_alloc(&p.direction, size, sizeof(float), err));
    MUST(tic_alloc(&p.gradient, size, sizeof(float), err));
    tic_step_loss loss;
    MUST(tic_model_gradients(p.model, batch, &p.loss, &loss, err));
    cr_assert((loss.distill > 0) == taught);
    memcpy(p.gradient, tic_model_gradient(p.model), size * sizeof(float));
    for (int i = 0; i < tic_model_tensor_count(p.model); i++) {
        const tic_tensor *tensor = tic_model_tensor(p.model, i);
        memcpy(p.weights, tic_model_weights(p.model) + tensor->offset,
               (size_t)tensor->count * sizeof(float));
        set_direction(&p, tensor, false);
        check_direction(&p, tensor, "gradient");
        set_direction(&p, tensor, true);
        check_direction(&p, tensor, "random");
    }
    tic_free(p.weights);
    tic_free(p.direction);
    tic_free(p.gradient);
    test_batch_free(batch);
    tic_model_free(p.model);
    tic_ctx_free(ctx);
}

Test(gradient, gelu) {
    const tic_config config = test_config(false);
    check_model(&config, false);
}

Test(gradient, of_lwf) {
    const tic_config config = test_config(false);
    check_model(&config, true);
}

Test(gradient, quick_gelu_and_single_blocks) {
    tic_config config = test_config(true);
    config.vision_layers = config.text_layers = 1;
    config.vision_mlp = 40;
    check_model(&config, false);
}

/* With a distillation term, its weight in the total. */
Test(gradient, logit_scale_of_both_losses) {
    const tic_config config = test_config(false);
    tic_ctx *ctx = test_ctx(1);
    const tic_model_options options = {.batch = 5, .train = true};
    tic_model *model = test_model(ctx, &config, &options);
    tic_batch *batch = test_batch(&config, 5, 1);
    probe p = {.model = model};
    teach(&p, &config);
    const tic_tensor *scale = tic_model_find(model, "logit_scale");
    float *weight = tic_model_weights(model) + scale->offset;
    const float at = *weight, h = 0.02f;
    tic_step_loss middle, low, high;
    MUST(tic_model_gradients(model, batch, &p.loss, &middle, err));
    const double gradient = tic_model_gradient(model)[scale->offset];
    *weight = at - h;
    MUST(tic_model_gradients(model, batch, &p.loss, &low, err));
    *weight = at + h;
    MUST(tic_model_gradients(model, batch, &p.loss, &high, err));
    const double difference = (high.total - low.total) / (2 * h);
    cr_expect(middle.distill > 0);
    cr_expect(fabs(middle.total - (middle.contrastive + (double)0.7f * middle.distill)) <= 1e-12);
    /* the truncated term is h²/6 of the third derivative, which is of the order of the loss */
    cr_expect(fabs(difference - gradient) <= 1e-3 * fabs(gradient) + 1e-4, "%g, differences %g",
              gradient, difference);
    test_batch_free(batch);
    tic_model_free(model);
    tic_ctx_free(ctx);
}
