/* ticlip tune: which kernels are fastest on this machine for a model and batch. */
#include "cli/run_output.h"
#include "cli/tuned.h"
#include <string.h>

/* Tokens of a caption on the web, SOT and EOT included (docs/performance.md). */
enum { WEB_TOKENS = 20 };

typedef struct flags {
    tic_experiment x; /* model, batch, precision and threads are used */
    const char *plan, *explain;
    int64_t tokens;
    double seconds;
} flags;

typedef struct listing { /* what is printed in the end */
    tic_table table;
    json_t *json; /* NULL: text */
    bool explain;
} listing;

static tic_status parse(const tic_verb *verb, int argc, char **argv, flags *f, tic_args *args,
                        tic_error *err) {
    static const char *const shared[] = {"model", "batch", "precision", "threads"};
    enum { SHARED = sizeof shared / sizeof shared[0], OWN = 4 };
    tic_flag rows[SHARED + OWN];
    tic_experiment_defaults(&f->x);
    f->seconds = 45;
    for (int i = 0; i < SHARED; i++)
        TIC_TRY(tic_cli_setting_flag(&rows[i], shared[i], &f->x, err));
    const tic_flag own[OWN] = {
        {.name = "tokens",
         .value = "N",
         .help = "mean length of a caption (default: 20, at most the model's context)",
         .type = TIC_FLAG_INT,
         .out = &f->tokens,
         .min = 1,
         .max = 1024},
        {.name = "plan",
         .value = "FILE",
         .help = "the plan to write (default: this machine's, in the cache folder)",
         .type = TIC_FLAG_TEXT,
         .out = &f->plan},
        {.name = "seconds",
         .value = "X",
         .help = "time to spend; the less, the fewer candidates are tried",
         .fallback = "45",
         .type = TIC_FLAG_REAL,
         .out = &f->seconds,
         .min = 0.1,
         .max = 86400},
        {.name = "explain",
         .value = "PROBLEM",
         .help =
             "measure only this one (a plan's key, or a part of a name such as \"vision qkv\"), "
             "print all its candidates and why each lost, and write nothing",
         .type = TIC_FLAG_TEXT,
         .out = &f->explain}};
    memcpy(rows + SHARED, own, sizeof own);
    return tic_cli_parse(verb, rows, SHARED + OWN, argc, argv, args, err);
}

static tic_status settle_precision(const flags *f, tic_dtype *out, tic_error *err) {
    tic_calibration rates;
    tic_plan_source source;
    tic_plan *plan;
    tic_ctx *ctx = NULL;
    *out = f->x.precision == TIC_PRECISION_BF16 ? TIC_BF16 : TIC_F32;
    if (f->x.precision != TIC_PRECISION_AUTO)
        return TIC_OK;
    tic_ctx_options options = {.threads = (int)f->x.threads};
    TIC_TRY(tic_plan_choose(&plan, NULL, &options, &source, err));
    options.plan = plan;
    tic_status status = tic_ctx_new(&ctx, &options, err);
    if (status == TIC_OK)
        status = tic_calibrate(ctx, &rates, err);
    if (status == TIC_OK)
        *out = tic_precision_auto(&rates);
    tic_ctx_free(ctx);
    tic_plan_free(plan);
    return status;
}

/* ---- what it found -------------------------------------------------------------------------- */

static tic_status each(void *user, const tic_tuned *t, tic_error *err) {
    listing *l = user;
    char gain[32] = "", reached[32];
    if (l->json != NULL) {
        json_array_append_new(l->json, tic_cli_tuned_json(t, l->explain));
        return TIC_OK;
    }
    if (l->explain)
        return tic_cli_explain(t, err);
    if (t->winner != 0)
        snprintf(gain, sizeof gain, "%+.1f %%", 100 * t->gain);
    tic_table_row(&l->table, "%s\t%s\t%s\t%s\t%s\t%.3f\t%s", t->name, tic_key_shape(t->key),
                  t->candidates[0].line,
                  t->winner != 0 ? t->candidates[t->winner].line : "it stays", gain,
                  1e3 * t->seconds, tic_cli_reached(reached, t, t->seconds));
    return TIC_OK;
}

static tic_status print_end(listing *l, const tic_tuner *tuner, const char *fingerprint,
                            tic_dtype precision, tic_error *err) {
    char took[32];
    if (l->json != NULL)
        return tic_cli_json(json_pack("{s:s, s:s, s:s, s:f, s:i, s:o}", "machine", fingerprint,
                                      "precision", tic_dtype_name(precision), "plan", tuner->path,
                                      "seconds", tuner->took, "left_default", tuner->left,
                                      "problems", l->json),
                            err);
    if (l->explain)
        return TIC_OK;
    TIC_TRY(tic_table_end(&l->table, stdout, err));
    printf("\n%d problems in %s: %d left the default. Kept in %s\n", tuner->keys,
           tic_duration(took, tuner->took), tuner->left, tuner->path);
    return TIC_OK;
}

/* ---- the verb ------------------------------------------------------------------------------- */

static tic_status fingerprint_of(int threads, char text[TIC_FINGERPRINT_TEXT], tic_error *err) {
    tic_ctx *ctx;
    TIC_TRY(tic_ctx_new(&ctx, &(tic_ctx_options){.threads = threads}, err));
    tic_fingerprint(ctx, text);
    tic_ctx_free(ctx);
    return TIC_OK;
}

static tic_status tune(const flags *f, bool json, tic_error *err) {
    tic_config config;
    tic_dtype precision;
    char fingerprint[TIC_FINGERPRINT_TEXT];
    listing l = {.json = json ? json_array() : NULL, .explain = f->explain != NULL};
    tic_tuner tuner = {.threads = (int)f->x.threads,
                       .seconds = f->seconds,
                       .again = true,
                       .discard = f->explain != NULL,
                       .only = f->explain,
                       .each = each,
                       .user = &l};
    TIC_TRY(tic_config_find(&config, f->x.model, err));
    TIC_TRY(tic_cli_plan_path(tuner.path, f->plan, tuner.threads, err));
    TIC_TRY(fingerprint_of(tuner.threads, fingerprint, err));
    TIC_TRY(settle_precision(f, &precision, err));
    const tic_model_options options = {.batch = f->x.batch, .precision = precision, .train = true};
    int tokens = f->tokens > 0 ? (int)f->tokens : WEB_TOKENS;
    tokens = tokens < config.context_length ? tokens : config.context_length;
    tic_progress_note("%s, batch %lld, %s, captions of %d tokens, on %s", config.name,
                      (long long)options.batch, tic_dtype_name(precision), tokens, fingerprint);
    if (!l.explain && !json)
        tic_table_begin(&l.table,
                        "<problem\t<shape\t<default\t<winner\t>gain\t>ms\t>share of peak");
    tic_status status = tic_cli_tune(&tuner, &config, &options, tokens, err);
    if (status == TIC_OK && tuner.keys == 0)
        return tic_fail(err, TIC_EUSAGE, "no problem of this model is called \"%s\"", f->explain);
    return status == TIC_OK ? print_end(&l, &tuner, fingerprint, precision, err) : status;
}

tic_status tic_verb_tune(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    flags f = {.plan = NULL};
    tic_args args;
    TIC_TRY(parse(verb, argc, argv, &f, &args, err));
    if (args.help)
        return TIC_OK;
    tic_cli_catch_signals();
    return tune(&f, args.json, err);
}
