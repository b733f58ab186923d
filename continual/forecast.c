/* What a run will cost, before it starts: counted from shapes, and timed by a few real iterations.
 */
#include "run.h"
#include <stdio.h>
#include <string.h>

/* Captions looked at for the mean length; pairs of the timed iterations at most. */
enum { CAPTIONS = 2000, TIMED_PAIRS = 256 };

/* ---- lengths ------------------------------------------------------------------------------- */

tic_status tic_mean_tokens(tic_session *s, double *out, tic_error *err) {
    int32_t ids[1024];
    double sum = 0;
    size_t size = tic_index_size(s->index), count = size < CAPTIONS ? size : CAPTIONS;
    int context = s->config.context_length < 1024 ? s->config.context_length : 1024;
    for (size_t i = 0; i < count; i++) {
        char *text;
        int length;
        TIC_TRY(tic_index_caption(s->index, (uint32_t)(i * size / count), &text, err));
        tic_status status = tic_tokenize_caption(s->vocab, text, context, ids, &length, err);
        tic_free(text);
        if (status != TIC_OK)
            return status;
        sum += length;
    }
    *out = sum / (double)count;
    return TIC_OK;
}

/* Logical MACs of training a pair, at the mean length of a caption. */
static uint64_t logical_pair(const tic_session *s, double tokens) {
    int64_t batch = s->x->batch;
    int32_t offsets[2] = {0, (int32_t)(tokens + 0.5)};
    const tic_config *config = &s->config;
    /* Several pictures at a time need as much each as one does. */
    uint64_t towers = tic_logical_image(config, 1, false) + tic_logical_image(config, 1, true) +
                      tic_logical_text(config, 1, offsets, false) +
                      tic_logical_text(config, 1, offsets, true);
    if (s->micro_batch < batch) /* the second forward */
        towers += tic_logical_image(config, 1, false) + tic_logical_text(config, 1, offsets, false);
    return towers + tic_logical_loss(config, batch) / (uint64_t)batch;
}

/* ---- timing -------------------------------------------------------------------------------- */

static tic_status timed_steps(tic_model *model, tic_loader *loader, double *rate, tic_error *err) {
    tic_ctx *ctx = tic_model_ctx(model);
    /* A learning rate of zero: nothing is learnt, everything is computed. */
    tic_adamw_options adamw = {.beta1 = 0.9f, .beta2 = 0.98f, .eps = 1e-6f};
    *rate = 0;
    for (int i = 0; i < 3; i++) {
        const tic_batch *batch;
        tic_step_loss loss;
        tic_counters before;
        tic_spent spent = {.iterations = 1};
        double logical = 0;
        TIC_TRY(tic_loader_next(loader, &batch, err));
        tic_ctx_counters(ctx, &before);
        double begun = tic_now();
        TIC_TRY(tic_model_gradients(model, batch, &(tic_loss_options){0}, &loss, err));
        TIC_TRY(tic_model_update(model, &adamw, i + 1, NULL, err));
        double seconds = tic_now() - begun;
        tic_spent_count(&spent, ctx, &before);
        for (int p = 0; p < TIC_PURPOSE_COUNT; p++)
            logical += (double)spent.by[p].logical;
        if (logical / seconds > *rate)
            *rate = logical / seconds;
    }
    return TIC_OK;
}

/* Logical MACs per second of training steps, the best of three, on as many pairs as take about a
 * second at the speed of matrix products. */
static tic_status measure(tic_session *s, const tic_forecast *f, double *rate, tic_error *err) {
    tic_calibration peak;
    TIC_TRY(tic_calibrate(s->ctx, &peak, err));
    double gmacs = s->precision == TIC_BF16 ? peak.bf16 : peak.f32;
    double pairs = 0.5 * gmacs * 1e9 / (double)f->logical_pair;
    int64_t n = pairs < 2 ? 2 : pairs > TIMED_PAIRS ? TIMED_PAIRS : (int64_t)pairs;
    n = n > s->x->batch ? s->x->batch : n;
    tic_model_options options = {.batch = n,
                                 .micro_batch = n < s->micro_batch ? n : s->micro_batch,
                                 .precision = s->precision,
                                 .train = true};
    tic_loader_options load = {.index = s->index,
                               .vocab = s->vocab,
                               .pool = s->steps.step[0].train,
                               .pool_size = s->steps.step[0].trains,
                               .image_size = s->config.image_size,
                               .context = s->config.context_length,
                               .batch = n,
                               .train = true,
                               .threads = (int)s->x->threads};
    tic_model *model;
    tic_loader *loader;
    TIC_TRY(tic_model_new(&model, s->ctx, &s->config, &options, err));
    tic_model_init(model, (uint64_t)s->x->seed);
    tic_status status = tic_loader_new(&loader, &load, err);
    if (status == TIC_OK) {
        status = timed_steps(model, loader, rate, err);
        tic_loader_free(loader);
    }
    tic_model_free(model);
    return status;
}

/* ---- the forecast -------------------------------------------------------------------------- */

static int64_t held_out(const tic_session *s) {
    size_t sum = 0;
    for (int i = 0; i < s->steps.count; i++)
        sum += s->steps.step[i].evals;
    return (int64_t)sum;
}

/* Bytes that methods need beside the model: LwF's teacher, which stays, and the most flat arrays of
 * weights, two, that EWC and patching hold in turn. */
static size_t beside_model(const tic_session *s, const tic_item *items, int count) {
    const tic_model_options teacher = {
        .batch = s->x->batch, .micro_batch = s->micro_batch, .precision = s->precision};
    bool teaches = false, copies = false;
    for (int i = 0; i < count; i++) {
        if (items[i].step == 0)
            continue;
        teaches |= items[i].method->penalty == TIC_PENALTY_LWF;
        copies |= items[i].method->penalty == TIC_PENALTY_EWC ||
                  items[i].method->start == TIC_START_PATCHED;
    }
    return (teaches ? tic_model_memory(&s->config, &teacher) : 0) +
           (copies ? 2 * (size_t)tic_config_parameters(&s->config) * sizeof(float) : 0);
}

/* Steps that are taken over cost MACs of the budget but no time, nor does what a begun run has
 * done. Evaluation: forward only, of the held-out pairs; static sets are not looked at here. */
static tic_status add_up(const tic_session *s, double *timed_pairs, tic_forecast *f,
                         tic_error *err) {
    tic_item *items;
    int count;
    TIC_TRY(tic_run_list(s, &items, &count, err));
    *timed_pairs = 0;
    for (int i = 0; i < count; i++) {
        int64_t pairs = items[i].budget.iterations * s->x->batch;
        f->iterations_total += items[i].budget.iterations;
        f->pairs_total += pairs;
        f->extra_total += (double)items[i].budget.extra;
        if (items[i].same_as >= 0)
            continue;
        if (tic_item_ended(s, &items[i]) == NULL)
            *timed_pairs += (double)pairs + (double)items[i].budget.extra / (double)f->nominal_pair;
        *timed_pairs += tic_item_evaluated(s, &items[i]) == NULL ? (double)held_out(s) / 3 : 0;
    }
    f->memory += beside_model(s, items, count);
    f->steps = s->steps.count;
    f->methods = count / s->steps.count;
    tic_free(items);
    return TIC_OK;
}

static tic_status forecast(tic_session *s, tic_forecast *f, tic_error *err) {
    tic_model_options options = {.batch = s->x->batch, .precision = s->precision, .train = true};
    double timed_pairs, rate;
    options.micro_batch = s->micro_batch;
    f->parameters = tic_config_parameters(&s->config);
    f->micro_batch = s->micro_batch;
    f->memory = tic_model_memory(&s->config, &options) + (size_t)held_out(s) *
                                                             (size_t)s->config.image_size *
                                                             (size_t)s->config.image_size * 3;
    f->nominal_pair = tic_nominal_train(&s->config);
    TIC_TRY(tic_mean_tokens(s, &f->mean_tokens, err));
    f->logical_pair = logical_pair(s, f->mean_tokens);
    TIC_TRY(add_up(s, &timed_pairs, f, err));
    f->nominal_total = (double)f->pairs_total * (double)f->nominal_pair;
    f->logical_total = (double)f->pairs_total * (double)f->logical_pair;
    snprintf(f->precision, sizeof f->precision, "%s", tic_dtype_name(s->precision));
    TIC_TRY(measure(s, f, &rate, err));
    f->gmacs = 1e-9 * rate;
    f->seconds = timed_pairs * (double)f->logical_pair / rate;
    return TIC_OK;
}

static tic_status forecast_run(tic_session *s, void *out, tic_error *err) {
    TIC_TRY(tic_run_look(s, err));
    TIC_TRY(tic_run_settle(s, err));
    return forecast(s, out, err);
}

tic_status tic_run_forecast(const tic_experiment *experiment, const tic_hooks *hooks,
                            tic_forecast *out, tic_error *err) {
    tic_session s = {.x = experiment, .hooks = hooks};
    *out = (tic_forecast){.steps = 0};
    TIC_TRY(tic_experiment_check(experiment, err));
    return tic_in_run(&s, forecast_run, out, err);
}
