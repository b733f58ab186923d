/* results.json, made from the ledger alone (design: What a user sees). */
#include "room.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- json helpers -------------------------------------------------------------------------- */

tic_status tic_json_text(const json_t *json, size_t flags, char **text, tic_error *err) {
    *text = NULL;
    char *made = json != NULL ? json_dumps(json, flags | JSON_REAL_PRECISION(17)) : NULL;
    if (made == NULL)
        return tic_fail(err, TIC_ERESOURCE, "no memory for a json text");
    tic_status status = tic_strdup(text, made, err);
    free(made); /* jansson's own memory */
    return status;
}

json_t *tic_json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* ---- one task of one method ---------------------------------------------------------------- */

/* What the evaluations of a method say of a task. */
typedef struct task_scores {
    const char *metric; /* borrowed from the ledger */
    int steps;
    double *e;      /* [steps, steps], NaN where there is none; static tasks: column 0 */
    int64_t *pairs; /* of each column */
    bool fixed;     /* a static task */
} task_scores;

static int step_place(const json_t *steps, const char *name) {
    size_t i;
    json_t *step;
    json_array_foreach(steps, i, step) if (name != NULL && strcmp(json_string_value(step), name) ==
                                                               0) return (int)i;
    return -1;
}

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static void take_scores(task_scores *t, const char *task, int trained, const json_t *scores) {
    size_t i;
    json_t *score;
    json_array_foreach(scores, i, score) {
        int step = (int)json_integer_value(json_object_get(score, "step"));
        json_t *value = json_object_get(score, "value");
        if (strcmp(text_of(score, "task"), task) != 0 || step >= t->steps)
            continue;
        t->metric = text_of(score, "metric");
        t->fixed = step < 0;
        int column = t->fixed ? 0 : step;
        t->e[trained * t->steps + column] = json_is_number(value) ? json_number_value(value) : NAN;
        t->pairs[column] = json_integer_value(json_object_get(score, "pairs"));
    }
}

static json_t *numbers(const double *values, int count, int stride) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++)
        json_array_append_new(list, tic_json_number(values[i * stride]));
    return list;
}

static json_t *static_json(const task_scores *t) {
    double sum = 0, last = NAN;
    int count = 0;
    for (int i = 0; i < t->steps; i++) {
        double value = t->e[i * t->steps];
        if (isnan(value))
            continue;
        sum += value;
        last = value;
        count++;
    }
    return json_pack("{s:s, s:I, s:o, s:o, s:o}", "metric", t->metric, "pairs",
                     (json_int_t)t->pairs[0], "per_step", numbers(t->e, t->steps, t->steps), "last",
                     tic_json_number(last), "mean", tic_json_number(count > 0 ? sum / count : NAN));
}

/* fmax skips NaN. */
static double largest(const tic_summary *s) {
    return fmax(fmax(s->in_domain_stderr, s->backward_stderr), s->forward_stderr);
}

static json_t *dynamic_json(const task_scores *t) {
    json_t *rows = json_array(), *pairs = json_array();
    int64_t fewest = 0;
    for (int i = 0; i < t->steps; i++) {
        json_array_append_new(rows, numbers(t->e + i * t->steps, t->steps, 1));
        json_array_append_new(pairs, json_integer(t->pairs[i]));
        if (t->pairs[i] > 0 && (fewest == 0 || t->pairs[i] < fewest))
            fewest = t->pairs[i];
    }
    tic_summary s = tic_summarise(t->e, t->steps, t->pairs);
    return json_pack(
        "{s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:{s:o, s:o}, s:o, s:{s:o, s:o, s:o}}", "metric",
        t->metric, "pairs", (json_int_t)fewest, "pairs_per_step", pairs, "E", rows, "in_domain",
        tic_json_number(s.in_domain), "backward", tic_json_number(s.backward), "forward",
        tic_json_number(s.forward), "relative", "backward", tic_json_number(s.backward_relative),
        "forward", tic_json_number(s.forward_relative), "stderr", tic_json_number(largest(&s)),
        "stderrs", "in_domain", tic_json_number(s.in_domain_stderr), "backward",
        tic_json_number(s.backward_stderr), "forward", tic_json_number(s.forward_stderr));
}

/* ---- one method ---------------------------------------------------------------------------- */

static bool event_is(const json_t *event, const char *name, const char *method) {
    return strcmp(text_of(event, "event"), name) == 0 &&
           strcmp(text_of(event, "method"), method) == 0;
}

static tic_status task_json(const tic_ledger *ledger, const char *method, const char *task,
                            const json_t *steps, json_t **out, tic_error *err) {
    task_scores t = {.metric = "", .steps = (int)json_array_size(steps)};
    size_t i, cells = (size_t)t.steps * (size_t)t.steps;
    json_t *event;
    TIC_TRY(tic_alloc(&t.e, cells, sizeof(double), err));
    tic_status status = tic_alloc(&t.pairs, (size_t)t.steps, sizeof(int64_t), err);
    for (size_t k = 0; k < cells; k++)
        t.e[k] = NAN;
    json_array_foreach(ledger->events, i, event) {
        int trained = step_place(steps, text_of(event, "step"));
        if (status == TIC_OK && trained >= 0 && event_is(event, "evaluation", method))
            take_scores(&t, task, trained, json_object_get(event, "scores"));
    }
    if (status == TIC_OK)
        *out = t.fixed ? static_json(&t) : dynamic_json(&t);
    tic_free(t.e);
    tic_free(t.pairs);
    return status;
}

/* Every task that an evaluation of the method names, in order of appearance. */
static tic_status tasks_json(const tic_ledger *ledger, const char *method, const json_t *steps,
                             json_t *tasks, tic_error *err) {
    size_t i, k;
    json_t *event, *score;
    json_array_foreach(ledger->events, i, event) {
        if (!event_is(event, "evaluation", method))
            continue;
        json_array_foreach(json_object_get(event, "scores"), k, score) {
            const char *task = text_of(score, "task");
            json_t *made = NULL;
            if (json_object_get(tasks, task) != NULL)
                continue;
            TIC_TRY(task_json(ledger, method, task, steps, &made, err));
            if (json_object_set_new(tasks, task, made) != 0)
                return tic_fail(err, TIC_ERESOURCE, "no memory for the results");
        }
    }
    return TIC_OK;
}

/* MACs and time: of training by its ended steps; by_purpose has the evaluations as well. */
static json_t *method_json(const tic_ledger *ledger, const char *method, json_t *tasks) {
    tic_spent trained = {.iterations = 0}, all, one;
    uint64_t budget = 0, logical = 0, issued = 0;
    size_t i;
    json_t *event;
    json_array_foreach(ledger->events, i, event) {
        if (event_is(event, "step_end", method) &&
            tic_spent_read(json_object_get(event, "spent"), &one)) {
            tic_spent_add(&trained, &one);
            budget += (uint64_t)json_integer_value(json_object_get(event, "budget"));
        }
    }
    all = trained;
    json_array_foreach(ledger->events, i, event) {
        if (event_is(event, "evaluation", method) &&
            tic_spent_read(json_object_get(event, "spent"), &one))
            tic_spent_add(&all, &one);
    }
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        logical += trained.by[p].logical;
        issued += trained.by[p].issued;
    }
    json_t *hardware = trained.hardware > 0 ? json_integer((json_int_t)trained.hardware) : NULL;
    return json_pack("{s:{s:I, s:I, s:I, s:I, s:I, s:o*, s:o, s:o}, s:I, s:I, s:f, s:O}", "macs",
                     "budget", (json_int_t)budget, "nominal", (json_int_t)trained.nominal, "extra",
                     (json_int_t)trained.extra, "logical", (json_int_t)logical, "issued",
                     (json_int_t)issued, "hardware", hardware, "by_purpose",
                     tic_spent_purposes(&all), "by_layer", tic_spent_layers(&trained), "pairs_seen",
                     (json_int_t)trained.pairs, "iterations", (json_int_t)trained.iterations,
                     "seconds", trained.seconds, "tasks", tasks);
}

static tic_status add_method(const tic_ledger *ledger, const char *method, const json_t *steps,
                             json_t *methods, tic_error *err) {
    json_t *tasks = json_object();
    tic_status status = tasks_json(ledger, method, steps, tasks, err);
    if (status == TIC_OK &&
        json_object_set_new(methods, method, method_json(ledger, method, tasks)) != 0)
        status = tic_fail(err, TIC_ERESOURCE, "no memory for the results");
    json_decref(tasks);
    return status;
}

tic_status tic_results_make(const tic_ledger *ledger, json_t **out, tic_error *err) {
    const json_t *begin = tic_ledger_find(ledger, "begin", NULL, NULL);
    json_t *steps = json_object_get(begin, "steps"), *methods = json_object(), *event;
    size_t i;
    tic_status status = TIC_OK;
    *out = NULL;
    if (begin == NULL || !json_is_array(steps)) {
        json_decref(methods);
        return tic_fail(err, TIC_EVERIFY, "%s: no event \"begin\" with its steps", ledger->path);
    }
    json_array_foreach(ledger->events, i, event) {
        const char *method = text_of(event, "method");
        if (status == TIC_OK && event_is(event, "step_end", method) &&
            json_object_get(methods, method) == NULL)
            status = add_method(ledger, method, steps, methods, err);
    }
    if (status == TIC_OK)
        *out = json_pack("{s:i, s:O, s:O, s:O, s:O, s:{s:I, s:s}}", "schema", 1, "machine",
                         json_object_get(begin, "machine"), "experiment",
                         json_object_get(begin, "experiment"), "steps", steps, "methods", methods,
                         "ledger", "events", (json_int_t)json_array_size(ledger->events), "last",
                         ledger->last);
    json_decref(methods);
    if (status == TIC_OK && *out == NULL)
        return tic_fail(err, TIC_ERESOURCE, "no memory for the results");
    return status;
}

tic_status tic_results_write(const tic_ledger *ledger, const char *path, tic_error *err) {
    json_t *results;
    char *text = NULL;
    TIC_TRY(tic_results_make(ledger, &results, err));
    tic_status status = tic_json_text(results, JSON_INDENT(1), &text, err);
    if (status == TIC_OK)
        status = tic_file_write(path, text, strlen(text), err);
    tic_free(text);
    json_decref(results);
    return status;
}

/* The hash of the ledger's first `events` lines; NULL when it has fewer. */
static const char *hash_after(const tic_ledger *ledger, json_int_t events) {
    json_int_t have = (json_int_t)json_array_size(ledger->events);
    if (events < 1 || events > have)
        return NULL;
    return events == have ? ledger->last
                          : text_of(json_array_get(ledger->events, (size_t)events), "prev");
}

tic_status tic_results_check(const tic_ledger *ledger, const char *path, tic_error *err) {
    char *text;
    size_t size;
    if (!tic_file_exists(path))
        return TIC_OK;
    TIC_TRY(tic_file_read(path, TIC_FILE_LIMIT, &text, &size, err));
    json_t *results = json_loadb(text, size, 0, NULL);
    tic_free(text);
    const json_t *end = json_object_get(results, "ledger");
    json_int_t events = json_integer_value(json_object_get(end, "events"));
    const char *now = hash_after(ledger, events);
    bool same = end == NULL || (now != NULL && strcmp(now, text_of(end, "last")) == 0);
    json_decref(results);
    if (same)
        return TIC_OK;
    return tic_fail(err, TIC_EVERIFY,
                    "%s: has no line %lld with the hash that %s tells of it: lines were changed or "
                    "cut off, or the results are another run's",
                    ledger->path, (long long)events, path);
}

tic_status tic_results_read(const char *run, char **json, tic_error *err) {
    char path[TIC_PATH];
    size_t size;
    TIC_TRY(tic_path_join(path, sizeof path, run, "results.json", err));
    return tic_file_read(path, TIC_FILE_LIMIT, json, &size, err);
}
