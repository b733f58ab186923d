/* A run beside the paper: not its scores, which are of other data and other compute, but what share
 * of Oracle's each method reaches, and for what share of Oracle's MACs. */
#include "compare.h"
#include <math.h>
#include <string.h>

enum { MACS, STATIC, BACKWARD, IN_DOMAIN, FORWARD, MEASURES };
static const char *const measures[MEASURES] = {"macs", "static", "backward", "in_domain",
                                               "forward"};

static double number_of(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

/* Mean of the last model's scores; the paper's mean of 28 has Flickr30k's retrieval too. */
static double mean_of_statics(const json_t *tasks) {
    const char *name;
    json_t *task;
    double sum = 0;
    int count = 0;
    json_object_foreach((json_t *)tasks, name, task) {
        if (strncmp(name, "static/", 7) != 0)
            continue;
        sum += number_of(task, "last");
        count++;
    }
    return count > 0 ? sum / count : NAN;
}

static double ours(const json_t *method, int measure) {
    const json_t *tasks = json_object_get(method, "tasks"), *macs = json_object_get(method, "macs");
    if (measure == MACS)
        return number_of(macs, "nominal") + number_of(macs, "extra");
    if (measure == STATIC)
        return mean_of_statics(tasks);
    return number_of(json_object_get(tasks, "retrieval"), measures[measure]);
}

static double theirs(const tic_paper_row *row, int measure) {
    const double values[MEASURES] = {row->macs, row->statics, row->backward, row->in_domain,
                                     row->forward};
    return values[measure];
}

static const tic_paper_row *row_of(const tic_paper *paper, const char *method) {
    for (int i = 0; i < paper->count; i++)
        if (strcmp(paper->rows[i].method, method) == 0)
            return &paper->rows[i];
    return NULL;
}

static const char *divisor(const tic_paper *paper, int measure) {
    return measure < BACKWARD ? "oracle" : paper->retrieval;
}

/* Seed by seed, so that what a seed does to both cancels. */
static json_t *our_share(const tic_comparison *c, const tic_paper *paper, const char *method,
                         int measure) {
    double shares[TIC_COMPARED_MAX];
    int count = 0;
    for (int i = 0; i < c->count; i++) {
        const json_t *about = tic_compared_method(&c->list[i], method), *whole = NULL;
        for (int k = 0; k < c->count && about != NULL && whole == NULL; k++)
            if (c->list[k].x.seed == c->list[i].x.seed)
                whole = tic_compared_method(&c->list[k], divisor(paper, measure));
        if (whole != NULL)
            shares[count++] = ours(about, measure) / ours(whole, measure);
    }
    return count > 0 ? tic_spread_json(shares, count) : json_null();
}

static json_t *our_shares(const tic_comparison *c, const tic_paper *paper, const char *method) {
    json_t *shares = json_object();
    bool any = false;
    for (int i = 0; i < c->count; i++)
        any |= tic_compared_method(&c->list[i], method) != NULL;
    for (int m = 0; m < MEASURES && any; m++)
        json_object_set_new(shares, measures[m], our_share(c, paper, method, m));
    if (any)
        return shares;
    json_decref(shares);
    return json_null();
}

static json_t *their_shares(const tic_paper *paper, const char *method) {
    const tic_paper_row *row = row_of(paper, method);
    if (row == NULL)
        return json_null();
    json_t *shares = json_object();
    for (int m = 0; m < MEASURES; m++)
        json_object_set_new(
            shares, measures[m],
            tic_json_number(theirs(row, m) / theirs(row_of(paper, divisor(paper, m)), m)));
    return shares;
}

/* Methods of either, in the order of the table of methods. */
static json_t *rows_of(const tic_comparison *c, const tic_paper *paper) {
    json_t *rows = json_array(), *run = tic_comparison_methods(c, 0);
    for (int i = 0; i < tic_method_count(); i++) {
        const tic_method *method = tic_method_get(i);
        if (json_object_get(run, method->name) != NULL || row_of(paper, method->name) != NULL)
            json_array_append_new(rows, json_pack("{s:s, s:s, s:o, s:o}", "method", method->name,
                                                  "label", method->label, "ours",
                                                  our_shares(c, paper, method->name), "paper",
                                                  their_shares(paper, method->name)));
    }
    json_decref(run);
    return rows;
}

/* One experiment, which has what the others are divided by. */
static tic_status check(const tic_comparison *c, const tic_paper *paper, tic_error *err) {
    bool found = false;
    for (int i = 0; i < c->count; i++) {
        const char *what = tic_compared_differs(&c->list[0], &c->list[i]);
        if (what != NULL)
            return tic_fail(err, TIC_EVERIFY,
                            "%s and %s differ in %s; beside the paper goes one experiment, its "
                            "runs differing in seed and methods only",
                            c->list[0].run, c->list[i].run, what);
        if (c->list[i].group != 0)
            return tic_fail(err, TIC_EVERIFY, "%s repeats a method and seed of another run",
                            c->list[i].run);
        if (!json_equal(json_object_get(c->list[0].begun, "data"),
                        json_object_get(c->list[i].begun, "data")))
            return tic_fail(err, TIC_EVERIFY, "%s and %s differ in their data", c->list[0].run,
                            c->list[i].run);
        found |= tic_compared_method(&c->list[i], "oracle") != NULL ||
                 tic_compared_method(&c->list[i], paper->retrieval) != NULL;
    }
    if (!found)
        return tic_fail(err, TIC_EUSAGE,
                        "%s: has no oracle, which the others are measured by (run it with the same "
                        "settings, and name both runs)",
                        c->list[0].run);
    return TIC_OK;
}

static json_t *document_of(const tic_comparison *c, const tic_paper *paper) {
    json_t *runs = json_array(), *seeds = json_array();
    for (int i = 0; i < c->count; i++) {
        json_t *seed = json_integer(c->list[i].x.seed);
        size_t k;
        json_t *other;
        bool known = false;
        json_array_append_new(runs, json_string(c->list[i].run));
        json_array_foreach(seeds, k, other) known |= json_equal(other, seed);
        if (!known)
            json_array_append(seeds, seed);
        json_decref(seed);
    }
    return json_pack("{s:i, s:s, s:s, s:{s:s, s:s, s:s}, s:o, s:o, s:o}", "schema", 1, "paper",
                     paper->name, "label", paper->label, "of", "macs", divisor(paper, MACS),
                     "static", divisor(paper, STATIC), "retrieval", paper->retrieval, "runs", runs,
                     "seeds", seeds, "methods", rows_of(c, paper));
}

tic_status tic_compare_paper(const char *const *runs, int count, const char *paper, char **json,
                             tic_error *err) {
    const tic_paper *of;
    tic_comparison c;
    *json = NULL;
    TIC_TRY(tic_paper_find(&of, paper, err));
    tic_status status = tic_comparison_open(&c, runs, count, err);
    if (status == TIC_OK)
        status = check(&c, of, err);
    if (status == TIC_OK) {
        json_t *document = document_of(&c, of);
        status = tic_json_text(document, JSON_COMPACT, json, err);
        json_decref(document);
    }
    tic_comparison_close(&c);
    return status;
}
