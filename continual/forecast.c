/* What a run will cost, before it starts: counted from shapes, and timed by a few real iterations.
 */
#include "run.h"
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Captions looked at for the mean length; pairs of the timed iterations at most. */
enum { CAPTIONS = 2000, TIMED_PAIRS = 256, LEAST_STEPS = 3 };
static const double TIMED_SECONDS = 3; /* of iterations, at least */

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

typedef struct timing { /* seconds */
    double pair; /* of training: waiting for it to be decoded, gradients, its share of a batch */
    double iteration;  /* the optimizer's pass over the weights, whatever the batch */
    double loading;    /* of the evaluation sets, once */
    double evaluation; /* of one model on all of them */
    double saving;     /* of a checkpoint and its hash */
} timing;

/* Whole iterations, the first aside, until they took a while; and the rate of their MACs. */
static tic_status time_training(tic_model *model, tic_loader *loader, int64_t n, timing *out,
                                double *rate, tic_error *err) {
    tic_ctx *ctx = tic_model_ctx(model);
    /* A learning rate of zero: nothing is learnt, everything is computed. */
    tic_adamw_options adamw = {.beta1 = 0.9f, .beta2 = 0.98f, .eps = 1e-6f};
    tic_counters before, after;
    double gradients = 0, updates = 0;
    int timed = -1; /* the first books memory and fills caches */
    for (; timed < LEAST_STEPS || gradients + updates < TIMED_SECONDS; timed++) {
        const tic_batch *batch;
        tic_step_loss loss;
        if (timed == 0) {
            gradients = updates = 0;
            tic_ctx_counters(ctx, &before);
        }
        const double begun = tic_now();
        TIC_TRY(tic_loader_next(loader, &batch, err));
        TIC_TRY(tic_model_gradients(model, batch, &(tic_loss_options){0}, &loss, err));
        const double done = tic_now();
        TIC_TRY(tic_model_update(model, &adamw, timed + 2, NULL, err));
        gradients += done - begun;
        updates += tic_now() - done;
    }
    tic_ctx_counters(ctx, &after);
    out->pair = gradients / timed / (double)n;
    out->iteration = updates / timed;
    *rate = (double)(tic_counters_sum(&after).logical - tic_counters_sum(&before).logical) /
            (gradients + updates);
    return TIC_OK;
}

/* The sets are loaded as the run will, and one step's retrieval stands for all: what is scored
 * costs as much a picture and caption elsewhere. */
static tic_status time_evaluation(tic_session *s, tic_model *model, int64_t n, timing *out,
                                  tic_error *err) {
    double mean, begun = tic_now();
    TIC_TRY(tic_session_tasks(s, true, err));
    out->loading = tic_now() - begun;
    begun = tic_now();
    TIC_TRY(tic_mean_retrieval(model, n, s->tasks, 1, &mean, err));
    const int64_t pairs = s->tasks->step[0].n;
    if (pairs > 0)
        out->evaluation =
            (tic_now() - begun) / (double)pairs * (double)tic_evaluation_pairs(s->tasks);
    return TIC_OK;
}

static tic_status time_saving(const tic_session *s, tic_model *model, timing *out, tic_error *err) {
    char folder[TIC_PATH], file[TIC_PATH], hash[65];
    const double begun = tic_now();
    TIC_TRY(tic_session_path(s, folder, "forecast.tmp", err));
    TIC_TRY(tic_path_join(file, sizeof file, folder, "open_clip_model.safetensors", err));
    tic_status status = tic_model_save(model, folder, err);
    if (status == TIC_OK)
        status = tic_file_sha256(file, hash, err);
    out->saving = tic_now() - begun;
    unlink(file);
    if (tic_path_join(file, sizeof file, folder, "open_clip_config.json", NULL) == TIC_OK)
        unlink(file);
    rmdir(folder);
    return status;
}

/* On as many pairs as take about a second at the speed of matrix products, at most a batch. */
static tic_status measure(tic_session *s, const tic_forecast *f, timing *out, double *rate,
                          tic_error *err) {
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
    *out = (timing){0};
    TIC_TRY(tic_model_new(&model, s->ctx, &s->config, &options, err));
    tic_model_init(model, (uint64_t)s->x->seed);
    tic_status status = tic_loader_new(&loader, &load, err);
    if (status == TIC_OK) {
        status = time_training(model, loader, n, out, rate, err);
        tic_loader_free(loader);
    }
    if (status == TIC_OK)
        status = time_evaluation(s, model, n, out, err);
    if (status == TIC_OK)
        status = time_saving(s, model, out, err);
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

typedef struct work {         /* that is still to be done */
    double pairs, iterations; /* trained; beside training, as many as cost the same */
    int items, evaluations;   /* steps trained, models evaluated */
} work;

/* Steps that are taken over cost MACs of the budget but no time, nor does what a begun run has
 * done. */
static tic_status add_up(const tic_session *s, work *left, tic_forecast *f, tic_error *err) {
    tic_item *items;
    int count;
    TIC_TRY(tic_run_list(s, &items, &count, err));
    *left = (work){0};
    for (int i = 0; i < count; i++) {
        int64_t pairs = items[i].budget.iterations * s->x->batch;
        const int64_t iterations = items[i].budget.iterations;
        f->iterations_total += iterations;
        if (i == 0 || iterations < f->iterations_least)
            f->iterations_least = iterations;
        if (iterations > f->iterations_most)
            f->iterations_most = iterations;
        f->pairs_total += pairs;
        f->extra_total += (double)items[i].budget.extra;
        if (items[i].same_as >= 0)
            continue;
        if (tic_item_ended(s, &items[i]) == NULL) {
            left->pairs += (double)pairs + (double)items[i].budget.extra / (double)f->nominal_pair;
            left->iterations += (double)items[i].budget.iterations;
            left->items++;
        }
        left->evaluations += tic_item_evaluated(s, &items[i]) == NULL;
    }
    f->steps = s->steps.count;
    f->methods = count / s->steps.count;
    tic_free(items);
    return TIC_OK;
}

static tic_status forecast(tic_session *s, tic_forecast *f, tic_error *err) {
    tic_model_options options = {.batch = s->x->batch, .precision = s->precision, .train = true};
    tic_needs needs;
    double rate;
    work left;
    timing t;
    options.micro_batch = s->micro_batch;
    f->parameters = tic_config_parameters(&s->config);
    f->micro_batch = s->micro_batch;
    TIC_TRY(tic_session_needs(s, &needs, err));
    f->memory =
        tic_model_memory(&s->config, &options) + needs.copies +
        (size_t)held_out(s) * (size_t)s->config.image_size * (size_t)s->config.image_size * 3;
    options.train = false;
    f->memory += needs.teacher ? tic_model_memory(&s->config, &options) : 0;
    f->nominal_pair = tic_nominal_train(&s->config);
    TIC_TRY(tic_mean_tokens(s, &f->mean_tokens, err));
    f->logical_pair = logical_pair(s, f->mean_tokens);
    TIC_TRY(add_up(s, &left, f, err));
    f->nominal_total = (double)f->pairs_total * (double)f->nominal_pair;
    f->logical_total = (double)f->pairs_total * (double)f->logical_pair;
    snprintf(f->precision, sizeof f->precision, "%s", tic_dtype_name(s->precision));
    if (left.items + left.evaluations == 0) /* all is done: nothing to measure for */
        return TIC_OK;
    TIC_TRY(measure(s, f, &t, &rate, err));
    f->gmacs = 1e-9 * rate;
    f->evaluation_seconds = t.evaluation * left.evaluations;
    f->seconds = t.loading + left.pairs * t.pair + left.iterations * t.iteration +
                 left.items * t.saving + f->evaluation_seconds;
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
