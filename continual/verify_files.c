/* What a run's files are, against what its ledger says of them. */
#include "verify.h"
#include <stdio.h>
#include <string.h>

/* ---- the ledger ------------------------------------------------------------------------------ */

tic_status tic_verify_ledger(tic_verifying *v) {
    char path[TIC_PATH], results[TIC_PATH];
    TIC_TRY(tic_session_path(&v->s, path, "ledger.jsonl", v->err));
    TIC_TRY(tic_session_path(&v->s, results, "results.json", v->err));
    tic_status status = tic_ledger_open(&v->s.ledger, path, v->err);
    if (status == TIC_OK)
        status = tic_results_check(&v->s.ledger, results, v->err);
    if (status == TIC_EVERIFY)
        return tic_fail_in(v->err, "ledger");
    TIC_TRY(status);
    v->begun = tic_ledger_find(&v->s.ledger, "begin", NULL, NULL);
    if (v->begun == NULL || json_array_get(v->s.ledger.events, 0) != v->begun)
        return tic_broken(v, "ledger", "its first line is not the run's beginning");
    tic_claim(v, "ledger", "%zu lines, each with the hash of the line before",
              json_array_size(v->s.ledger.events));
    return TIC_OK;
}

/* ---- settings and results -------------------------------------------------------------------- */

static tic_status read_json(const tic_verifying *v, const char *name, json_t **out) {
    char path[TIC_PATH], *text;
    size_t size;
    json_error_t where;
    *out = NULL;
    TIC_TRY(tic_session_path(&v->s, path, name, v->err));
    TIC_TRY(tic_file_read(path, TIC_FILE_LIMIT, &text, &size, v->err));
    *out = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    tic_free(text);
    if (*out == NULL)
        return tic_broken(v, name, "line %d: not json: %s", where.line, where.text);
    return TIC_OK;
}

/* The first key where two objects differ; NULL: none. */
static const char *differs(json_t *a, json_t *b) {
    const char *key;
    json_t *value;
    json_object_foreach(a, key, value) if (!json_equal(value, json_object_get(b, key))) return key;
    json_object_foreach(b, key, value) if (json_object_get(a, key) == NULL) return key;
    return NULL;
}

/* experiment.json holds what was asked; the ledger, what `auto` became. */
tic_status tic_verify_settings(tic_verifying *v) {
    char path[TIC_PATH];
    json_t *file, *then = json_object_get(v->begun, "experiment");
    TIC_TRY(read_json(v, "experiment.json", &file));
    json_t *asked = json_object_get(file, "precision");
    if (json_is_string(asked) && strcmp(json_string_value(asked), "auto") == 0)
        json_object_set(file, "precision", json_object_get(then, "precision"));
    const char *key = differs(file, then);
    tic_status status = TIC_OK;
    if (key != NULL)
        status = tic_broken(v, "experiment.json", "%s is not what the ledger says", key);
    json_decref(file);
    TIC_TRY(status);
    TIC_TRY(tic_session_path(&v->s, path, "experiment.json", v->err));
    TIC_TRY(tic_experiment_read(&v->x, path, v->err));
    /* The run may stand elsewhere by now, and its data too. */
    snprintf(v->x.out, sizeof v->x.out, "%s", v->options->run);
    if (v->options->data != NULL)
        snprintf(v->x.data, sizeof v->x.data, "%s", v->options->data);
    v->x.threads = v->options->threads;
    tic_claim(v, "experiment.json", "%zu settings, as the ledger has them", json_object_size(then));
    return TIC_OK;
}

/* Where two documents part: "methods/sequential/pairs_seen". */
static bool part(json_t *a, json_t *b, char *path, size_t size) {
    if (json_equal(a, b))
        return false;
    if (json_is_object(a) && json_is_object(b)) {
        const char *key = differs(a, b);
        const size_t used = strlen(path);
        snprintf(path + used, size - used, "%s%.60s", used > 0 ? "/" : "", key);
        part(json_object_get(a, key), json_object_get(b, key), path, size);
    }
    return true;
}

static size_t evaluations_from(const tic_ledger *ledger, size_t line) {
    size_t count = 0;
    for (; line < json_array_size(ledger->events); line++)
        count += strcmp(tic_json_string(json_array_get(ledger->events, line), "event"),
                        "evaluation") == 0;
    return count;
}

/* Results are written after each evaluation. Until the next one the ledger goes on alone, and a
 * process killed just then leaves one evaluation more there: what is checked is what follows from
 * the lines that the results name. */
static tic_status results_follow(const tic_verifying *v, json_t *file) {
    const json_t *end = json_object_get(file, "ledger");
    const json_int_t told = json_integer_value(json_object_get(end, "events"));
    const size_t lines = json_array_size(v->s.ledger.events);
    char where[300] = "";
    json_t *made;
    if (told < 1 || (size_t)told > lines)
        return tic_broken(v, "results.json",
                          "it does not name the ledger's lines it was made from");
    const size_t later = evaluations_from(&v->s.ledger, (size_t)told);
    if (later > 1)
        return tic_broken(v, "results.json", "%zu evaluations of the ledger are missing", later);
    TIC_TRY(tic_results_made_of(&v->s.ledger, (size_t)told, &made, v->err));
    const bool differ = part(file, made, where, sizeof where);
    json_decref(made);
    if (differ)
        return tic_broken(v, "results.json", "%s does not follow from the ledger", where);
    if ((size_t)told == lines)
        tic_claim(v, "results.json", "every number follows from the ledger");
    else
        tic_claim(v, "results.json",
                  "every number follows from the ledger's first %lld lines of %zu%s",
                  (long long)told, lines, later > 0 ? "; an evaluation came after them" : "");
    return TIC_OK;
}

tic_status tic_verify_results(tic_verifying *v) {
    json_t *file;
    char path[TIC_PATH];
    TIC_TRY(tic_session_path(&v->s, path, "results.json", v->err));
    if (!tic_file_exists(path)) {
        if (evaluations_from(&v->s.ledger, 0) > 0)
            return tic_broken(v, "results.json", "it is missing");
        tic_claim(v, "results.json", "none yet");
        return TIC_OK;
    }
    TIC_TRY(read_json(v, "results.json", &file));
    tic_status status = results_follow(v, file);
    json_decref(file);
    return status;
}

/* ---- files that the ledger has hashes of ----------------------------------------------------- */

static tic_status hash_is(const tic_verifying *v, const char *name, const char *path,
                          const char *then) {
    char hex[65];
    tic_error why = {TIC_OK, ""};
    if (tic_file_sha256(path, hex, &why) != TIC_OK)
        return tic_broken(v, name, "%.400s", why.text);
    if (then == NULL || strcmp(then, hex) != 0)
        return tic_broken(v, name, "%.400s has the hash %.12s, the ledger says %.12s", path, hex,
                          then != NULL ? then : "none");
    return TIC_OK;
}

tic_status tic_verify_file(const tic_verifying *v, const char *name, const char *file,
                           const char *hash) {
    char path[TIC_PATH];
    const char *then = json_string_value(json_object_get(v->begun, hash));
    TIC_TRY(tic_session_path(&v->s, path, file, v->err));
    TIC_TRY(hash_is(v, name, path, then));
    tic_claim(v, name, "%s is the one that the run was begun with", file);
    return TIC_OK;
}

tic_status tic_verify_checkpoint(const tic_verifying *v, const tic_item *item, const char *name) {
    char folder[TIC_PATH], path[TIC_PATH];
    const char *file;
    json_t *hash, *event = (json_t *)(uintptr_t)tic_item_ended(&v->s, item);
    json_t *files = json_object_get(event, "files");
    TIC_TRY(tic_item_folder(&v->s, item, folder, v->err));
    TIC_TRY(tic_path_join(path, sizeof path, folder, "open_clip_model.safetensors", v->err));
    TIC_TRY(hash_is(v, name, path, json_string_value(json_object_get(event, "weights"))));
    json_object_foreach(files, file, hash) {
        TIC_TRY(tic_path_join(path, sizeof path, folder, file, v->err));
        TIC_TRY(hash_is(v, name, path, json_string_value(hash)));
    }
    tic_claim(v, name, "the checkpoint's %zu files have the ledger's hashes",
              1 + json_object_size(files));
    return TIC_OK;
}

tic_status tic_verify_index(const tic_verifying *v) {
    char path[TIC_PATH];
    tic_error why = {TIC_OK, ""};
    TIC_TRY(tic_session_path(&v->s, path, "index.bin", v->err));
    if (v->x.index[0] != '\0' || !tic_file_exists(path))
        return TIC_OK;
    if (tic_index_check(path, &why) != TIC_OK)
        return tic_broken(v, "index.bin", "%.500s", why.text);
    tic_claim(v, "index.bin", "as it was saved");
    return TIC_OK;
}

tic_status tic_verify_boards(const tic_verifying *v, const tic_item *item, const char *name) {
    static const char *const ends[] = {"", ".eval"};
    char board[TIC_PATH], path[TIC_PATH];
    int files = 0, records = 0;
    TIC_TRY(tic_item_board(&v->s, item, board, v->err));
    for (int i = 0; i < 2; i++) {
        tic_error why = {TIC_OK, ""};
        int count;
        if ((size_t)snprintf(path, sizeof path, "%s%s", board, ends[i]) >= sizeof path ||
            !tic_file_exists(path))
            continue;
        if (tic_board_check(path, &count, &why) != TIC_OK)
            return tic_broken(v, name, "%.500s", why.text);
        files++;
        records += count;
    }
    if (files > 0)
        tic_claim(v, name, "TensorBoard's %d files: %d whole records", files, records);
    return TIC_OK;
}
