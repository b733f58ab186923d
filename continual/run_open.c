/* Opening a run's folder in three parts: a look at what is there, which changes nothing; the
 * choices that a new run makes and a begun one has made; and the first line that this process
 * writes. One that was begun must have the same settings and the same data. */
#include "run.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static json_t *machine_json(const tic_session *s) {
    char fingerprint[TIC_FINGERPRINT_TEXT];
    const tic_cpu *cpu = tic_cpu_get();
    tic_fingerprint(s->ctx, fingerprint);
    const char *pmu = tic_papi_pmu();
    return json_pack("{s:s, s:s, s:i, s:i, s:s, s:s, s:s}", "cpu", cpu->brand, "isa",
                     tic_isa_name(tic_ctx_isa(s->ctx)), "cores", cpu->cores, "threads",
                     tic_ctx_threads(s->ctx), "fingerprint", fingerprint, "ticlip", TIC_VERSION,
                     "pmu", pmu != NULL ? pmu : "PMU: available");
}

/* The settings, with the precision that `auto` became. */
static json_t *experiment_json(const tic_session *s, tic_error *err) {
    char *text;
    if (tic_experiment_json(s->x, &text, err) != TIC_OK)
        return NULL;
    json_t *experiment = json_loads(text, 0, NULL);
    tic_free(text);
    json_object_set_new(experiment, "precision", json_string(tic_dtype_name(s->precision)));
    return experiment;
}

static void id_hex(tic_id id, char text[33]) {
    snprintf(text, 33, "%016llx%016llx", (unsigned long long)id.hi, (unsigned long long)id.lo);
}

tic_status tic_file_sha256(const char *path, char hex[65], tic_error *err) {
    unsigned char block[1 << 16];
    tic_sha256 hash;
    uint8_t digest[32];
    size_t got;
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        return tic_fail(err, TIC_EINPUT, "%s: cannot be read", path);
    tic_sha256_init(&hash);
    while ((got = fread(block, 1, sizeof block, file)) > 0)
        tic_sha256_add(&hash, block, got);
    bool failed = ferror(file) != 0;
    fclose(file);
    if (failed)
        return tic_fail(err, TIC_EINPUT, "%s: cannot be read", path);
    tic_sha256_end(&hash, digest);
    tic_sha256_hex(digest, hex);
    return TIC_OK;
}

/* ---- a new run ----------------------------------------------------------------------------- */

static tic_status write_experiment(const tic_session *s, tic_error *err) {
    char path[TIC_PATH], *text;
    TIC_TRY(tic_session_path(s, path, "experiment.json", err));
    TIC_TRY(tic_experiment_json(s->x, &text, err));
    tic_status status = tic_file_write(path, text, strlen(text), err);
    tic_free(text);
    return status;
}

static tic_status write_plan(const tic_session *s, const char *path, tic_error *err) {
    char fingerprint[TIC_FINGERPRINT_TEXT];
    tic_fingerprint(s->ctx, fingerprint);
    return tic_plan_save(s->plan, fingerprint, path, err);
}

static json_t *steps_json(const tic_session *s) {
    json_t *list = json_array();
    for (int i = 0; i < s->steps.count; i++)
        json_array_append_new(list, json_string(s->steps.step[i].name));
    return list;
}

static tic_status write_begin(tic_session *s, const char *vocab, const char *plan, tic_error *err) {
    char data[33], vocab_hash[65], plan_hash[65];
    json_t *experiment = experiment_json(s, err);
    if (experiment == NULL)
        return tic_fail(err, TIC_ERESOURCE, "no memory for the experiment's json");
    id_hex(tic_index_hash(s->index), data);
    tic_status status = tic_file_sha256(vocab, vocab_hash, err);
    if (status == TIC_OK)
        status = tic_file_sha256(plan, plan_hash, err);
    if (status != TIC_OK) {
        json_decref(experiment);
        return status;
    }
    return tic_ledger_add(
        &s->ledger,
        json_pack("{s:s, s:b, s:s, s:I, s:s, s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "event", "begin",
                  "one_step", (int)s->one_step, "data", data, "data_pairs",
                  (json_int_t)tic_index_size(s->index), "vocab", vocab_hash, "plan", plan_hash,
                  "precision", tic_dtype_name(s->precision), "micro_batch",
                  (json_int_t)s->micro_batch, "nominal_train",
                  (json_int_t)tic_nominal_train(&s->config), "steps", steps_json(s), "machine",
                  machine_json(s), "experiment", experiment),
        err);
}

/* The hook tunes the machine for this model; the context goes on with what it wrote. */
static tic_status tune(tic_session *s, tic_error *err) {
    const tic_model_options options = {.batch = s->x->batch,
                                       .micro_batch = s->micro_batch,
                                       .precision = s->precision,
                                       .train = true};
    const int most = s->config.context_length;
    double tokens;
    if (s->hooks == NULL || s->hooks->tune == NULL)
        return TIC_OK;
    TIC_TRY(tic_mean_tokens(s, &tokens, err));
    const int whole = (int)(tokens + 0.5);
    TIC_TRY(s->hooks->tune(s->hooks->user, &s->config, &options,
                           whole < 1      ? 1
                           : whole > most ? most
                                          : whole,
                           err));
    tic_ctx_free(s->ctx);
    tic_plan_free(s->plan);
    s->ctx = NULL;
    s->plan = NULL;
    return tic_session_context(s, NULL, err);
}

/* What belongs to the run is written before the ledger's first line says that it exists. */
static tic_status begin(tic_session *s, const char *vocab, const char *plan, tic_error *err) {
    TIC_TRY(tic_vocab_save(s->vocab, vocab, err));
    TIC_TRY(write_plan(s, plan, err));
    TIC_TRY(write_experiment(s, err));
    if (s->source.refused[0] != '\0')
        tic_note(s->hooks, "refused the plan %s; the kernels are those shipped for %s (%s)",
                 s->source.refused, s->source.shipped, s->source.origin);
    return write_begin(s, vocab, plan, err);
}

/* ---- a run that was begun ------------------------------------------------------------------ */

static tic_status same_settings(const tic_session *s, tic_error *err) {
    char path[TIC_PATH];
    tic_experiment old;
    TIC_TRY(tic_session_path(s, path, "experiment.json", err));
    tic_experiment_defaults(&old);
    TIC_TRY(tic_experiment_read(&old, path, err));
    const char *name = tic_experiment_differs(&old, s->x);
    if (name != NULL)
        return tic_fail(err, TIC_EINPUT,
                        "%s: this run was begun with another %s; give the same settings or another "
                        "--out",
                        path, name);
    return TIC_OK;
}

static tic_status same_hash(const json_t *begin, const char *key, const char *path, const char *now,
                            const char *advice, tic_error *err) {
    const char *then = json_string_value(json_object_get(begin, key));
    if (then != NULL && strcmp(then, now) == 0)
        return TIC_OK;
    return tic_fail(err, TIC_EINPUT,
                    "%s: changed since the run was begun (its %s had hash %.12s, now "
                    "%.12s); %s",
                    path, key, then != NULL ? then : "none", now, advice);
}

static tic_status same_files(const tic_session *s, const json_t *begin, const char *vocab,
                             const char *plan, tic_error *err) {
    char hash[65];
    id_hex(tic_index_hash(s->index), hash);
    TIC_TRY(same_hash(begin, "data", s->x->data, hash,
                      "bring back the old shards or begin another run", err));
    TIC_TRY(tic_file_sha256(vocab, hash, err));
    TIC_TRY(same_hash(begin, "vocab", vocab, hash, "bring back the run's own file", err));
    TIC_TRY(tic_file_sha256(plan, hash, err));
    return same_hash(begin, "plan", plan, hash, "bring back the run's own file", err);
}

/* A budget belongs to one step or to all: a folder is for one of the two. */
static tic_status same_kind(const tic_session *s, const json_t *begun, tic_error *err) {
    if (json_is_true(json_object_get(begun, "one_step")) == s->one_step)
        return TIC_OK;
    return tic_fail(err, TIC_EINPUT, "%s: this folder holds %s; give another --out", s->x->out,
                    s->one_step ? "a run of all steps, not of one"
                                : "the training of one step, not a run of all");
}

static tic_status take_settled(tic_session *s, const json_t *begun, const char *vocab,
                               const char *plan, tic_error *err) {
    const char *precision = json_string_value(json_object_get(begun, "precision"));
    TIC_TRY(same_files(s, begun, vocab, plan, err));
    TIC_TRY(tic_session_vocab(s, vocab, err));
    TIC_TRY(tic_session_context(s, plan, err));
    s->precision = precision != NULL && strcmp(precision, "bf16") == 0 ? TIC_BF16 : TIC_F32;
    s->micro_batch = json_integer_value(json_object_get(begun, "micro_batch"));
    return TIC_OK;
}

/* ---- the three parts ----------------------------------------------------------------------- */

static const json_t *begun_run(const tic_session *s) {
    return tic_ledger_find(&s->ledger, "begin", NULL, NULL);
}

/* Settings are compared before the data are read, which may take long. */
tic_status tic_run_look(tic_session *s, tic_error *err) {
    char ledger[TIC_PATH], results[TIC_PATH];
    TIC_TRY(tic_session_path(s, ledger, "ledger.jsonl", err));
    TIC_TRY(tic_session_path(s, results, "results.json", err));
    TIC_TRY(tic_ledger_open(&s->ledger, ledger, err));
    TIC_TRY(tic_results_check(&s->ledger, results, err));
    if (begun_run(s) != NULL) {
        TIC_TRY(same_kind(s, begun_run(s), err));
        TIC_TRY(same_settings(s, err));
    }
    TIC_TRY(tic_config_find(&s->config, s->x->model, err));
    return tic_session_data(s, err);
}

tic_status tic_run_settle(tic_session *s, tic_error *err) {
    char vocab[TIC_PATH], plan[TIC_PATH];
    TIC_TRY(tic_session_path(s, vocab, "vocab.txt.gz", err));
    TIC_TRY(tic_session_path(s, plan, "plan.txt", err));
    if (begun_run(s) != NULL)
        return take_settled(s, begun_run(s), vocab, plan, err);
    TIC_TRY(tic_session_vocab(s, NULL, err));
    TIC_TRY(tic_session_context(s, NULL, err));
    TIC_TRY(tic_session_precision(s, err));
    TIC_TRY(tic_session_micro_batch(s, err));
    return tune(s, err);
}

tic_status tic_run_open(tic_session *s, tic_error *err) {
    char vocab[TIC_PATH], plan[TIC_PATH];
    TIC_TRY(tic_session_path(s, vocab, "vocab.txt.gz", err));
    TIC_TRY(tic_session_path(s, plan, "plan.txt", err));
    tic_session_pmu(s);
    if (begun_run(s) == NULL)
        TIC_TRY(begin(s, vocab, plan, err));
    else
        TIC_TRY(tic_ledger_add(
            &s->ledger, json_pack("{s:s, s:o}", "event", "resume", "machine", machine_json(s)),
            err));
    return tic_session_model(s, true, err);
}
