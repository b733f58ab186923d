/* What a run works with, opened part by part: data, vocabulary, plan and context, precision, model
 * and tasks. */
#include "room.h"
#include <stdio.h>
#include <string.h>

/* A vocabulary is trained on at most this many captions, evenly spread over the first step. */
enum { VOCAB_CAPTIONS = 200000 };

tic_status tic_session_path(const tic_session *s, char out[TIC_PATH], const char *name,
                            tic_error *err) {
    return tic_path_join(out, TIC_PATH, s->x->out, name, err);
}

/* ---- data ---------------------------------------------------------------------------------- */

static tic_index_options index_options(const tic_session *s) {
    const tic_experiment *x = s->x;
    return (tic_index_options){.threads = (int)x->threads,
                               .filter = x->filter,
                               .time_field = x->time_field,
                               .max_bad = (uint64_t)x->max_bad,
                               .progress = tic_prepare_progress,
                               .stop = tic_prepare_stop,
                               .user = (void *)s->hooks};
}

static tic_status open_index(tic_session *s, const char *path, tic_error *err) {
    const tic_index_options options = index_options(s);
    TIC_TRY(tic_index_load(&s->index, path, s->x->data, &options, err));
    if (s->index != NULL)
        return TIC_OK;
    TIC_TRY(tic_index_build(&s->index, s->x->data, &options, err));
    return tic_index_save(s->index, path, err);
}

tic_status tic_session_index_again(const tic_session *s, tic_index **out, tic_error *err) {
    const tic_index_options options = index_options(s);
    return tic_index_build(out, s->x->data, &options, err);
}

tic_status tic_session_data(tic_session *s, tic_error *err) {
    char path[TIC_PATH];
    if (s->x->index[0] != '\0')
        snprintf(path, sizeof path, "%s", s->x->index);
    else
        TIC_TRY(tic_session_path(s, path, "index.bin", err));
    TIC_TRY(open_index(s, path, err));
    return tic_experiment_steps(s->x, s->index, &s->steps, err);
}

/* ---- vocabulary ---------------------------------------------------------------------------- */

typedef struct captions { /* of a step, for tic_vocab_train */
    tic_index *index;
    const tic_step *step;
    size_t at, count;
    char *text;
    tic_status status;
    tic_error *err;
} captions;

static bool next_caption(void *user, const char **text) {
    captions *c = user;
    tic_free(c->text);
    c->text = NULL;
    if (c->at == c->count)
        return false;
    /* at < 2e5 and trains < 2^32: no overflow. */
    size_t place = c->at++ * c->step->trains / c->count;
    c->status = tic_index_caption(c->index, c->step->train[place], &c->text, c->err);
    *text = c->text;
    return c->status == TIC_OK;
}

static tic_status train_vocab(tic_session *s, tic_error *err) {
    const tic_step *first = &s->steps.step[0];
    size_t count = first->trains < VOCAB_CAPTIONS ? first->trains : VOCAB_CAPTIONS;
    captions c = {.index = s->index, .step = first, .count = count, .err = err};
    tic_prepare_progress((void *)s->hooks, "training the vocabulary", 0, 0);
    tic_status status = tic_vocab_train(&s->vocab, next_caption, &c, (int)s->x->vocab_size, err);
    tic_free(c.text);
    if (status == TIC_OK && c.status != TIC_OK) {
        tic_vocab_free(s->vocab);
        s->vocab = NULL;
        return c.status;
    }
    return status;
}

tic_status tic_session_vocab(tic_session *s, const char *saved, tic_error *err) {
    if (saved != NULL && tic_file_exists(saved))
        TIC_TRY(tic_vocab_load(&s->vocab, saved, err));
    else if (s->x->vocab[0] != '\0')
        TIC_TRY(tic_vocab_load(&s->vocab, s->x->vocab, err));
    else
        TIC_TRY(train_vocab(s, err));
    s->config.vocab_size = tic_vocab_size(s->vocab);
    return TIC_OK;
}

/* ---- computing ----------------------------------------------------------------------------- */

tic_status tic_session_context(tic_session *s, const char *saved, tic_error *err) {
    tic_ctx_options options = {.threads = (int)s->x->threads};
    if (saved != NULL && tic_file_exists(saved)) {
        TIC_TRY(tic_plan_load(&s->plan, saved, NULL, err));
    } else {
        TIC_TRY(tic_plan_choose(&s->plan, s->x->plan, &options, &s->source, err));
        TIC_TRY(tic_plan_complete(s->plan, 0, err));
    }
    options.plan = s->plan;
    return tic_ctx_new(&s->ctx, &options, err);
}

void tic_session_pmu(tic_session *s) {
    tic_pmu_event events[TIC_PMU_EVENTS];
    const tic_cpu *cpu = tic_cpu_get();
    tic_error err;
    if (tic_papi_pmu() != NULL)
        return;
    const int count = tic_pmu_events(cpu->vendor, cpu->isa, events);
    if (tic_pmu_open(&s->pmu, s->ctx, events, count, &err) == TIC_OK)
        tic_ctx_pmu(s->ctx, s->pmu);
    else
        tic_note(s->hooks, "hardware counters are left out: %s", err.text);
}

tic_status tic_session_precision(tic_session *s, tic_error *err) {
    tic_calibration calibration;
    s->precision = s->x->precision == TIC_PRECISION_BF16 ? TIC_BF16 : TIC_F32;
    if (s->x->precision != TIC_PRECISION_AUTO)
        return TIC_OK;
    TIC_TRY(tic_calibrate(s->ctx, &calibration, err));
    s->precision = tic_precision_auto(&calibration);
    return TIC_OK;
}

tic_status tic_session_needs(const tic_session *s, tic_needs *out, tic_error *err) {
    const tic_method *methods[TIC_METHODS_MAX];
    int count;
    *out = (tic_needs){.teacher = false};
    TIC_TRY(tic_method_list(s->x->methods, methods, TIC_METHODS_MAX, &count, err));
    for (int i = 0; i < count && (s->steps.count > 1 || s->given); i++) {
        out->teacher |= methods[i]->penalty == TIC_PENALTY_LWF;
        if (methods[i]->penalty == TIC_PENALTY_EWC || methods[i]->start == TIC_START_PATCHED)
            out->copies = 2 * (size_t)tic_config_parameters(&s->config) * sizeof(float);
    }
    return TIC_OK;
}

tic_status tic_session_micro_batch(tic_session *s, tic_error *err) {
    tic_model_options options = {.batch = s->x->batch, .precision = s->precision, .train = true};
    const size_t limit = (size_t)s->x->memory;
    tic_needs needs;
    s->micro_batch = s->x->batch;
    if (limit == 0)
        return TIC_OK;
    TIC_TRY(tic_session_needs(s, &needs, err));
    s->micro_batch =
        limit <= needs.copies
            ? 0
            : tic_micro_batch_for(&s->config, &options, needs.teacher, limit - needs.copies);
    if (s->micro_batch > 0)
        return TIC_OK;
    options.micro_batch = 1;
    size_t least = tic_model_memory(&s->config, &options) + needs.copies;
    options.train = false;
    least += needs.teacher ? tic_model_memory(&s->config, &options) : 0;
    return tic_fail(err, TIC_ERESOURCE,
                    "memory: %s with batches of %lld needs at least %zu bytes, %zu are allowed",
                    s->config.name, (long long)s->x->batch, least, limit);
}

tic_status tic_session_tower(tic_session *s, bool train, tic_error *err) {
    tic_model_options options = {.batch = s->x->batch,
                                 .micro_batch = s->micro_batch,
                                 .precision = s->precision,
                                 .train = train};
    return tic_model_new(&s->model, s->ctx, &s->config, &options, err);
}

tic_status tic_session_tasks(tic_session *s, bool pictures, tic_error *err) {
    tic_prepare_progress((void *)s->hooks, "loading the evaluation sets", 0, 0);
    tic_tasks_options tasks = {.image_size = s->config.image_size,
                               .context = s->config.context_length,
                               .threads = (int)s->x->threads,
                               .keywords = s->x->keywords,
                               .label_field = s->x->label_field,
                               .label_tree = s->x->label_tree,
                               .no_pictures = !pictures};
    tic_tasks_free(s->tasks);
    s->tasks = NULL;
    return tic_tasks_load(&s->tasks, s->x->data, s->index, &s->steps, s->vocab, &tasks, err);
}

tic_status tic_session_model(tic_session *s, bool train, tic_error *err) {
    TIC_TRY(tic_session_tower(s, train, err));
    return tic_session_tasks(s, true, err);
}

void tic_session_close(tic_session *s) {
    tic_tasks_free(s->tasks);
    tic_model_free(s->teacher);
    tic_model_free(s->model);
    tic_pmu_close(s->pmu);
    tic_ctx_free(s->ctx);
    tic_plan_free(s->plan);
    tic_vocab_free(s->vocab);
    tic_steps_free(&s->steps);
    tic_index_free(s->index);
    tic_ledger_close(&s->ledger);
}
