/* The trainer of one step: batches, gradients, updates, counters, saved states, and the exact
 * continuation from them. */
#include "room.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* TensorBoard gets at most about this many points a step. */
enum { BOARD_POINTS = 10000 };

typedef struct training {
    tic_session *s;
    const tic_job *job;
    tic_spent spent; /* of this step, by this process and those before */
    tic_counters counted;
    tic_loader *loader;
    tic_board board;
    tic_ewc ewc;
    tic_teacher teacher;
    int64_t updates; /* of the optimizer before this step, when its moments are kept */
    char state[TIC_PATH];
    double saved;  /* when, by tic_now */
    double waited; /* tic_loader_waited at the last iteration */
} training;

uint64_t tic_stream_seed(int64_t seed, int step_index) {
    /* The settings' seed is below 2^53; the step goes above it. */
    return (uint64_t)seed ^ (uint64_t)(step_index + 1) << 53;
}

/* ---- saved states -------------------------------------------------------------------------- */

/* Weights that overflowed are never saved: a finite gradient can do that too. */
static tic_status check_weights(const training *t, tic_error *err) {
    tic_model *model = t->s->model;
    double sum;
    TIC_TRY(tic_square_sum(t->s->ctx, tic_model_look(model), tic_model_size(model), &sum, err));
    if (isfinite(sum))
        return TIC_OK;
    return tic_fail(
        err, TIC_EVERIFY,
        "%s/%s: weights are not finite after iteration %lld; nothing was saved (a lower "
        "learning rate may help)",
        t->job->method, t->job->step, (long long)t->spent.iterations);
}

/* `from` as a state names it: within the run by its place there, since a run may be moved. */
static const char *name_of_from(const training *t) {
    const char *from = t->job->from != NULL ? t->job->from : "", *out = t->s->x->out;
    const size_t size = strlen(out);
    if (strncmp(from, out, size) != 0 || (from[size] != '/' && out[size - 1] != '/'))
        return from;
    return from + size + strspn(from + size, "/");
}

/* The board first: a state must never know of more of it than the disk holds. */
static tic_status save_state(training *t, tic_error *err) {
    char board_size[32], iterations[32], updates[32];
    char *spent = NULL;
    TIC_TRY(check_weights(t, err));
    json_t *json = tic_spent_json(&t->spent);
    tic_status status = tic_file_write(t->job->board, t->board.bytes, t->board.size, err);
    if (status == TIC_OK)
        status = tic_json_text(json, JSON_COMPACT, &spent, err);
    snprintf(board_size, sizeof board_size, "%zu", t->board.size);
    snprintf(iterations, sizeof iterations, "%lld", (long long)t->job->iterations);
    snprintf(updates, sizeof updates, "%lld", (long long)t->updates);
    const char *metadata[] = {"method",        t->job->method, "step",     t->job->step, "from",
                              name_of_from(t), "iterations",   iterations, "spent",      spent,
                              "board",         board_size,     "updates",  updates,      NULL};
    if (status == TIC_OK)
        status = tic_model_save_state(t->s->model, t->state, metadata, err);
    json_decref(json);
    tic_free(spent);
    t->saved = tic_now();
    return status;
}

static bool metadata_is(const tic_safetensors *file, const char *key, const char *value) {
    const char *text = tic_safetensors_metadata(file, key);
    return text != NULL && strcmp(text, value) == 0;
}

/* Takes over position, counters and board from a state's metadata. */
static tic_status read_state(training *t, const tic_safetensors *file, tic_error *err) {
    char iterations[32];
    const tic_job *job = t->job;
    const char *text = tic_safetensors_metadata(file, "spent");
    const char *board = tic_safetensors_metadata(file, "board");
    const char *updates = tic_safetensors_metadata(file, "updates");
    snprintf(iterations, sizeof iterations, "%lld", (long long)job->iterations);
    if (!metadata_is(file, "method", job->method) || !metadata_is(file, "step", job->step) ||
        !metadata_is(file, "from", name_of_from(t)) || !metadata_is(file, "iterations", iterations))
        return tic_fail(err, TIC_EINPUT,
                        "%s: the state of another training; remove it to train %s/%s anew",
                        t->state, job->method, job->step);
    json_t *json = json_loads(text != NULL ? text : "", 0, NULL);
    bool whole = tic_spent_read(json, &t->spent);
    json_decref(json);
    if (!whole || board == NULL || updates == NULL || t->spent.iterations > job->iterations ||
        t->spent.pairs != t->spent.iterations * t->s->x->batch)
        return tic_fail(err, TIC_EINPUT,
                        "%s: its position is damaged; remove it to train %s/%s anew", t->state,
                        job->method, job->step);
    t->updates = strtoll(updates, NULL, 10);
    return tic_board_read(&t->board, job->board, strtoull(board, NULL, 10), err);
}

/* In training pairs, what is beside training too. */
static double work_of(const training *t, const tic_spent *spent) {
    return (double)spent->pairs + (double)spent->extra / t->s->meter.nominal_pair;
}

static void count_earlier(training *t) {
    tic_meter *meter = &t->s->meter;
    meter->done += work_of(t, &t->spent);
    meter->began_done += work_of(t, &t->spent);
    meter->budget_done += (double)t->spent.nominal + (meter->strict ? (double)t->spent.extra : 0);
}

static tic_status resume(training *t, tic_error *err) {
    tic_safetensors *file;
    TIC_TRY(tic_model_load_state(t->s->model, t->state, &file, err));
    tic_status status = read_state(t, file, err);
    tic_safetensors_close(file);
    if (status != TIC_OK)
        return status;
    count_earlier(t);
    return tic_ledger_add(&t->s->ledger,
                          json_pack("{s:s, s:s, s:s, s:I}", "event", "continued", "method",
                                    t->job->method, "step", t->job->step, "iteration",
                                    (json_int_t)t->spent.iterations),
                          err);
}

/* With --keep-optimizer: moments and the number of updates that the last step left. A last model
 * that came without (`ticlip train --from`) is none: they begin anew. */
static tic_status keep_moments(training *t, tic_error *err) {
    char path[TIC_PATH];
    tic_safetensors *file;
    TIC_TRY(tic_path_join(path, sizeof path, t->job->from, TIC_OPTIMIZER_FILE, err));
    if (!tic_file_exists(path))
        return TIC_OK;
    TIC_TRY(tic_model_load_state(t->s->model, path, &file, err));
    const char *updates = tic_safetensors_metadata(file, "updates");
    t->updates = updates != NULL ? strtoll(updates, NULL, 10) : 0;
    tic_safetensors_close(file);
    return TIC_OK;
}

static tic_status save_moments(const training *t, const char *folder, tic_error *err) {
    char path[TIC_PATH], updates[32];
    if (!t->s->x->keep_optimizer)
        return TIC_OK;
    snprintf(updates, sizeof updates, "%lld", (long long)(t->updates + t->spent.iterations));
    const char *metadata[] = {"updates", updates, NULL};
    TIC_TRY(tic_path_join(path, sizeof path, folder, TIC_OPTIMIZER_FILE, err));
    return tic_model_save_state(t->s->model, path, metadata, err);
}

/* Fresh weights or the last model's; moments start anew in every step (paper), or are kept. */
static tic_status start(training *t, tic_error *err) {
    tic_model *model = t->s->model;
    size_t bytes = (size_t)tic_model_size(model) * sizeof(float);
    memset(tic_model_gradient(model), 0, bytes);
    memset(tic_model_moment1(model), 0, bytes);
    memset(tic_model_moment2(model), 0, bytes);
    tic_spent_add(&t->spent, &t->job->before);
    tic_meter_extra(&t->s->meter, t->spent.extra);
    if (t->job->from != NULL && t->s->x->keep_optimizer)
        TIC_TRY(keep_moments(t, err));
    if (t->job->from == NULL)
        tic_model_init(model, (uint64_t)t->s->x->seed);
    else
        TIC_TRY(tic_model_load(model, t->job->from, err));
    return tic_board_begin(&t->board, tic_wall_time(), err);
}

tic_penalty tic_job_penalty(const tic_job *job) {
    return job->from != NULL ? job->rule->penalty : TIC_PENALTY_NONE;
}

/* What the penalty needs of the last model, before the step's own weights are loaded. */
static tic_status prepare(training *t, tic_spent *spent, tic_error *err) {
    *spent = (tic_spent){.iterations = 0};
    switch (tic_job_penalty(t->job)) {
    case TIC_PENALTY_EWC:
        return tic_ewc_prepare(t->s, t->job, &t->ewc, spent, err);
    case TIC_PENALTY_LWF:
        return tic_teacher_prepare(t->s, t->job, &t->teacher, err);
    case TIC_PENALTY_NONE:
        break;
    }
    return TIC_OK;
}

/* ---- an iteration -------------------------------------------------------------------------- */

static json_t *batch_identities(const training *t, const tic_batch *batch) {
    const tic_pair *pairs = tic_index_pairs(t->s->index);
    json_t *list = json_array();
    for (int64_t i = 0; i < batch->n; i++) {
        char hex[33];
        tic_id id = pairs[batch->pairs[i]].id;
        snprintf(hex, sizeof hex, "%016llx%016llx", (unsigned long long)id.hi,
                 (unsigned long long)id.lo);
        json_array_append_new(list, json_string(hex));
    }
    return list;
}

/* A loss or gradient that is not finite: the batch goes into the ledger, and nothing is saved. */
static tic_status not_finite(training *t, const tic_batch *batch, tic_error *err) {
    const tic_job *job = t->job;
    int64_t at = t->spent.iterations;
    json_t *event = json_pack("{s:s, s:s, s:s, s:I, s:I, s:o}", "event", "not_finite", "method",
                              job->method, "step", job->step, "iteration", (json_int_t)at, "seed",
                              (json_int_t)t->s->x->seed, "pairs", batch_identities(t, batch));
    tic_error ignored; /* the first failure is the one to tell */
    tic_ledger_add(&t->s->ledger, event, &ignored);
    return tic_fail_in(err, "%s/%s, iteration %lld (pairs %lld .. %lld of the stream, seed %lld)",
                       job->method, job->step, (long long)at, (long long)(at * batch->n),
                       (long long)((at + 1) * batch->n - 1), (long long)t->s->x->seed);
}

static tic_status write_scalars(training *t, const tic_event *event, double seconds, double waited,
                                tic_error *err) {
    const tic_scalar scalars[] = {
        {"train/loss", (float)event->loss},
        {"train/contrastive_loss", (float)event->contrastive},
        {"train/lr", (float)event->lr},
        {"train/logit_scale", (float)event->scale},
        {"train/samples_per_second", (float)((double)t->s->x->batch / seconds)},
        {"train/data_time", (float)waited},
        {"train/batch_time", (float)seconds},
    };
    return tic_board_add(&t->board, tic_wall_time(), t->job->first_iteration + event->iteration,
                         scalars, (int)(sizeof scalars / sizeof scalars[0]), err);
}

static void add_to_order(training *t, const tic_batch *batch) {
    const tic_pair *pairs = tic_index_pairs(t->s->index);
    tic_sha256 hash;
    tic_order_begin(&hash, t->spent.order);
    for (int64_t i = 0; i < batch->n; i++)
        tic_order_add(&hash, &pairs[batch->pairs[i]].id);
    tic_order_end(&hash, t->spent.order);
}

/* Adds the iteration to what was spent, and tells of it. */
static tic_status account(training *t, tic_event *event, double seconds, tic_error *err) {
    tic_session *s = t->s;
    const tic_job *job = t->job;
    tic_spent one = {.iterations = 1,
                     .pairs = s->x->batch,
                     .nominal = (uint64_t)s->x->batch * tic_nominal_train(&s->config),
                     .seconds = seconds};
    if (tic_job_penalty(job) == TIC_PENALTY_LWF)
        one.extra =
            (uint64_t)s->x->batch * (tic_nominal_image(&s->config) + tic_nominal_text(&s->config));
    uint64_t logical = 0;
    tic_spent_count(&one, s->ctx, &t->counted);
    tic_ctx_counters(s->ctx, &t->counted);
    tic_spent_add(&t->spent, &one);
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++)
        logical += one.by[p].logical;
    double waited = tic_loader_waited(t->loader) - t->waited;
    t->waited += waited;
    event->method = job->method;
    event->step = job->step;
    event->iteration = t->spent.iterations;
    event->iterations = job->iterations;
    tic_meter_extra(&s->meter, one.extra);
    tic_meter_iteration(&s->meter, event, one.pairs, logical);
    int64_t every = job->iterations / BOARD_POINTS + 1;
    if (t->spent.iterations % every == 0 || t->spent.iterations == job->iterations)
        return write_scalars(t, event, seconds, waited, err);
    return TIC_OK;
}

/* The gradient of the loss with the method's penalty; loss->total is their sum. */
static tic_status gradients(training *t, const tic_batch *batch, tic_step_loss *loss,
                            tic_error *err) {
    tic_model *model = t->s->model;
    tic_loss_options options = {.distill_weight = 0};
    tic_penalty penalty = tic_job_penalty(t->job);
    if (penalty == TIC_PENALTY_LWF)
        TIC_TRY(tic_teacher_look(t->s, &t->teacher, batch, &options, err));
    TIC_TRY(tic_model_gradients(model, batch, &options, loss, err));
    if (penalty == TIC_PENALTY_EWC)
        loss->total += tic_ewc_add(&t->ewc, tic_model_look(model), tic_model_gradient(model));
    return TIC_OK;
}

static tic_status iterate(training *t, tic_error *err) {
    tic_session *s = t->s;
    const tic_experiment *x = s->x;
    const tic_batch *batch;
    tic_step_loss loss;
    tic_event event = {.kind = TIC_EVENT_ITERATION};
    double begun = tic_now();
    int64_t at = t->spent.iterations;
    TIC_TRY(tic_loader_next(t->loader, &batch, err));
    event.lr = tic_lr_at(x->schedule, t->job->lr, t->job->warmup, t->job->iterations, at);
    tic_adamw_options adamw = {.lr = (float)event.lr,
                               .beta1 = (float)x->beta1,
                               .beta2 = (float)x->beta2,
                               .eps = (float)x->eps,
                               .weight_decay = (float)x->weight_decay};
    tic_status status = gradients(t, batch, &loss, err);
    if (status == TIC_OK)
        status = tic_model_update(s->model, &adamw, t->updates + at + 1, &event.norm, err);
    if (status == TIC_EVERIFY)
        return not_finite(t, batch, err);
    if (status != TIC_OK)
        return status;
    add_to_order(t, batch);
    event.loss = loss.total;
    event.contrastive = loss.contrastive;
    event.scale = tic_model_scale(s->model);
    return account(t, &event, tic_now() - begun, err);
}

/* ---- a step -------------------------------------------------------------------------------- */

static tic_status interrupted(training *t, tic_error *err) {
    const tic_job *job = t->job;
    TIC_TRY(save_state(t, err));
    TIC_TRY(tic_ledger_add(&t->s->ledger,
                           json_pack("{s:s, s:s, s:s, s:I}", "event", "interrupted", "method",
                                     job->method, "step", job->step, "iteration",
                                     (json_int_t)t->spent.iterations),
                           err));
    return tic_fail(err, TIC_EINTERRUPTED,
                    "stopped at %s/%s, iteration %lld of %lld; state saved, the same command "
                    "continues",
                    job->method, job->step, (long long)t->spent.iterations,
                    (long long)job->iterations);
}

static tic_status open_loader(training *t, tic_error *err) {
    const tic_session *s = t->s;
    tic_loader_options options = {
        .index = s->index,
        .vocab = s->vocab,
        .pool = t->job->pool,
        .pool_size = t->job->pool_size,
        .image_size = s->config.image_size,
        .context = s->config.context_length,
        .batch = s->x->batch,
        .train = true,
        .seed = tic_stream_seed(s->x->seed, t->job->step_index),
        .first = (uint64_t)(t->spent.iterations * s->x->batch),
        .threads = (int)s->x->threads,
    };
    return tic_loader_new(&t->loader, &options, err);
}

static tic_status train(training *t, tic_error *err) {
    const tic_experiment *x = t->s->x;
    int64_t branch = tic_branch_at(x->schedule, t->job->iterations);
    char trunk[TIC_PATH];
    TIC_TRY(tic_path_join(trunk, sizeof trunk, t->job->folder, "trunk", err));
    TIC_TRY(open_loader(t, err));
    tic_ctx_counters(t->s->ctx, &t->counted);
    t->saved = t->s->meter.last = tic_now();
    while (t->spent.iterations < t->job->iterations) {
        if (t->spent.iterations == branch) {
            TIC_TRY(tic_model_save(t->s->model, trunk, err));
            TIC_TRY(save_moments(t, trunk, err));
        }
        TIC_TRY(iterate(t, err));
        bool last = t->spent.iterations == t->job->iterations;
        if (!last && tic_asked_to_stop(t->s->hooks))
            return interrupted(t, err);
        if (!last && tic_now() - t->saved >= (double)x->save_every)
            TIC_TRY(save_state(t, err));
    }
    /* The search of patching takes long: stopped there, the training is not to be done again. */
    if (t->job->rule->start == TIC_START_PATCHED && t->job->from != NULL)
        TIC_TRY(save_state(t, err));
    TIC_TRY(check_weights(t, err));
    TIC_TRY(tic_file_write(t->job->board, t->board.bytes, t->board.size, err));
    TIC_TRY(save_moments(t, t->job->folder, err));
    return tic_model_save(t->s->model, t->job->folder, err);
}

tic_status tic_job_handover(const char *folder, char out[TIC_PATH], tic_error *err) {
    TIC_TRY(tic_path_join(out, TIC_PATH, folder, "trunk", err));
    if (!tic_file_exists(out))
        snprintf(out, TIC_PATH, "%s", folder);
    return TIC_OK;
}

tic_status tic_train_job(tic_session *s, const tic_job *job, tic_spent *spent, tic_error *err) {
    training t = {.s = s, .job = job};
    tic_spent prepared;
    TIC_TRY(tic_make_folder(job->folder, err));
    TIC_TRY(tic_path_join(t.state, sizeof t.state, job->folder, "state.safetensors", err));
    tic_status status = prepare(&t, &prepared, err);
    if (status == TIC_OK && tic_file_exists(t.state)) {
        status = resume(&t, err); /* its spent holds what was prepared */
    } else if (status == TIC_OK) {
        t.spent = prepared;
        status = start(&t, err);
    }
    if (status == TIC_OK)
        status = train(&t, err);
    tic_loader_free(t.loader);
    tic_board_free(&t.board);
    tic_ewc_free(&t.ewc);
    tic_teacher_free(&t.teacher);
    *spent = t.spent;
    return status;
}

void tic_job_done(const tic_job *job) {
    static const char *const files[] = {"state.safetensors", TIC_FISHER_FILE};
    char path[TIC_PATH];
    for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
        if (tic_path_join(path, sizeof path, job->folder, files[i], NULL) == TIC_OK)
            unlink(path); /* absent is fine */
}
