/* ticlip tune: which kernels are fastest on this machine for a model and batch. */
#include "cli/run_output.h"
#include "cli/tuned.h"
#include <math.h>
#include <string.h>

/* Tokens of a caption on the web, SOT and EOT included (docs/performance.md). */
enum { WEB_TOKENS = 20 };

typedef struct flags {
    tic_experiment x; /* model, batch, precision and threads are used */
    const char *plan, *explain, *against;
    int64_t tokens;
    double seconds;
} flags;

typedef struct listing { /* what is printed in the end */
    tic_table table;
    json_t *json; /* NULL: text */
    bool explain, against;
    int alike, differ,
        beyond; /* against: choices that are the same, are not, and by more than 2 % */
    double logs, least, most; /* of the ratios */
} listing;

static tic_status parse(const tic_verb *verb, int argc, char **argv, flags *f, tic_args *args,
                        tic_error *err) {
    static const char *const shared[] = {"model", "batch", "precision", "threads"};
    enum { SHARED = sizeof shared / sizeof shared[0], OWN = 5 };
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
         .out = &f->explain},
        {.name = "against",
         .value = "FILE",
         .help = "measure this other plan's choices and those of --plan in turns, tell how long "
                 "they take, and write nothing",
         .type = TIC_FLAG_TEXT,
         .out = &f->against}};
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

/* How long the other plan's choice takes, as a multiple. */
static tic_status each_ratio(listing *l, const tic_tuned *t, tic_error *err) {
    const double ratio = 1 / (1 + t->gain);
    if (t->count < 2) {
        l->alike++;
    } else {
        l->least = l->differ == 0 || ratio < l->least ? ratio : l->least;
        l->most = l->differ == 0 || ratio > l->most ? ratio : l->most;
        l->logs += log(ratio);
        l->differ++;
        l->beyond += ratio > 1.02 || ratio < 1 / 1.02;
    }
    if (l->json != NULL) {
        json_t *row =
            json_pack("{s:s, s:s, s:s, s:s, s:f, s:i, s:i}", "key", t->key, "name", t->name, "plan",
                      t->candidates[0].line, "against", t->candidates[t->count - 1].line, "ratio",
                      ratio, "turns", t->turns, "ahead", t->ahead);
        return json_array_append_new(l->json, row) == 0 ? TIC_OK
                                                        : tic_fail(err, TIC_ERESOURCE, "no memory");
    }
    if (t->count == 2)
        tic_table_row(&l->table, "%s\t%s\t%s\t%s\t%.3fx", t->name, tic_key_shape(t->key),
                      t->candidates[0].line, t->candidates[1].line, ratio);
    return TIC_OK;
}

static tic_status each(void *user, const tic_tuned *t, tic_error *err) {
    listing *l = user;
    char gain[32] = "", reached[32];
    if (l->against)
        return each_ratio(l, t, err);
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

static tic_status print_ratios(listing *l, const tic_tuner *tuner, const char *fingerprint,
                               tic_dtype precision, tic_error *err) {
    const double mean = l->differ > 0 ? exp(l->logs / l->differ) : 1;
    if (l->json != NULL)
        return tic_cli_json(
            json_pack("{s:s, s:s, s:s, s:s, s:i, s:i, s:i, s:f, s:f, s:o}", "machine", fingerprint,
                      "precision", tic_dtype_name(precision), "plan", tuner->path, "against",
                      tuner->rival, "alike", l->alike, "differ", l->differ, "beyond_2_percent",
                      l->beyond, "mean_ratio", mean, "seconds", tuner->took, "problems", l->json),
            err);
    TIC_TRY(tic_table_end(&l->table, stdout, err));
    printf("\n%d problems: %d have the same choice in both plans", tuner->keys, l->alike);
    if (l->differ > 0)
        printf(
            "; for the other %d those of %s take %.3fx as long (geometric mean; %.3fx to %.3fx), "
            "%d of them more than 2 %% apart",
            l->differ, tuner->rival, mean, l->least, l->most, l->beyond);
    puts("");
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
    printf("\n%d problems in %s: %d changed. Kept in %s\n", tuner->keys,
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
    listing l = {.json = json ? json_array() : NULL,
                 .explain = f->explain != NULL,
                 .against = f->against != NULL};
    tic_tuner tuner = {.threads = (int)f->x.threads,
                       .seconds = f->seconds,
                       .again = true,
                       .discard = f->explain != NULL,
                       .only = f->explain,
                       .rival = f->against,
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
    if (l.against && !json)
        tic_table_begin(&l.table, "<problem\t<shape\t<plan\t<against\t>takes");
    else if (!l.explain && !json)
        tic_table_begin(&l.table, "<problem\t<shape\t<so far\t<winner\t>gain\t>ms\t>share of peak");
    tic_status status = tic_cli_tune(&tuner, &config, &options, tokens, err);
    if (status == TIC_OK && tuner.keys == 0)
        status = tic_fail(err, TIC_EUSAGE, "no problem of this model is called \"%s\"", f->explain);
    if (status != TIC_OK) {
        tic_free(l.table.text);
        json_decref(l.json);
        return status;
    }
    return l.against ? print_ratios(&l, &tuner, fingerprint, precision, err)
                     : print_end(&l, &tuner, fingerprint, precision, err);
}

tic_status tic_verb_tune(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    flags f = {.plan = NULL};
    tic_args args;
    TIC_TRY(parse(verb, argc, argv, &f, &args, err));
    if (args.help)
        return TIC_OK;
    if (f.explain != NULL && f.against != NULL)
        return tic_fail(err, TIC_EUSAGE, "tune: --explain and --against exclude each other");
    tic_cli_catch_signals();
    return tune(&f, args.json, err);
}
