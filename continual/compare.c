/* Runs against each other, as MLPerf does it: what was not done under the same rules is not ranked.
 */
#include "room.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct compared { /* one run */
    const char *run;
    json_t *results, *begun; /* owned */
} compared;

static tic_status open_run(compared *c, const char *run, tic_error *err) {
    tic_ledger ledger;
    char path[TIC_PATH], *text;
    json_error_t where;
    *c = (compared){.run = run};
    TIC_TRY(tic_results_read(run, &text, err));
    c->results = json_loads(text, JSON_REJECT_DUPLICATES, &where);
    tic_free(text);
    if (c->results == NULL)
        return tic_fail(err, TIC_EINPUT, "%s/results.json:%d: %s", run, where.line, where.text);
    TIC_TRY(tic_path_join(path, sizeof path, run, "ledger.jsonl", err));
    TIC_TRY(tic_ledger_open(&ledger, path, err));
    c->begun = json_deep_copy(tic_ledger_find(&ledger, "begin", NULL, NULL));
    tic_ledger_close(&ledger);
    if (c->begun == NULL)
        return tic_fail(err, TIC_EINPUT, "%s: it has no beginning", path);
    return TIC_OK;
}

/* ---- the rules ---------------------------------------------------------------------------------
 */

static json_t *setting(const compared *c, const char *key) {
    return json_object_get(json_object_get(c->begun, "experiment"), key);
}

/* Nominal MACs of the whole sequence. */
static double budget_of(const compared *c) {
    const double macs = json_number_value(setting(c, "macs"));
    if (macs > 0)
        return macs;
    return json_number_value(setting(c, "pairs")) *
           json_number_value(json_object_get(c->begun, "nominal_train"));
}

static tic_status refuse(const compared *a, const compared *b, const char *what, tic_error *err) {
    return tic_fail(err, TIC_EVERIFY, "%s and %s cannot be ranked: their %s differ", a->run, b->run,
                    what);
}

/* "retrieval": pairs of each step; static sets: their pairs. Of the first method. */
static json_t *sets_of(const compared *c) {
    json_t *methods = json_object_get(c->results, "methods"), *sets = json_object(), *score;
    const char *task;
    json_t *first = json_object_iter_value(json_object_iter(methods));
    json_object_foreach(json_object_get(first, "tasks"), task, score) {
        json_t *pairs = json_object_get(score, "pairs_per_step");
        json_object_set(sets, task, pairs != NULL ? pairs : json_object_get(score, "pairs"));
    }
    return sets;
}

static tic_status same_rules(const compared *a, const compared *b, tic_error *err) {
    static const char *const budgets[] = {"accounting"};
    static const char *const data[] = {"data", "data_pairs", "steps"};
    char what[160];
    if (budget_of(a) != budget_of(b)) {
        snprintf(what, sizeof what, "budgets (%.6g and %.6g nominal MACs)", budget_of(a),
                 budget_of(b));
        return refuse(a, b, what, err);
    }
    for (size_t i = 0; i < sizeof budgets / sizeof budgets[0]; i++)
        if (!json_equal(setting(a, budgets[i]), setting(b, budgets[i])))
            return refuse(a, b, "budgets (accounting)", err);
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++)
        if (!json_equal(json_object_get(a->begun, data[i]), json_object_get(b->begun, data[i]))) {
            snprintf(what, sizeof what, "data (%s)", data[i]);
            return refuse(a, b, what, err);
        }
    json_t *x = sets_of(a), *y = sets_of(b);
    /* The seed draws the held-out pairs. */
    const bool same = json_equal(x, y) && json_equal(setting(a, "seed"), setting(b, "seed")) &&
                      json_equal(setting(a, "eval_pairs"), setting(b, "eval_pairs"));
    json_decref(x);
    json_decref(y);
    return same ? TIC_OK : refuse(a, b, "evaluation sets", err);
}

/* ---- the ranking -------------------------------------------------------------------------------
 */

/* Mean of what retrieval has of in-domain, backward and forward. */
static double mean_of(const json_t *task) {
    static const char *const keys[] = {"in_domain", "backward", "forward"};
    double sum = 0;
    int count = 0;
    for (int i = 0; i < 3; i++) {
        const json_t *value = json_object_get(task, keys[i]);
        sum += json_number_value(value);
        count += json_is_number(value);
    }
    return count > 0 ? sum / count : 0;
}

static tic_status add_rows(const compared *c, json_t *rows, tic_error *err) {
    const char *method;
    json_t *about;
    json_object_foreach(json_object_get(c->results, "methods"), method, about) {
        json_t *task = json_object_get(json_object_get(about, "tasks"), "retrieval");
        json_t *macs = json_object_get(about, "macs");
        if (task == NULL)
            continue;
        json_t *row = json_pack(
            "{s:s, s:s, s:s, s:f, s:O, s:O, s:O, s:O, s:O}", "run", c->run, "method", method,
            "task", "retrieval", "mean", mean_of(task), "in_domain",
            json_object_get(task, "in_domain"), "backward", json_object_get(task, "backward"),
            "forward", json_object_get(task, "forward"), "budget", json_object_get(macs, "budget"),
            "nominal", json_object_get(macs, "nominal"));
        if (row == NULL || json_array_append_new(rows, row) != 0)
            return tic_fail(err, TIC_EINPUT, "%s/results.json: %s has no whole retrieval task",
                            c->run, method);
    }
    return TIC_OK;
}

static int by_mean(const void *a, const void *b) {
    const double x = json_number_value(json_object_get(*(json_t *const *)a, "mean"));
    const double y = json_number_value(json_object_get(*(json_t *const *)b, "mean"));
    return (y > x) - (y < x);
}

static tic_status rank(json_t *rows, char **json, tic_error *err) {
    const size_t count = json_array_size(rows);
    json_t **list, *sorted = json_array();
    TIC_TRY(tic_alloc(&list, count, sizeof(json_t *), err));
    for (size_t i = 0; i < count; i++)
        list[i] = json_array_get(rows, i);
    if (count > 0)
        qsort(list, count, sizeof *list, by_mean);
    for (size_t i = 0; i < count; i++)
        json_array_append(sorted, list[i]);
    tic_free(list);
    json_t *document = json_pack("{s:i, s:o}", "schema", 1, "runs", sorted);
    tic_status status = tic_json_text(document, JSON_COMPACT, json, err);
    json_decref(document);
    return status;
}

static tic_status compare(compared *list, const char *const *runs, int count, char **json,
                          tic_error *err) {
    json_t *rows = json_array();
    tic_status status = TIC_OK;
    for (int i = 0; i < count && status == TIC_OK; i++) {
        status = open_run(&list[i], runs[i], err);
        if (status == TIC_OK && i > 0)
            status = same_rules(&list[0], &list[i], err);
        if (status == TIC_OK)
            status = add_rows(&list[i], rows, err);
    }
    if (status == TIC_OK)
        status = rank(rows, json, err);
    json_decref(rows);
    return status;
}

tic_status tic_compare(const char *const *runs, int count, char **json, tic_error *err) {
    compared *list;
    *json = NULL;
    TIC_TRY(tic_alloc(&list, (size_t)count, sizeof *list, err));
    tic_status status = compare(list, runs, count, json, err);
    for (int i = 0; i < count; i++) {
        json_decref(list[i].results);
        json_decref(list[i].begun);
    }
    tic_free(list);
    return status;
}
