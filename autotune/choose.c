/* Which plan a run begins with: this machine's own, laid over what was shipped for its family, its
 * instruction sets, or any machine. */
#include "autotune/room.h"

#include <stdio.h>
#include <string.h>

/* ---- shipped plans -------------------------------------------------------------------------- */

bool tic_shipped_fits(const tic_shipped *shipped, const tic_cpu *cpu, unsigned isa) {
    if (shipped->isa & ~isa)
        return false;
    if (shipped->vendor[0] == '\0')
        return true;
    if (strcmp(shipped->vendor, cpu->vendor) != 0)
        return false;
    if (shipped->family < 0)
        return true;
    for (int i = 0; i < TIC_SHIPPED_MODELS && shipped->models[i].last > 0; i++)
        if (shipped->family == cpu->family && cpu->model >= shipped->models[i].first &&
            cpu->model <= shipped->models[i].last)
            return true;
    return false;
}

static tic_status add_lines(tic_plan *plan, const tic_shipped *shipped, tic_error *err) {
    for (int i = 0; shipped->lines[i] != NULL; i++)
        TIC_TRY(tic_plan_add(plan, shipped->lines[i], err));
    return TIC_OK;
}

/* Whether a context would take the plan: a line may name what this build lacks. */
static tic_status try_plan(const tic_plan *plan, const tic_ctx_options *options, tic_error *err) {
    tic_ctx_options with = *options;
    tic_ctx *ctx;
    with.plan = plan;
    tic_status status = tic_ctx_new(&ctx, &with, err);
    tic_ctx_free(ctx);
    return status;
}

/* The first that fits and runs; the last, portable, has no needs. */
static tic_status take_shipped(tic_plan **out, const tic_ctx_options *options, const tic_ctx *ctx,
                               tic_plan_source *source, tic_error *err) {
    for (int i = 0; i < tic_shipped_count; i++) {
        const tic_shipped *shipped = &tic_shipped_plans[i];
        if (!tic_shipped_fits(shipped, tic_cpu_get(), tic_ctx_isa(ctx)))
            continue;
        TIC_TRY(tic_plan_new(out, err));
        tic_status status = add_lines(*out, shipped, err);
        if (status == TIC_OK)
            status = try_plan(*out, options, err);
        if (status == TIC_OK) {
            snprintf(source->shipped, sizeof source->shipped, "%s", shipped->name);
            snprintf(source->origin, sizeof source->origin, "%s", shipped->origin);
            return TIC_OK;
        }
        tic_plan_free(*out);
        *out = NULL;
        if (status != TIC_EUSAGE && status != TIC_EINPUT) /* a variant that this build lacks */
            return status;
    }
    return tic_fail(err, TIC_EINTERNAL, "no shipped plan fits this machine");
}

/* ---- this machine's ------------------------------------------------------------------------- */

/* Its lines over the shipped ones; whatever is wrong with it is source->refused, and nothing of it
 * is taken. */
static tic_status lay_over(tic_plan *plan, const char *path, const tic_ctx_options *options,
                           const tic_ctx *ctx, tic_plan_source *source, tic_error *err) {
    char fingerprint[TIC_FINGERPRINT_TEXT];
    tic_error refused = {TIC_OK, ""};
    tic_plan *own;
    tic_fingerprint(ctx, fingerprint);
    tic_status status = tic_plan_load(&own, path, fingerprint, &refused);
    if (status == TIC_OK)
        status = try_plan(own, options, &refused);
    if (status == TIC_EINPUT || status == TIC_EUSAGE) {
        snprintf(source->refused, sizeof source->refused, "%s", refused.text);
        tic_plan_free(own);
        return TIC_OK;
    }
    if (status != TIC_OK) {
        tic_plan_free(own);
        return tic_fail(err, status, "%s", refused.text);
    }
    for (int i = 0; i < tic_plan_lines(own) && status == TIC_OK; i++)
        status = tic_plan_add(plan, tic_plan_line(own, i), err);
    source->tuned = tic_plan_lines(own);
    tic_plan_free(own);
    return status;
}

tic_status tic_plan_choose(tic_plan **out, const char *path, const tic_ctx_options *options,
                           tic_plan_source *source, tic_error *err) {
    tic_ctx_options plain = {.threads = options->threads, .isa_limit = options->isa_limit};
    tic_ctx *ctx;
    *out = NULL;
    *source = (tic_plan_source){.tuned = 0};
    TIC_TRY(tic_ctx_new(&ctx, &plain, err));
    tic_status status = take_shipped(out, &plain, ctx, source, err);
    if (status == TIC_OK && path != NULL && path[0] != '\0' && tic_file_exists(path))
        status = lay_over(*out, path, &plain, ctx, source, err);
    tic_ctx_free(ctx);
    if (status == TIC_OK)
        return TIC_OK;
    tic_plan_free(*out);
    *out = NULL;
    return status;
}
