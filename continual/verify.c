/* `ticlip verify`: rechecks a run's folder, claim by claim. What a line of the ledger says is held
 * against what follows from settings, data and checkpoints. */
#include "verify.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void tic_claim(const tic_verifying *v, const char *name, const char *format, ...) {
    char text[400];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    if (v->options->claim != NULL)
        v->options->claim(v->options->user, name, text);
}

tic_status tic_broken(const tic_verifying *v, const char *name, const char *format, ...) {
    char text[600];
    va_list list;
    va_start(list, format);
    vsnprintf(text, sizeof text, format, list);
    va_end(list);
    return tic_fail(v->err, TIC_EVERIFY, "%s: %s", name, text);
}

/* ---- data ------------------------------------------------------------------------------------ */

static tic_status verify_data(tic_verifying *v) {
    char hex[33];
    TIC_TRY(tic_config_find(&v->s.config, v->x.model, v->err));
    TIC_TRY(tic_verify_index(v)); /* before one that is of no use is made again */
    TIC_TRY(tic_session_data(&v->s, v->err));
    const tic_id id = tic_index_hash(v->s.index);
    snprintf(hex, sizeof hex, "%016llx%016llx", (unsigned long long)id.hi,
             (unsigned long long)id.lo);
    const char *then = json_string_value(json_object_get(v->begun, "data"));
    const json_int_t pairs = json_integer_value(json_object_get(v->begun, "data_pairs"));
    if (then == NULL || strcmp(then, hex) != 0)
        return tic_broken(v, "data",
                          "%s holds other pairs than the run had (hash %.12s, then %.12s)",
                          v->x.data, hex, then != NULL ? then : "none");
    if (pairs != (json_int_t)tic_index_size(v->s.index))
        return tic_broken(v, "data", "%zu pairs, the ledger says %lld", tic_index_size(v->s.index),
                          (long long)pairs);
    tic_claim(v, "data", "%lld pairs, their identities have the hash %.12s", (long long)pairs, hex);
    return TIC_OK;
}

static tic_status verify_steps(tic_verifying *v) {
    const json_t *steps = json_object_get(v->begun, "steps");
    bool same = json_array_size(steps) == (size_t)v->s.steps.count;
    for (int i = 0; i < v->s.steps.count && same; i++) {
        const char *then = json_string_value(json_array_get(steps, (size_t)i));
        same = then != NULL && strcmp(then, v->s.steps.step[i].name) == 0;
    }
    if (!same)
        return tic_broken(v, "steps",
                          "the settings cut the data into other steps than the ledger has");
    tic_claim(v, "steps", "%d, as the settings cut the data", v->s.steps.count);
    return TIC_OK;
}

static tic_status open_rest(tic_verifying *v) {
    char vocab[TIC_PATH], plan[TIC_PATH];
    const char *precision = json_string_value(json_object_get(v->begun, "precision"));
    TIC_TRY(tic_session_path(&v->s, vocab, "vocab.txt.gz", v->err));
    TIC_TRY(tic_session_path(&v->s, plan, "plan.txt", v->err));
    TIC_TRY(tic_session_vocab(&v->s, vocab, v->err));
    TIC_TRY(tic_session_context(&v->s, plan, v->err));
    v->s.precision = precision != NULL && strcmp(precision, "bf16") == 0 ? TIC_BF16 : TIC_F32;
    v->s.micro_batch = json_integer_value(json_object_get(v->begun, "micro_batch"));
    const json_t *settled = json_object_get(json_object_get(v->begun, "experiment"), "precision");
    if (!json_equal(json_object_get(v->begun, "precision"), (json_t *)(uintptr_t)settled))
        return tic_broken(v, "model", "the ledger's first line names two precisions");
    if (v->s.micro_batch < 1 || v->s.micro_batch > v->x.batch)
        return tic_broken(v, "model", "%lld pairs at a time of a batch of %lld",
                          (long long)v->s.micro_batch, (long long)v->x.batch);
    const json_int_t nominal = json_integer_value(json_object_get(v->begun, "nominal_train"));
    if (nominal != (json_int_t)tic_nominal_train(&v->s.config))
        return tic_broken(
            v, "model", "training a pair of %s is %llu nominal MACs, the ledger says %lld",
            v->x.model, (unsigned long long)tic_nominal_train(&v->s.config), (long long)nominal);
    tic_claim(v, "model", "%s, %s, %lld nominal MACs of training a pair", v->x.model,
              tic_dtype_name(v->s.precision), (long long)nominal);
    return TIC_OK;
}

/* ---- the list of steps ----------------------------------------------------------------------- */

/* `ticlip train`: one item, from what its own lines say. */
static tic_status list_one(tic_verifying *v) {
    const json_t *start = tic_ledger_find(&v->s.ledger, "step_start", NULL, NULL);
    const char *step = json_string_value(json_object_get(start, "step"));
    const char *from = json_string_value(json_object_get(start, "from"));
    const char *method = json_string_value(json_object_get(start, "method"));
    if (start == NULL || step == NULL || from == NULL || method == NULL)
        return TIC_OK; /* begun, and no more */
    TIC_TRY(tic_alloc(&v->items, 1, sizeof *v->items, v->err));
    tic_item *item = v->items;
    *item =
        (tic_item){.same_as = -1, .step = -1, .from = strcmp(from, "random") == 0 ? NULL : from};
    TIC_TRY(tic_method_find(&item->method, method, v->err));
    for (int i = 0; i < v->s.steps.count; i++)
        if (strcmp(v->s.steps.step[i].name, step) == 0)
            item->step = i;
    if (item->step < 0)
        return tic_broken(v, "steps", "the data have no step %s", step);
    item->charges = tic_item_charges(&v->s, item);
    v->count = 1;
    return tic_budget_step(&v->x, &v->s.config, item->method, &item->charges, 1, 0, &item->budget,
                           v->err);
}

static tic_status verify_items(tic_verifying *v) {
    char name[160];
    for (int i = 0; i < v->count; i++) {
        const tic_item *item = &v->items[i];
        snprintf(name, sizeof name, "%s/%s", item->method->name, tic_item_step(&v->s, item));
        TIC_TRY(tic_verify_boards(v, item, name));
        if (tic_item_ended(&v->s, item) == NULL) {
            TIC_TRY(tic_verify_state(v, i, name));
            continue;
        }
        TIC_TRY(tic_verify_checkpoint(v, item, name)); /* what is read of it is whole */
        TIC_TRY(tic_verify_training(v, i, name));
        TIC_TRY(tic_verify_scores(v, item, name));
        if (tic_asked_to_stop(v->options->hooks))
            return tic_fail(v->err, TIC_EINTERRUPTED, "stopped after %s", name);
    }
    return TIC_OK;
}

/* ---- the index, made again ------------------------------------------------------------------- */

static tic_status verify_index_again(const tic_verifying *v) {
    tic_index *again;
    TIC_TRY(tic_session_index_again(&v->s, &again, v->err));
    const size_t size = tic_index_size(v->s.index);
    const bool same =
        tic_index_size(again) == size &&
        memcmp(tic_index_pairs(again), tic_index_pairs(v->s.index), size * sizeof(tic_pair)) == 0;
    tic_index_free(again);
    if (!same)
        return tic_broken(v, "index.bin", "the shards say otherwise of times or places");
    tic_claim(v, "index.bin", "the shards indexed again: the same %zu pairs", size);
    return TIC_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static tic_status verify(tic_verifying *v) {
    TIC_TRY(tic_verify_ledger(v));
    TIC_TRY(tic_verify_settings(v));
    TIC_TRY(tic_verify_results(v));
    TIC_TRY(tic_verify_file(v, "vocabulary", "vocab.txt.gz", "vocab"));
    TIC_TRY(tic_verify_file(v, "plan", "plan.txt", "plan"));
    TIC_TRY(verify_data(v));
    TIC_TRY(verify_steps(v));
    TIC_TRY(open_rest(v));
    if (json_is_true(json_object_get(v->begun, "one_step")))
        TIC_TRY(list_one(v));
    else
        TIC_TRY(tic_run_list(&v->s, &v->items, &v->count, v->err));
    TIC_TRY(tic_verify_course(v));
    TIC_TRY(tic_alloc(&v->tokens, tic_index_size(v->s.index), sizeof *v->tokens, v->err));
    TIC_TRY(tic_verify_padding(v));
    TIC_TRY(tic_verify_asked(v));
    TIC_TRY(verify_items(v));
    if (v->options->deep == 0)
        return TIC_OK;
    TIC_TRY(verify_index_again(v));
    return tic_verify_deep(v);
}

tic_status tic_verify(const char *run, const tic_verify_options *options, tic_error *err) {
    tic_verifying v = {.options = options, .err = err};
    char path[TIC_PATH], lock[TIC_PATH];
    int handle = -1;
    tic_experiment_defaults(&v.x);
    v.s.x = &v.x;
    v.s.hooks = options->hooks;
    TIC_TRY(tic_path_join(path, sizeof path, run, "ledger.jsonl", err));
    if (!tic_file_exists(path))
        return tic_fail(err, TIC_EINPUT, "%s: there is no ledger.jsonl: no run", run);
    TIC_TRY(tic_path_join(lock, sizeof lock, run, "lock", err));
    TIC_TRY(tic_lock(lock, &handle, err)); /* nobody writes meanwhile */
    snprintf(v.x.out, sizeof v.x.out, "%s", run);
    tic_status status = verify(&v);
    tic_free(v.items);
    tic_free(v.tokens);
    tic_scores_free(&v.asked);
    tic_session_close(&v.s);
    tic_unlock(handle);
    return status;
}
