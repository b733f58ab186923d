/* Any checkpoint evaluated on the data of an experiment: `ticlip eval`; and what the run that a
 * checkpoint lies in says of it. */
#include "run.h"
#include <stdio.h>
#include <string.h>

/* ---- the run of a checkpoint ----------------------------------------------------------------- */

/* RUN/METHOD/STEP lies two folders down, its trunk three. Where there is no run, where its files
 * would be. */
static tic_status run_of(const char *checkpoint, char out[TIC_PATH], bool *found, tic_error *err) {
    static const char *const up[] = {"../..", "../../.."};
    *found = false;
    for (size_t i = 0; i < sizeof up / sizeof up[0] && !*found; i++) {
        char ledger[TIC_PATH];
        TIC_TRY(tic_path_join(out, TIC_PATH, checkpoint, up[i], err));
        TIC_TRY(tic_path_join(ledger, sizeof ledger, out, "ledger.jsonl", err));
        *found = tic_file_exists(ledger);
    }
    return *found ? TIC_OK : tic_path_join(out, TIC_PATH, checkpoint, up[0], err);
}

tic_status tic_checkpoint_vocab(const char *checkpoint, char out[TIC_PATH], tic_error *err) {
    char run[TIC_PATH];
    bool found;
    TIC_TRY(run_of(checkpoint, run, &found, err));
    return tic_path_join(out, TIC_PATH, run, "vocab.txt.gz", err);
}

static tic_status read_run(const char *checkpoint, tic_experiment *out, bool *found,
                           tic_error *err) {
    char run[TIC_PATH], file[TIC_PATH];
    TIC_TRY(run_of(checkpoint, run, found, err));
    TIC_TRY(tic_path_join(file, sizeof file, run, "experiment.json", err));
    tic_experiment_defaults(out);
    return *found ? tic_experiment_read(out, file, err) : TIC_OK;
}

static bool is_one_of(const tic_setting *setting, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(setting->name, names[i]) == 0)
            return true;
    return false;
}

/* Another value holds out other pairs, among them such as were trained on. */
static bool decides_pairs(const tic_setting *setting) {
    static const char *const names[] = {"seed",  "eval-pairs", "granularity", "first-step",
                                        "steps", "min-step",   "time-field",  "filter"};
    return is_one_of(setting, names, sizeof names / sizeof names[0]);
}

static bool makes_tasks(const tic_setting *setting) {
    static const char *const names[] = {"max-bad", "keywords", "label-field", "label-tree"};
    return decides_pairs(setting) || is_one_of(setting, names, sizeof names / sizeof names[0]);
}

tic_status tic_checkpoint_settings(const char *checkpoint, tic_experiment *experiment,
                                   int64_t *batch, tic_error *err) {
    tic_experiment run;
    bool found;
    TIC_TRY(read_run(checkpoint, &run, &found, err));
    for (int i = 0; i < tic_setting_count() && found; i++) {
        const tic_setting *setting = tic_setting_get(i);
        if (makes_tasks(setting))
            memcpy((char *)experiment + setting->offset, (const char *)&run + setting->offset,
                   setting->size);
    }
    if (found && batch != NULL)
        *batch = run.batch;
    return TIC_OK;
}

tic_status tic_checkpoint_same_pairs(const char *checkpoint, const tic_experiment *experiment,
                                     tic_error *err) {
    tic_experiment run;
    bool found;
    TIC_TRY(read_run(checkpoint, &run, &found, err));
    for (int i = 0; i < tic_setting_count() && found; i++) {
        const tic_setting *setting = tic_setting_get(i);
        if (decides_pairs(setting) && !tic_setting_same(setting, experiment, &run))
            return tic_fail(err, TIC_EUSAGE,
                            "%s: another than in the run of %s, which was trained on pairs that "
                            "would be held out now; leave --%s out",
                            setting->name, checkpoint, setting->name);
    }
    return TIC_OK;
}

/* ---- evaluation ------------------------------------------------------------------------------ */

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
    bool found;
    TIC_TRY(run_of(checkpoint, run, &found, err));
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
    TIC_TRY(tic_checkpoint_same_pairs(checkpoint, experiment, err));
    tic_status status = score(&s, checkpoint, &scores, err);
    if (status == TIC_OK)
        status = document(&s, checkpoint, &scores, json, err);
    tic_scores_free(&scores);
    tic_session_close(&s);
    return status;
}
