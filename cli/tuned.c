/* This machine's plan file: where it is, how it is filled, what the terminal shows meanwhile. */
#include "cli/tuned.h"
#include <stdarg.h>
#include <string.h>

tic_status tic_cli_plan_path(char out[TIC_PATH], const char *given, int threads, tic_error *err) {
    char folder[TIC_PATH];
    tic_ctx *ctx;
    if (given != NULL && strlen(given) >= TIC_PATH)
        return tic_fail(err, TIC_EUSAGE, "--plan: the path is too long");
    if (given != NULL) {
        strcpy(out, given);
        return TIC_OK;
    }
    TIC_TRY(tic_cli_cache_folder(folder, sizeof folder, "--plan", err));
    TIC_TRY(tic_ctx_new(&ctx, &(tic_ctx_options){.threads = threads}, err));
    tic_status status = tic_plan_path(out, TIC_PATH, folder, ctx, err);
    tic_ctx_free(ctx);
    return status;
}

/* ---- while it runs -------------------------------------------------------------------------- */

static void on_progress(void *user, const tic_tune_progress *p) {
    char left[32];
    (void)user;
    if (p->left > 0)
        tic_progress_show("tuning %d of %d: %s, %d candidate%s left | about %s left", p->key + 1,
                          p->keys, p->name, p->left, p->left == 1 ? "" : "s",
                          tic_duration(left, p->seconds_left));
    else
        tic_progress_show("tuning %d of %d: %s, checking candidates | about %s left", p->key + 1,
                          p->keys, p->name, tic_duration(left, p->seconds_left));
}

static void on_done(void *user, const tic_tuned *tuned) {
    tic_tuner *tuner = user;
    tuner->keys++;
    tuner->left += tuned->winner != 0;
    if (tuner->each != NULL && tuner->failed.status == TIC_OK)
        tuner->each(tuner->user, tuned, &tuner->failed);
}

static bool on_stop(void *user) {
    const tic_tuner *tuner = user;
    return tuner->failed.status != TIC_OK || tic_cli_stopped(NULL);
}

/* ---- the file ------------------------------------------------------------------------------- */

typedef struct plans {
    tic_plan *base, *known, *fresh; /* shipped; the file's lines; what is measured now */
    tic_plan *rival;                /* to measure against, or NULL; `base` has the file's lines */
    char fingerprint[TIC_FINGERPRINT_TEXT];
} plans;

static void free_plans(plans *p) {
    tic_plan_free(p->base);
    tic_plan_free(p->known);
    tic_plan_free(p->fresh);
    tic_plan_free(p->rival);
}

/* What is shipped, and the lines of a plan file, which must be there and fit. */
static tic_status whole_plan(tic_plan **out, const char *path, const tic_ctx_options *options,
                             tic_error *err) {
    tic_plan_source source;
    if (!tic_file_exists(path))
        return tic_fail(err, TIC_EINPUT, "%s: there is no such plan", path);
    TIC_TRY(tic_plan_choose(out, path, options, &source, err));
    if (source.refused[0] != '\0')
        return tic_fail(err, TIC_EINPUT, "refused the plan %s", source.refused);
    return TIC_OK;
}

static tic_status open_plans(const tic_tuner *tuner, plans *p, tic_error *err) {
    const tic_ctx_options options = {.threads = tuner->threads};
    tic_plan_source source;
    tic_error refused = {TIC_OK, ""};
    tic_ctx *ctx;
    TIC_TRY(tic_ctx_new(&ctx, &options, err));
    tic_fingerprint(ctx, p->fingerprint);
    tic_ctx_free(ctx);
    TIC_TRY(tic_plan_new(&p->fresh, err));
    if (tuner->rival != NULL) {
        TIC_TRY(whole_plan(&p->base, tuner->path, &options, err));
        return whole_plan(&p->rival, tuner->rival, &options, err);
    }
    TIC_TRY(tic_plan_choose(&p->base, NULL, &options, &source, err));
    if (tic_file_exists(tuner->path) &&
        tic_plan_load(&p->known, tuner->path, p->fingerprint, &refused) != TIC_OK &&
        !tuner->discard)
        tic_progress_note("refused the plan %s; tuning anew", refused.text);
    return p->known != NULL ? TIC_OK : tic_plan_new(&p->known, err);
}

static tic_status copy_lines(tic_plan *to, const tic_plan *from, tic_error *err) {
    for (int i = 0; i < tic_plan_lines(from); i++)
        TIC_TRY(tic_plan_add(to, tic_plan_line(from, i), err));
    return TIC_OK;
}

static tic_status measure(tic_tuner *tuner, plans *p, const tic_problems *problems,
                          tic_dtype precision, tic_error *err) {
    const tic_tune_options options = {.precision = precision,
                                      .threads = tuner->threads,
                                      .base = p->base,
                                      .rival = p->rival,
                                      .seconds = tuner->seconds,
                                      .only = tuner->only,
                                      .progress = on_progress,
                                      .done = on_done,
                                      .stop = on_stop,
                                      .user = tuner};
    if (!tuner->again)
        TIC_TRY(copy_lines(p->fresh, p->known, err));
    else if (!tuner->discard && tuner->rival == NULL) /* what was found is what must be beaten */
        TIC_TRY(copy_lines(p->base, p->known, err));
    tic_status status = tic_tune(p->fresh, problems->list, (int)problems->count, &options, err);
    if (tuner->failed.status != TIC_OK)
        return tic_fail(err, tuner->failed.status, "%s", tuner->failed.text);
    if (tuner->discard || tuner->rival != NULL || tuner->keys == 0 ||
        (status != TIC_OK && status != TIC_EINTERRUPTED))
        return status;
    TIC_TRY(copy_lines(p->known, p->fresh, err));
    TIC_TRY(tic_plan_save(p->known, p->fingerprint, tuner->path, err));
    return status;
}

tic_status tic_cli_tune(tic_tuner *tuner, const tic_config *config,
                        const tic_model_options *options, int tokens, tic_error *err) {
    plans p = {.base = NULL};
    tic_problems problems;
    const double began = tic_now();
    TIC_TRY(tic_model_problems(&problems, config, options, tokens, err));
    tic_status status = open_plans(tuner, &p, err);
    if (status == TIC_OK)
        status = measure(tuner, &p, &problems, options->precision, err);
    free_plans(&p);
    tic_problems_free(&problems);
    tic_progress_end();
    tuner->took = tic_now() - began;
    return status;
}

/* ---- run and train --------------------------------------------------------------------------- */

void tic_cli_plan_flags(tic_flag rows[TIC_PLAN_FLAGS], tic_plan_flags *values) {
    *values = (tic_plan_flags){.plan = NULL};
    rows[0] = (tic_flag){.name = "plan",
                         .value = "FILE",
                         .help = "the plan of kernels that a new run takes (default: this "
                                 "machine's, see `ticlip tune`)",
                         .type = TIC_FLAG_TEXT,
                         .out = &values->plan};
    rows[1] = (tic_flag){.name = "no-tune",
                         .help = "measure no kernels before a new run",
                         .type = TIC_FLAG_SWITCH,
                         .out = &values->no_tune};
}

/* A model whose step takes long repays more: eight seconds for the demonstration's. */
static double worth(const tic_config *config, int64_t batch) {
    const double seconds = 3e-10 * (double)tic_nominal_train(config) * (double)batch;
    return seconds < 3 ? 3 : seconds > 30 ? 30 : seconds;
}

static tic_status tune_for_run(void *user, const tic_config *config,
                               const tic_model_options *options, int tokens, tic_error *err) {
    tic_tuner *tuner = user;
    char took[32];
    tuner->keys = tuner->left = 0;
    tuner->seconds = worth(config, options->batch);
    TIC_TRY(tic_cli_tune(tuner, config, options, tokens, err));
    if (tuner->keys > 0)
        tic_progress_note(
            "tuned %d kernel problems of %s, batch %lld, %s in %s: %d faster than the "
            "default; kept in %s",
            tuner->keys, config->name, (long long)options->batch,
            tic_dtype_name(options->precision), tic_duration(took, tuner->took), tuner->left,
            tuner->path);
    return TIC_OK;
}

tic_status tic_cli_use_plan(tic_experiment *experiment, const tic_plan_flags *values, bool dry,
                            tic_hooks *hooks, tic_tuner *tuner, tic_error *err) {
    tic_error none;
    *tuner = (tic_tuner){.threads = (int)experiment->threads};
    if (values->plan != NULL && !tic_file_exists(values->plan))
        return tic_fail(err, TIC_EINPUT, "%s: there is no such plan", values->plan);
    if (tic_cli_plan_path(tuner->path, values->plan, tuner->threads, &none) != TIC_OK) {
        if (values->plan != NULL)
            return tic_fail(err, none.status, "%s", none.text);
        tic_progress_note("no place for this machine's plan (%s): the shipped kernels run",
                          none.text);
        return TIC_OK;
    }
    strcpy(experiment->plan, tuner->path);
    if (values->plan != NULL || values->no_tune || dry)
        return TIC_OK;
    hooks->tune = tune_for_run;
    hooks->user = tuner;
    return TIC_OK;
}
