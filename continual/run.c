/* The runs themselves: an experiment, one step from a checkpoint, and the lock that keeps a second
 * process out of a folder. */
#include "run.h"
#include <stdio.h>
#include <string.h>

tic_status tic_in_run(tic_session *s, tic_run_work work, void *user, tic_error *err) {
    char path[TIC_PATH];
    int lock;
    TIC_TRY(tic_make_folder(s->x->out, err));
    TIC_TRY(tic_session_path(s, path, "lock", err));
    TIC_TRY(tic_lock(path, &lock, err));
    tic_status status = work(s, user, err);
    tic_session_close(s);
    tic_unlock(lock);
    return status;
}

/* ---- an experiment ------------------------------------------------------------------------- */

static void tell_warmup(const tic_session *s, const tic_item *items) {
    if (s->x->warmup > items[0].budget.iterations)
        tic_note(s->hooks,
                 "warm-up of %lld iterations is longer than the first step's %lld: its learning "
                 "rate never gets to its peak",
                 (long long)s->x->warmup, (long long)items[0].budget.iterations);
}

static tic_status run_all(tic_session *s, void *user, tic_error *err) {
    tic_item *items;
    int count;
    (void)user;
    TIC_TRY(tic_run_look(s, err));
    TIC_TRY(tic_run_settle(s, err));
    TIC_TRY(tic_run_list(s, &items, &count, err));
    tell_warmup(s, items);
    tic_status status = tic_run_open(s, err);
    if (status == TIC_OK)
        status = tic_run_items(s, items, count, err);
    tic_free(items);
    return status;
}

tic_status tic_run(const tic_experiment *experiment, const tic_hooks *hooks, tic_error *err) {
    tic_session s = {.x = experiment, .hooks = hooks};
    TIC_TRY(tic_experiment_check(experiment, err));
    return tic_in_run(&s, run_all, NULL, err);
}

/* ---- one step from a checkpoint ------------------------------------------------------------ */

typedef struct one_step {
    const char *method, *step, *from;
} one_step;

/* NULL is the last step. */
static tic_status find_step(const tic_session *s, const char *name, int *out, tic_error *err) {
    const tic_step *step = s->steps.step;
    int last = s->steps.count - 1;
    for (*out = last; *out >= 0 && name != NULL; --*out)
        if (strcmp(step[*out].name, name) == 0)
            break;
    return *out >= 0 ? TIC_OK
                     : tic_fail(err, TIC_EUSAGE, "no step \"%s\"; the data have %s .. %s", name,
                                step[0].name, step[last].name);
}

/* A first step can be held to given weights, but there are no earlier pairs to measure or replay.
 */
static tic_status has_past(const tic_session *s, const tic_item *item, tic_error *err) {
    const tic_method *method = item->method;
    if (item->from == NULL || item->step > 0 ||
        (method->penalty != TIC_PENALTY_EWC && method->start != TIC_START_PATCHED &&
         method->pool == TIC_POOL_NEW))
        return TIC_OK;
    return tic_fail(err, TIC_EUSAGE,
                    "%s needs the earlier step's data, and %s is the first step of these: give "
                    "--data that hold both, or another --method",
                    method->name, tic_item_step(s, item));
}

/* Everything that can be wrong with the command is found before the folder becomes a run. */
static tic_status run_one(tic_session *s, void *user, tic_error *err) {
    const one_step *one = user;
    tic_item item = {.same_as = -1, .from = one->from};
    TIC_TRY(tic_method_find(&item.method, one->method, err));
    TIC_TRY(tic_run_look(s, err));
    TIC_TRY(find_step(s, one->step, &item.step, err));
    if (item.from == NULL && item.method->start != TIC_START_RANDOM && item.step > 0)
        return tic_fail(err, TIC_EUSAGE, "%s goes on from a model: give its checkpoint (--from)",
                        item.method->name);
    TIC_TRY(has_past(s, &item, err));
    if (item.method->draw == TIC_DRAW_LEAST_USED && item.step > 0)
        return tic_fail(err, TIC_EUSAGE,
                        "%s needs what earlier steps drew: use `ticlip run` on the whole sequence",
                        item.method->name);
    item.charges = tic_item_charges(s, &item);
    TIC_TRY(tic_budget_step(s->x, &s->config, item.method, &item.charges, 1, 0, &item.budget, err));
    TIC_TRY(tic_run_settle(s, err));
    TIC_TRY(tic_run_open(s, err));
    return tic_run_items(s, &item, 1, err);
}

tic_status tic_train_one(const tic_experiment *experiment, const char *method, const char *step,
                         const char *from, const tic_hooks *hooks, tic_error *err) {
    tic_experiment x = *experiment;
    one_step one = {method, step, from};
    tic_session s = {.x = &x, .hooks = hooks, .one_step = true, .given = from != NULL};
    TIC_TRY(tic_experiment_check(experiment, err));
    TIC_TRY(tic_experiment_set(&x, "methods", method, err));
    if (from != NULL) {
        TIC_TRY(tic_experiment_set(&x, "model", from, err));
        TIC_TRY(tic_checkpoint_same_pairs(from, &x, err));
    }
    if (from != NULL && x.vocab[0] == '\0')
        TIC_TRY(tic_checkpoint_vocab(from, x.vocab, err));
    return tic_in_run(&s, run_one, &one, err);
}
