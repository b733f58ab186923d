/* Opening what is compared: a run's settings and results are held against its ledger first, as
 * `ticlip verify` does, and one that is not finished is none to rank. */
#include "compare.h"
#include "verify.h"
#include <stdio.h>
#include <string.h>

/* ---- one run --------------------------------------------------------------------------------- */

/* Settings and results follow from the ledger; v->begun, v->x and v->s.ledger are there then. */
static tic_status look_through(tic_verifying *v, const char *run, tic_error *err) {
    TIC_TRY(tic_verify_ledger(v));
    tic_status status = tic_verify_settings(v);
    if (status == TIC_OK)
        status = tic_verify_results(v);
    return status == TIC_EVERIFY ? tic_fail_in(err, "%s", run) : status;
}

/* Every method that was asked for is evaluated after every step. */
static tic_status finished(const tic_verifying *v, const char *run, tic_error *err) {
    const tic_method *methods[TIC_METHODS_MAX];
    int count;
    size_t k;
    json_t *step;
    if (json_is_true(json_object_get(v->begun, "one_step")))
        return tic_fail(err, TIC_EVERIFY, "%s: the training of one step; whole runs are compared",
                        run);
    TIC_TRY(tic_method_list(v->x.methods, methods, TIC_METHODS_MAX, &count, err));
    for (int i = 0; i < count; i++)
        json_array_foreach(json_object_get(v->begun, "steps"), k, step) {
            const char *name = json_string_value(step);
            if (name == NULL ||
                tic_ledger_find(&v->s.ledger, "evaluation", methods[i]->name, name) == NULL)
                return tic_fail(err, TIC_EVERIFY,
                                "%s: not finished: %s has no scores of step %s yet (the "
                                "command that began it goes on)",
                                run, methods[i]->name, name != NULL ? name : "?");
        }
    return TIC_OK;
}

static tic_status read_run(tic_verifying *v, tic_compared *c, tic_error *err) {
    TIC_TRY(look_through(v, c->run, err));
    TIC_TRY(finished(v, c->run, err));
    c->x = v->x;
    c->begun = json_deep_copy(v->begun);
    return tic_results_make(&v->s.ledger, &c->results, err);
}

static tic_status open_run(tic_compared *c, const char *run, tic_error *err) {
    const tic_verify_options options = {.run = run};
    tic_verifying v = {.options = &options, .err = err};
    char path[TIC_PATH];
    *c = (tic_compared){.run = run, .group = -1};
    TIC_TRY(tic_path_join(path, sizeof path, run, "ledger.jsonl", err));
    if (!tic_file_exists(path))
        return tic_fail(err, TIC_EINPUT, "%s: there is no ledger.jsonl: no run", run);
    tic_experiment_defaults(&v.x);
    v.s.x = &v.x;
    snprintf(v.x.out, sizeof v.x.out, "%s", run);
    tic_status status = read_run(&v, c, err);
    tic_session_close(&v.s);
    return status;
}

const json_t *tic_compared_method(const tic_compared *run, const char *method) {
    return json_object_get(json_object_get(run->results, "methods"), method);
}

const char *tic_compared_differs(const tic_compared *a, const tic_compared *b) {
    tic_experiment other = b->x;
    other.seed = a->x.seed;
    memcpy(other.methods, a->x.methods, sizeof other.methods);
    const char *name = tic_experiment_differs(&a->x, &other);
    if (name == NULL &&
        !json_equal(json_object_get(a->begun, "precision"), json_object_get(b->begun, "precision")))
        name = "precision";
    return name;
}

/* ---- grouping -------------------------------------------------------------------------------- */

/* Whether a method comes in both with the same seed. */
static bool repeats(const tic_compared *a, const tic_compared *b) {
    const char *method;
    json_t *unused;
    if (a->x.seed != b->x.seed)
        return false;
    json_object_foreach(json_object_get(a->results, "methods"), method,
                        unused) if (tic_compared_method(b, method) != NULL) return true;
    return false;
}

/* The first group that run i belongs to; a new one when there is none. */
static void join_group(tic_comparison *c, int i) {
    for (int group = 0; group < c->groups; group++) {
        bool fits = true;
        for (int k = 0; k < i; k++)
            if (c->list[k].group == group)
                fits &= tic_compared_differs(&c->list[k], &c->list[i]) == NULL &&
                        !repeats(&c->list[k], &c->list[i]);
        if (fits) {
            c->list[i].group = group;
            return;
        }
    }
    c->list[i].group = c->groups++;
}

/* A run beside itself, or beside a copy of it, has the same ledger. */
static tic_status each_once(const tic_comparison *c, int i, tic_error *err) {
    const json_t *own = json_object_get(c->list[i].results, "ledger");
    for (int k = 0; k < i; k++)
        if (json_equal(json_object_get(c->list[k].results, "ledger"), (json_t *)(uintptr_t)own))
            return tic_fail(err, TIC_EUSAGE, "%s and %s are the same run", c->list[k].run,
                            c->list[i].run);
    return TIC_OK;
}

tic_status tic_comparison_open(tic_comparison *c, const char *const *runs, int count,
                               tic_error *err) {
    *c = (tic_comparison){.count = 0};
    if (count > TIC_COMPARED_MAX)
        return tic_fail(err, TIC_EUSAGE, "%d runs; at most %d can be compared", count,
                        TIC_COMPARED_MAX);
    TIC_TRY(tic_alloc(&c->list, (size_t)count, sizeof *c->list, err));
    for (int i = 0; i < count; i++) {
        c->count = i + 1; /* before it is opened, so that a failure frees what is there */
        TIC_TRY(open_run(&c->list[i], runs[i], err));
        TIC_TRY(each_once(c, i, err));
        join_group(c, i);
    }
    return TIC_OK;
}

void tic_comparison_close(tic_comparison *c) {
    for (int i = 0; i < c->count; i++) {
        json_decref(c->list[i].results);
        json_decref(c->list[i].begun);
    }
    tic_free(c->list);
}

json_t *tic_comparison_methods(const tic_comparison *c, int group) {
    json_t *names = json_object(), *unused;
    const char *method;
    for (int i = 0; i < c->count; i++)
        if (c->list[i].group == group)
            json_object_foreach(json_object_get(c->list[i].results, "methods"), method, unused)
                json_object_set_new(names, method, json_null());
    return names;
}
