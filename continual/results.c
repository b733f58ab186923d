/* results.json, made from the ledger alone (design: What a user sees). */
#include "room.h"
#include <math.h>
#include <stdio.h>
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

const char *tic_json_string(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

json_t *tic_json_number(double value) {
    return isfinite(value) ? json_real(value) : json_null();
}

/* ---- one task of one method ---------------------------------------------------------------- */

/* What the evaluations of a method say of a task. */
typedef struct task_scores {
    const char *name, *metric; /* borrowed from the ledger */
    int steps;
    double *e;      /* [steps, steps], NaN where there is none; static tasks: column 0 */
    int64_t *pairs; /* of each column */
    bool fixed;     /* a static task */
} task_scores;
typedef struct method_scores { /* of every task, in order of appearance */
    task_scores *list;
    size_t count, room;
    int steps;
} method_scores;

static int step_place(const json_t *steps, const char *name) {
    size_t i;
    json_t *step;
    json_array_foreach(steps, i, step) if (name != NULL && strcmp(json_string_value(step), name) ==
                                                               0) return (int)i;
    return -1;
}

static tic_status new_task(method_scores *m, const char *name, task_scores **out, tic_error *err) {
    const size_t cells = (size_t)m->steps * (size_t)m->steps;
    if (m->count == m->room) {
        TIC_TRY(tic_grow(&m->list, m->room, 2 * m->room + 8, sizeof *m->list, err));
        m->room = 2 * m->room + 8;
    }
    task_scores *t = &m->list[m->count++];
    *t = (task_scores){.name = name, .metric = "", .steps = m->steps};
    TIC_TRY(tic_alloc(&t->e, cells, sizeof(double), err));
    TIC_TRY(tic_alloc(&t->pairs, (size_t)m->steps, sizeof(int64_t), err));
    for (size_t k = 0; k < cells; k++)
        t->e[k] = NAN;
    *out = t;
    return TIC_OK;
}

static tic_status task_of(method_scores *m, const char *name, task_scores **out, tic_error *err) {
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->list[i].name, name) == 0) {
            *out = &m->list[i];
            return TIC_OK;
        }
    return new_task(m, name, out, err);
}

static tic_status take_score(method_scores *m, int trained, const json_t *score, tic_error *err) {
    int step = (int)json_integer_value(json_object_get(score, "step"));
    json_t *value = json_object_get(score, "value");
    task_scores *t;
    TIC_TRY(task_of(m, tic_json_string(score, "task"), &t, err));
    if (step >= t->steps)
        return TIC_OK;
    t->metric = tic_json_string(score, "metric");
    t->fixed = step < 0;
    int column = t->fixed ? 0 : step;
    t->e[trained * t->steps + column] = json_is_number(value) ? json_number_value(value) : NAN;
    t->pairs[column] = json_integer_value(json_object_get(score, "pairs"));
    return TIC_OK;
}

static void free_scores(method_scores *m) {
    for (size_t i = 0; i < m->count; i++) {
        tic_free(m->list[i].e);
        tic_free(m->list[i].pairs);
    }
    tic_free(m->list);
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
    return strcmp(tic_json_string(event, "event"), name) == 0 &&
           strcmp(tic_json_string(event, "method"), method) == 0;
}

/* In one pass: a long stream's evaluations hold a score for every task and step. */
static tic_status gather(const tic_ledger *ledger, const char *method, const json_t *steps,
                         method_scores *m, tic_error *err) {
    size_t i, k;
    json_t *event, *score;
    json_array_foreach(ledger->events, i, event) {
        if (!event_is(event, "evaluation", method))
            continue;
        int trained = step_place(steps, tic_json_string(event, "step"));
        if (trained < 0)
            continue;
        json_array_foreach(json_object_get(event, "scores"), k, score)
            TIC_TRY(take_score(m, trained, score, err));
    }
    return TIC_OK;
}

static tic_status tasks_json(const tic_ledger *ledger, const char *method, const json_t *steps,
                             json_t *tasks, tic_error *err) {
    method_scores m = {.steps = (int)json_array_size(steps)};
    tic_status status = gather(ledger, method, steps, &m, err);
    for (size_t i = 0; i < m.count && status == TIC_OK; i++) {
        const task_scores *t = &m.list[i];
        if (json_object_set_new(tasks, t->name, t->fixed ? static_json(t) : dynamic_json(t)) != 0)
            status = tic_fail(err, TIC_ERESOURCE, "no memory for the results");
    }
    free_scores(&m);
    return status;
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
        const char *method = tic_json_string(event, "method");
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

/* The hash of the ledger's first `events` lines; NULL when it has fewer. */
static const char *hash_after(const tic_ledger *ledger, json_int_t events) {
    json_int_t have = (json_int_t)json_array_size(ledger->events);
    if (events < 1 || events > have)
        return NULL;
    return events == have ? ledger->last
                          : tic_json_string(json_array_get(ledger->events, (size_t)events), "prev");
}

/* A ledger that ends there; its lines are shared. */
tic_status tic_results_made_of(const tic_ledger *ledger, size_t lines, json_t **out,
                               tic_error *err) {
    tic_ledger first = {.events = json_array()};
    const char *last = hash_after(ledger, (json_int_t)lines);
    size_t i;
    json_t *event;
    snprintf(first.path, sizeof first.path, "%s", ledger->path);
    snprintf(first.last, sizeof first.last, "%s", last != NULL ? last : "");
    json_array_foreach(ledger->events, i, event) {
        if (i < lines)
            json_array_append(first.events, event);
    }
    tic_status status = tic_results_make(&first, out, err);
    json_decref(first.events);
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
    bool same = end == NULL || (now != NULL && strcmp(now, tic_json_string(end, "last")) == 0);
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
