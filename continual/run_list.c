/* What a run consists of: the list of its steps, their places, and what of them is done. */
#include "run.h"
#include <stdio.h>
#include <string.h>

/* ---- the list ------------------------------------------------------------------------------ */

bool tic_item_anew(const tic_item *item) {
    return item->from == NULL && (item->method->start == TIC_START_RANDOM || item->step == 0);
}

bool tic_item_taught(const tic_item *item) {
    return item->method->penalty == TIC_PENALTY_LWF && (item->from != NULL || item->step > 0);
}

tic_charges tic_item_charges(const tic_session *s, const tic_item *item) {
    tic_charges charges = tic_method_charges(s->x, &s->config, item->method, &s->steps, item->step);
    if (item->step == 0 && tic_item_taught(item))
        charges.per_pair += tic_nominal_image(&s->config) + tic_nominal_text(&s->config);
    return charges;
}

/* Same start, same pool, same iterations (and the same seed, so the same order): the first step of
 * most methods. */
static bool same_training(const tic_item *a, const tic_item *b) {
    const tic_method *x = a->method, *y = b->method;
    return a->step == b->step && tic_item_anew(a) && tic_item_anew(b) &&
           ((x->pool == y->pool && x->draw == y->draw) || a->step == 0) &&
           a->budget.iterations == b->budget.iterations;
}

tic_status tic_run_list(const tic_session *s, tic_item **items, int *count, tic_error *err) {
    const tic_method *methods[TIC_METHODS_MAX];
    int method_count, steps = s->steps.count;
    *items = NULL;
    *count = 0;
    TIC_TRY(tic_method_list(s->x->methods, methods, TIC_METHODS_MAX, &method_count, err));
    TIC_TRY(tic_alloc(items, (size_t)(method_count * steps), sizeof(tic_item), err));
    tic_status status = TIC_OK;
    for (int i = 0; i < method_count * steps && status == TIC_OK; i++) {
        tic_item *item = &(*items)[i];
        *item = (tic_item){.method = methods[i / steps], .step = i % steps, .same_as = -1};
        item->charges = tic_item_charges(s, item);
        status = tic_budget_step(s->x, &s->config, item->method, &item->charges, steps, item->step,
                                 &item->budget, err);
        if (s->x->carry && item->step > 0 && status == TIC_OK)
            tic_budget_carry(s->x, &s->config, &item->charges, item[-1].budget.left, &item->budget);
        for (int k = i - 1; k >= 0 && status == TIC_OK; k--)
            if (same_training(&(*items)[k], item))
                item->same_as = k; /* the earliest in the end */
        *count = i + 1;
    }
    if (status != TIC_OK) {
        tic_free(*items);
        *items = NULL;
    }
    return status;
}

int64_t tic_evaluation_pairs(const tic_tasks *tasks) {
    return (tasks->pictures + tasks->captions) / 2;
}

const char *tic_item_step(const tic_session *s, const tic_item *item) {
    return s->steps.step[item->step].name;
}

const json_t *tic_item_ended(const tic_session *s, const tic_item *item) {
    return tic_ledger_find(&s->ledger, "step_end", item->method->name, tic_item_step(s, item));
}

const json_t *tic_item_evaluated(const tic_session *s, const tic_item *item) {
    return tic_ledger_find(&s->ledger, "evaluation", item->method->name, tic_item_step(s, item));
}

/* Iterations of the method before this step, for TensorBoard's axis. */
int64_t tic_iterations_before(const tic_item *items, int i) {
    int64_t sum = 0;
    for (int k = 0; k < i; k++)
        if (items[k].method == items[i].method)
            sum += items[k].budget.iterations;
    return sum;
}

/* ---- places -------------------------------------------------------------------------------- */

tic_status tic_item_folder(const tic_session *s, const tic_item *item, char out[TIC_PATH],
                           tic_error *err) {
    char method[TIC_PATH];
    TIC_TRY(tic_session_path(s, method, item->method->name, err));
    return tic_path_join(out, TIC_PATH, method, tic_item_step(s, item), err);
}

/* METHOD/events.out.tfevents.NN.STEP: TensorBoard reads a folder's files in the order of names. */
tic_status tic_item_board(const tic_session *s, const tic_item *item, char out[TIC_PATH],
                          tic_error *err) {
    char name[64], method[TIC_PATH];
    snprintf(name, sizeof name, "events.out.tfevents.%04d.%s", item->step, tic_item_step(s, item));
    TIC_TRY(tic_session_path(s, method, item->method->name, err));
    return tic_path_join(out, TIC_PATH, method, name, err);
}
