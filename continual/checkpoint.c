/* Any checkpoint evaluated on the data of an experiment: `ticlip eval`. */
#include "run.h"
#include <string.h>

static tic_status open_data(tic_session *s, const char *checkpoint, tic_error *err) {
    char vocab[TIC_PATH];
    TIC_TRY(tic_config_find(&s->config, checkpoint, err));
    int own = s->config.vocab_size;
    if (s->x->vocab[0] != '\0')
        TIC_TRY(tic_session_vocab(s, s->x->vocab, err));
    else {
        TIC_TRY(tic_checkpoint_vocab(checkpoint, vocab, err));
        if (!tic_file_exists(vocab))
            return tic_fail(err, TIC_EUSAGE,
                            "%s: its vocabulary is not at %s; give it with --vocab FILE",
                            checkpoint, vocab);
        TIC_TRY(tic_session_vocab(s, vocab, err));
    }
    if (s->config.vocab_size != own)
        return tic_fail(err, TIC_EINPUT, "%s: has %d token embeddings, the vocabulary %d ids",
                        checkpoint, own, s->config.vocab_size);
    return tic_session_data(s, err);
}

/* Plan and precision of the checkpoint's run, so that the numbers are the run's own. */
static tic_status open_context(tic_session *s, const char *checkpoint, tic_error *err) {
    char run[TIC_PATH], plan[TIC_PATH], *results = NULL;
    TIC_TRY(tic_path_join(run, sizeof run, checkpoint, "../..", err));
    TIC_TRY(tic_path_join(plan, sizeof plan, run, "plan.txt", err));
    TIC_TRY(tic_session_context(s, plan, err));
    if (s->x->precision != TIC_PRECISION_AUTO || tic_results_read(run, &results, NULL) != TIC_OK)
        return tic_session_precision(s, err);
    json_t *json = json_loads(results, 0, NULL);
    const json_t *experiment = json_object_get(json, "experiment");
    const char *name = json_string_value(json_object_get(experiment, "precision"));
    s->precision = name != NULL && strcmp(name, "bf16") == 0 ? TIC_BF16 : TIC_F32;
    json_decref(json);
    tic_free(results);
    return TIC_OK;
}

tic_status tic_session_checkpoint(tic_session *s, const char *checkpoint, bool tasks,
                                  tic_error *err) {
    TIC_TRY(open_data(s, checkpoint, err));
    TIC_TRY(open_context(s, checkpoint, err));
    s->micro_batch = s->x->batch;
    TIC_TRY(tasks ? tic_session_model(s, false, err) : tic_session_tower(s, false, err));
    return tic_model_load(s->model, checkpoint, err);
}

static tic_status score(tic_session *s, const char *checkpoint, tic_scores *scores,
                        tic_error *err) {
    TIC_TRY(tic_session_checkpoint(s, checkpoint, true, err));
    return tic_evaluate(s->model, s->x->batch, s->tasks, s->hooks, scores, err);
}

static json_t *task_entry(const tic_session *s, const tic_score *score) {
    if (score->step < 0)
        return json_pack("{s:s, s:I, s:o}", "metric", score->metric, "pairs",
                         (json_int_t)score->pairs, "value", tic_json_number(score->value));
    json_t *pairs = json_array(), *values = json_array();
    for (int i = 0; i < s->steps.count; i++) {
        json_array_append_new(pairs, json_integer(0));
        json_array_append_new(values, json_null());
    }
    return json_pack("{s:s, s:o, s:o}", "metric", score->metric, "pairs", pairs, "per_step",
                     values);
}

static json_t *tasks_json(const tic_session *s, const tic_scores *scores) {
    json_t *tasks = json_object();
    for (size_t i = 0; i < scores->count; i++) {
        const tic_score *score = &scores->list[i];
        if (json_object_get(tasks, score->task) == NULL)
            json_object_set_new(tasks, score->task, task_entry(s, score));
        json_t *entry = json_object_get(tasks, score->task);
        if (score->step < 0)
            continue;
        json_array_set_new(json_object_get(entry, "pairs"), (size_t)score->step,
                           json_integer(score->pairs));
        json_array_set_new(json_object_get(entry, "per_step"), (size_t)score->step,
                           tic_json_number(score->value));
    }
    return tasks;
}

static tic_status document(const tic_session *s, const char *checkpoint, const tic_scores *scores,
                           char **json, tic_error *err) {
    json_t *steps = json_array();
    for (int i = 0; i < s->steps.count; i++)
        json_array_append_new(steps, json_string(s->steps.step[i].name));
    json_t *all = json_pack("{s:i, s:s, s:o, s:o}", "schema", 1, "checkpoint", checkpoint, "steps",
                            steps, "tasks", tasks_json(s, scores));
    tic_status status = tic_json_text(all, JSON_INDENT(1), json, err);
    json_decref(all);
    return status;
}

tic_status tic_evaluate_checkpoint(const tic_experiment *experiment, const char *checkpoint,
                                   const tic_hooks *hooks, char **json, tic_error *err) {
    tic_session s = {.x = experiment, .hooks = hooks};
    tic_scores scores = {.count = 0};
    *json = NULL;
    if (experiment->data[0] == '\0')
        return tic_fail(err, TIC_EUSAGE, "data: no folder given (--data DIR)");
    if (experiment->index[0] == '\0' && experiment->out[0] == '\0')
        return tic_fail(err, TIC_EUSAGE, "index: no file given (--index FILE)");
    tic_status status = score(&s, checkpoint, &scores, err);
    if (status == TIC_OK)
        status = document(&s, checkpoint, &scores, json, err);
    tic_scores_free(&scores);
    tic_session_close(&s);
    return status;
}
