/* A step that is being trained: its saved state, against what its first iterations are. */
#include "verify.h"
#include <stdio.h>
#include <string.h>

static bool metadata_is(const tic_safetensors *file, const char *key, const char *value) {
    const char *text = tic_safetensors_metadata(file, key);
    return text != NULL && strcmp(text, value) == 0;
}

/* A state names what its step began with by its place in the run. */
static bool from_is(const tic_safetensors *file, const char *from) {
    const char *text = tic_safetensors_metadata(file, "from");
    if (text == NULL || strcmp(from, "random") == 0)
        return text != NULL && text[0] == '\0';
    return tic_path_ends(from, text);
}

/* The state is of the step, and what it says is done is what the step's first iterations are. */
static tic_status verify_position(tic_verifying *v, int i, const char *name,
                                  const tic_safetensors *file) {
    tic_item done = v->items[i];
    const json_t *start =
        tic_ledger_find(&v->s.ledger, "step_start", done.method->name, tic_item_step(&v->s, &done));
    const char *from = tic_json_string(start, "from");
    const char *text = tic_safetensors_metadata(file, "spent");
    char iterations[32];
    tic_spent spent;
    tic_walked walked;
    snprintf(iterations, sizeof iterations, "%lld", (long long)done.budget.iterations);
    if (!metadata_is(file, "method", done.method->name) ||
        !metadata_is(file, "step", tic_item_step(&v->s, &done)) || !from_is(file, from) ||
        !metadata_is(file, "iterations", iterations))
        return tic_broken(v, name, "state.safetensors is another training's");
    json_t *json = json_loads(text != NULL ? text : "", 0, NULL);
    const bool whole = tic_spent_read(json, &spent);
    json_decref(json);
    if (!whole || spent.iterations < 1 || spent.iterations > done.budget.iterations ||
        spent.pairs != spent.iterations * v->x.batch ||
        spent.nominal != (uint64_t)spent.pairs * tic_nominal_train(&v->s.config))
        return tic_broken(v, name, "state.safetensors: its position is none of the step's");
    done.budget.iterations = spent.iterations;
    TIC_TRY(tic_verify_order(v, i, &done, name, spent.order, &walked));
    TIC_TRY(tic_verify_phases(v, i, name, &spent, false));
    TIC_TRY(tic_verify_shapes(v, &done, name, &spent, &walked));
    tic_claim(v, name, "not trained yet; state.safetensors is whole, after %lld iterations of %s",
              (long long)spent.iterations, iterations);
    return TIC_OK;
}

/* EWC keeps its Fisher information until the step is trained. */
static tic_status verify_fisher(const tic_verifying *v, const tic_item *item, const char *folder,
                                const char *name) {
    char path[TIC_PATH];
    tic_safetensors *file;
    tic_spent spent;
    tic_error why = {TIC_OK, ""};
    TIC_TRY(tic_path_join(path, sizeof path, folder, TIC_FISHER_FILE, v->err));
    if (!tic_file_exists(path))
        return TIC_OK;
    if (tic_safetensors_open_summed(&file, path, &why) != TIC_OK)
        return tic_broken(v, name, "%.500s", why.text);
    const char *text = tic_safetensors_metadata(file, "spent");
    json_t *json = json_loads(text != NULL ? text : "", 0, NULL);
    const bool whole = tic_spent_read(json, &spent);
    json_decref(json);
    tic_safetensors_close(file);
    const uint64_t need = (uint64_t)tic_fisher_pairs(&v->x, &v->s.steps, item->step) *
                          tic_nominal_train(&v->s.config);
    if (!whole || spent.extra != need)
        return tic_broken(v, name, TIC_FISHER_FILE " cost other MACs than a Fisher pass: %llu",
                          (unsigned long long)need);
    tic_claim(v, name, TIC_FISHER_FILE " is whole, and cost what its pairs cost");
    return TIC_OK;
}

tic_status tic_verify_state(tic_verifying *v, int i, const char *name) {
    char folder[TIC_PATH], path[TIC_PATH];
    tic_safetensors *file;
    tic_error why = {TIC_OK, ""};
    TIC_TRY(tic_item_folder(&v->s, &v->items[i], folder, v->err));
    TIC_TRY(verify_fisher(v, &v->items[i], folder, name));
    TIC_TRY(tic_path_join(path, sizeof path, folder, "state.safetensors", v->err));
    if (!tic_file_exists(path)) {
        tic_claim(v, name, "not trained yet");
        return TIC_OK;
    }
    if (tic_safetensors_open_summed(&file, path, &why) != TIC_OK)
        return tic_broken(v, name, "%.500s", why.text);
    tic_status status = verify_position(v, i, name, file);
    tic_safetensors_close(file);
    return status;
}
