/* Runs against each other, as MLPerf does it: what was not done under the same rules is not ranked.
 * The same experiment with several seeds is one row, with the error of its mean. */
#include "compare.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the rules ------------------------------------------------------------------------------- */

/* Nominal MACs of the whole sequence. */
static double budget_of(const tic_compared *c) {
    if (c->x.macs > 0)
        return c->x.macs;
    return (double)c->x.pairs * json_number_value(json_object_get(c->begun, "nominal_train"));
}

static tic_status refuse(const tic_compared *a, const tic_compared *b, const char *what,
                         tic_error *err) {
    return tic_fail(err, TIC_EVERIFY, "%s and %s cannot be ranked: their %s differ", a->run, b->run,
                    what);
}

/* "retrieval": pairs of each step; static sets: their pairs. Of the first method. Subsets by
 * keyword, domain or class are the seed's draw: which seeds are compared is looked at by itself. */
static json_t *sets_of(const tic_compared *c, bool same_seed) {
    json_t *methods = json_object_get(c->results, "methods"), *sets = json_object(), *score;
    const char *task;
    json_t *first = json_object_iter_value(json_object_iter(methods));
    json_object_foreach(json_object_get(first, "tasks"), task, score) {
        json_t *pairs = json_object_get(score, "pairs_per_step");
        const bool drawn = pairs != NULL && strcmp(task, "retrieval") != 0;
        json_object_set(sets, task, pairs == NULL ? json_object_get(score, "pairs") : pairs);
        if (drawn && !same_seed)
            json_object_set_new(sets, task, json_null());
    }
    return sets;
}

/* The seeds of a group as a bit set would be too small: rising, each once. */
static int seeds_of(const tic_comparison *c, int group, int64_t seeds[TIC_COMPARED_MAX]) {
    int count = 0;
    for (int i = 0; i < c->count; i++) {
        int at = 0;
        if (c->list[i].group != group)
            continue;
        const int64_t seed = c->list[i].x.seed;
        while (at < count && seeds[at] < seed)
            at++;
        if (at < count && seeds[at] == seed)
            continue;
        memmove(seeds + at + 1, seeds + at, (size_t)(count - at) * sizeof *seeds);
        seeds[at] = seed;
        count++;
    }
    return count;
}

static bool same_seeds(const tic_comparison *c, int group, int other) {
    int64_t a[TIC_COMPARED_MAX], b[TIC_COMPARED_MAX];
    const int count = seeds_of(c, group, a);
    return count == seeds_of(c, other, b) && memcmp(a, b, (size_t)count * sizeof *a) == 0;
}

static tic_status same_rules(const tic_comparison *c, const tic_compared *a, const tic_compared *b,
                             tic_error *err) {
    static const char *const data[] = {"data", "data_pairs", "steps"};
    char what[160];
    if (budget_of(a) != budget_of(b)) {
        snprintf(what, sizeof what, "budgets (%.6g and %.6g nominal MACs)", budget_of(a),
                 budget_of(b));
        return refuse(a, b, what, err);
    }
    if (a->x.accounting != b->x.accounting)
        return refuse(a, b, "budgets (accounting)", err);
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++)
        if (!json_equal(json_object_get(a->begun, data[i]), json_object_get(b->begun, data[i]))) {
            snprintf(what, sizeof what, "data (%s)", data[i]);
            return refuse(a, b, what, err);
        }
    if (!same_seeds(c, a->group, b->group))
        return refuse(a, b, "evaluation sets (the seeds, which draw them)", err);
    json_t *x = sets_of(a, a->x.seed == b->x.seed), *y = sets_of(b, a->x.seed == b->x.seed);
    const bool same = json_equal(x, y) && a->x.eval_pairs == b->x.eval_pairs;
    json_decref(x);
    json_decref(y);
    return same ? TIC_OK : refuse(a, b, "evaluation sets", err);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Mean of what a retrieval task has of in-domain, backward and forward. */
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

typedef struct samples { /* a method's results, one a seed */
    const json_t *method[TIC_COMPARED_MAX];
    int count;
} samples;

/* NaN where there is none. */
static double number_at(const json_t *task, const char *outer, const char *key) {
    const json_t *in = outer != NULL ? json_object_get(task, outer) : task;
    const json_t *value = json_object_get(in, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static json_t *spread_at(const samples *s, const char *task, const char *outer, const char *key) {
    double values[TIC_COMPARED_MAX];
    for (int i = 0; i < s->count; i++)
        values[i] =
            number_at(json_object_get(json_object_get(s->method[i], "tasks"), task), outer, key);
    return tic_spread_json(values, s->count);
}

/* {TASK: {MEASURE: {"mean", "stderr"}}} of the tasks that the first seed has. */
static json_t *tasks_json(const samples *s) {
    json_t *tasks = json_object(), *task;
    const char *name;
    json_object_foreach(json_object_get(s->method[0], "tasks"), name, task) {
        json_t *made =
            json_object_get(task, "E") == NULL
                ? json_pack("{s:o, s:o}", "last", spread_at(s, name, NULL, "last"), "mean",
                            spread_at(s, name, NULL, "mean"))
                : json_pack("{s:o, s:o, s:o, s:o, s:o}", "in_domain",
                            spread_at(s, name, NULL, "in_domain"), "backward",
                            spread_at(s, name, NULL, "backward"), "forward",
                            spread_at(s, name, NULL, "forward"), "relative_backward",
                            spread_at(s, name, "relative", "backward"), "relative_forward",
                            spread_at(s, name, "relative", "forward"));
        json_object_set_new(tasks, name, made);
    }
    return tasks;
}

/* Sets row[key] to the mean of a retrieval measure and row.stderrs[key] to its error. */
static void put_measure(json_t *row, const samples *s, const char *key) {
    json_t *spread;
    double means[TIC_COMPARED_MAX];
    if (strcmp(key, "mean") != 0) {
        spread = spread_at(s, "retrieval", NULL, key);
    } else {
        for (int i = 0; i < s->count; i++)
            means[i] =
                mean_of(json_object_get(json_object_get(s->method[i], "tasks"), "retrieval"));
        spread = tic_spread_json(means, s->count);
    }
    json_object_set(row, key, json_object_get(spread, "mean"));
    json_object_set(json_object_get(row, "stderrs"), key, json_object_get(spread, "stderr"));
    json_decref(spread);
}

/* "runs/a-*" of "runs/a-0" and "runs/a-1": what they have in common around a star. */
static json_t *common_name(const json_t *runs) {
    const char *first = json_string_value(json_array_get(runs, 0));
    size_t head = strlen(first), tail = strlen(first), i;
    char name[TIC_PATH];
    json_t *run;
    if (json_array_size(runs) == 1)
        return json_string(first);
    json_array_foreach(runs, i, run) {
        const char *other = json_string_value(run);
        const size_t length = strlen(other);
        size_t same = 0;
        while (same < head && other[same] == first[same])
            same++;
        head = same;
        for (same = 0; same < tail && same + head < length && same + head < strlen(first) &&
                       other[length - 1 - same] == first[strlen(first) - 1 - same];)
            same++;
        tail = same;
    }
    snprintf(name, sizeof name, "%.*s*%s", (int)head, first, first + strlen(first) - tail);
    return json_string(name);
}

static tic_status add_row(const tic_comparison *c, int group, const char *method, json_t *rows,
                          tic_error *err) {
    static const char *const keys[] = {"mean", "in_domain", "backward", "forward"};
    samples s = {.count = 0};
    json_t *runs = json_array(), *seeds = json_array();
    for (int i = 0; i < c->count; i++) {
        const json_t *about = tic_compared_method(&c->list[i], method);
        if (c->list[i].group != group || about == NULL)
            continue;
        if (json_object_get(json_object_get(about, "tasks"), "retrieval") == NULL) {
            json_decref(runs);
            json_decref(seeds);
            return tic_fail(err, TIC_EVERIFY, "%s: %s has no retrieval task", c->list[i].run,
                            method);
        }
        s.method[s.count++] = about;
        json_array_append_new(runs, json_string(c->list[i].run));
        json_array_append_new(seeds, json_integer(c->list[i].x.seed));
    }
    json_t *macs = json_object_get(s.method[0], "macs");
    json_t *row =
        json_pack("{s:o, s:o, s:o, s:s, s:s, s:{}, s:O, s:O, s:o}", "run", common_name(runs),
                  "runs", runs, "seeds", seeds, "method", method, "task", "retrieval", "stderrs",
                  "budget", json_object_get(macs, "budget"), "nominal",
                  json_object_get(macs, "nominal"), "tasks", tasks_json(&s));
    for (int i = 0; i < 4; i++)
        put_measure(row, &s, keys[i]);
    if (row == NULL || json_array_append_new(rows, row) != 0)
        return tic_fail(err, TIC_EINPUT, "%s/results.json: %s has no whole retrieval task",
                        c->list[0].run, method);
    return TIC_OK;
}

static tic_status add_group(const tic_comparison *c, int group, json_t *rows, tic_error *err) {
    json_t *methods = tic_comparison_methods(c, group), *unused;
    const char *method;
    tic_status status = TIC_OK;
    json_object_foreach(methods, method, unused) if (status == TIC_OK) status =
        add_row(c, group, method, rows, err);
    json_decref(methods);
    return status;
}

/* ---- the ranking ----------------------------------------------------------------------------- */

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

static tic_status compare(const tic_comparison *c, json_t *rows, tic_error *err) {
    for (int i = 1; i < c->count; i++)
        TIC_TRY(same_rules(c, &c->list[0], &c->list[i], err));
    for (int group = 0; group < c->groups; group++)
        TIC_TRY(add_group(c, group, rows, err));
    return TIC_OK;
}

tic_status tic_compare(const char *const *runs, int count, char **json, tic_error *err) {
    tic_comparison c;
    json_t *rows = json_array();
    *json = NULL;
    tic_status status = tic_comparison_open(&c, runs, count, err);
    if (status == TIC_OK)
        status = compare(&c, rows, err);
    if (status == TIC_OK)
        status = rank(rows, json, err);
    json_decref(rows);
    tic_comparison_close(&c);
    return status;
}
