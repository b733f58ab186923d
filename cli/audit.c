/* ticlip audit: proves the MAC counters, kernel by kernel. */
#include "cli/cli.h"
#include <stdlib.h>
#include <string.h>

typedef struct request {
    const char *model, *plan, *only, *variant;
    int64_t batch, tokens, processes;
    int precision, isa;
    double seconds;
    bool all;
} request;

static const unsigned isa_limits[] = {0, TIC_ISA_LIMIT_PORTABLE, TIC_ISA_AVX2, TIC_ISA_AVX512,
                                      TIC_ISA_AVX512_BF16};

static void row_done(void *user, const tic_audit_row *row, int i, int count) {
    (void)user;
    tic_progress_work(NULL, "kernels proven", (uint64_t)i + 1, (uint64_t)count);
    if (!row->holds)
        tic_progress_note("audit: %s", row->why);
}

/* ---- problems -------------------------------------------------------------------------------- */

/* What a step does beside the calls that tic_model_problems lists. */
static tic_status add_elementwise(tic_problems *problems, const tic_config *c, const request *r,
                                  tic_error *err) {
    const tic_problem more[] = {
        {.name = "vision patchify",
         .op = TIC_OP_PATCHIFY,
         .m = r->batch,
         .n = c->image_size,
         .k = c->patch_size,
         .calls = 1},
        {.name = "text embedding",
         .op = TIC_OP_EMBEDDING,
         .m = r->batch,
         .n = c->text_width,
         .k = c->vocab_size,
         .length = (int)r->tokens,
         .calls = 1},
        {.name = "text embedding backward",
         .op = TIC_OP_EMBEDDING_BACKWARD,
         .m = r->batch,
         .n = c->text_width,
         .k = c->vocab_size,
         .length = (int)r->tokens,
         .calls = 1},
        {.name = "features l2norm",
         .op = TIC_OP_L2NORM,
         .m = r->batch,
         .n = c->embed_dim,
         .calls = 2},
        {.name = "features l2norm backward",
         .op = TIC_OP_L2NORM_BACKWARD,
         .m = r->batch,
         .n = c->embed_dim,
         .calls = 2},
        {.name = "distillation",
         .op = TIC_OP_DISTILL,
         .m = r->batch,
         .n = c->embed_dim,
         .k = c->embed_dim},
        {.name = "adamw", .op = TIC_OP_ADAMW, .n = 1 << 20, .calls = 1},
    };
    for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
        char *name;
        TIC_TRY(tic_reserve_one(&problems->list, problems->count, &problems->capacity,
                                sizeof(tic_problem), err));
        TIC_TRY(tic_strdup(&name, more[i].name, err));
        problems->list[problems->count] = more[i];
        problems->list[problems->count++].name = name;
    }
    return TIC_OK;
}

static tic_status list_problems(tic_problems *problems, const request *r, tic_error *err) {
    tic_config config;
    *problems = (tic_problems){.list = NULL};
    TIC_TRY(tic_config_find(&config, r->model, err));
    const tic_model_options options = {
        .batch = r->batch, .precision = (tic_dtype)r->precision, .train = true};
    TIC_TRY(tic_model_problems(problems, &config, &options, (int)r->tokens, err));
    return add_elementwise(problems, &config, r, err);
}

/* ---- output ---------------------------------------------------------------------------------- */

typedef struct totals {
    int held, failed, whole;
    double logical, issued; /* of a training step, rows that were proven whole */
} totals;

static totals sum_up(const tic_audit_row *rows, int count) {
    totals t = {0};
    for (int i = 0; i < count; i++) {
        t.held += rows[i].holds;
        t.failed += !rows[i].holds;
        t.whole += rows[i].whole || rows[i].logical == 0;
        if (rows[i].whole) {
            t.logical += (double)rows[i].calls * (double)rows[i].logical;
            t.issued += (double)rows[i].calls * (double)rows[i].issued;
        }
    }
    return t;
}

static const char *kind_of(const tic_audit_row *row) {
    const tic_executed *e = &row->caught;
    if (e->tile > 0)
        return "tiles";
    if (e->dot > 0)
        return "vdpbf16ps";
    if (e->fma > 0)
        return e->multiply_add > 0 ? "fma, mul+add" : "fma";
    return e->multiply_add > 0 ? "mul+add" : "no products";
}

static tic_status print_rows(const tic_audit_row *rows, int count, tic_error *err) {
    tic_table table;
    char a[32], b[32];
    tic_table_begin(&table, "<problem\t<kernel\t<by\t<stepped\t>certified = issued\t<calls "
                            "caught at\t>certified = issued\t>logical\t>elementwise\t<");
    for (int i = 0; i < count; i++) {
        const tic_audit_row *r = &rows[i];
        const double macs = (double)tic_executed_macs(&r->stepped);
        if (!r->holds && r->size[0] == '\0') {
            tic_table_row(&table, "%s\t%s\t\t\t\t\t\t\t\tFAILS", r->problem, r->kernel);
            continue;
        }
        char share[32] = "all";
        if (macs > 0)
            snprintf(share, sizeof share, "%.2f/MAC", (double)r->stepped.elementwise / macs);
        tic_table_row(&table, "%s\t%s\t%s\t%s\t%.0f\t%s%s\t%llu\t%s\t%s\t%s", r->problem, r->kernel,
                      kind_of(r), r->stepped_size, macs, r->size, r->whole ? " (whole)" : "",
                      (unsigned long long)tic_executed_macs(&r->caught),
                      r->logical > 0 ? tic_quantity(a, (double)r->logical) : "", share,
                      r->holds ? "" : "FAILS");
        (void)b;
    }
    return tic_table_end(&table, stdout, err);
}

static json_t *counts_json(const tic_executed *e) {
    return json_pack("{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "fma", (json_int_t)e->fma,
                     "multiply_add", (json_int_t)e->multiply_add, "dot", (json_int_t)e->dot, "tile",
                     (json_int_t)e->tile, "elementwise", (json_int_t)e->elementwise, "calls",
                     (json_int_t)e->calls, "instructions", (json_int_t)e->instructions);
}

static tic_status print_json(const request *r, const tic_audit_row *rows, int count,
                             tic_error *err) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) {
        const tic_audit_row *row = &rows[i];
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:s, s:i, s:b, s:s, s:s, s:I, s:I, s:o, s:s, s:b, s:I, s:I, s:I, "
                      "s:I}",
                      "problem", row->problem, "operation", tic_op_name(row->op), "kernel",
                      row->kernel, "calls_in_step", row->calls, "holds", (int)row->holds, "why",
                      row->why, "stepped_size", row->stepped_size, "stepped_issued",
                      (json_int_t)row->stepped_issued, "stepped_certified",
                      (json_int_t)tic_executed_macs(&row->stepped), "stepped",
                      counts_json(&row->stepped), "caught_size", row->size, "whole",
                      (int)row->whole, "micro_kernel_calls", (json_int_t)row->caught.calls,
                      "logical", (json_int_t)row->logical, "issued", (json_int_t)row->issued,
                      "certified", (json_int_t)tic_executed_macs(&row->caught)));
    }
    const totals t = sum_up(rows, count);
    return tic_cli_json(json_pack("{s:i, s:s, s:I, s:s, s:s, s:i, s:i, s:o}", "schema", 1, "model",
                                  r->model, "batch", (json_int_t)r->batch, "precision",
                                  tic_dtype_name((tic_dtype)r->precision), "pmu",
                                  tic_papi_pmu() != NULL ? tic_papi_pmu() : "available", "proven",
                                  t.held, "failed", t.failed, "rows", list),
                        err);
}

static tic_status report(const request *r, const tic_args *args, const tic_audit_row *rows,
                         int count, double seconds, tic_error *err) {
    const totals t = sum_up(rows, count);
    char a[32], b[32], c[32];
    if (args->json) {
        TIC_TRY(print_json(r, rows, count, err));
    } else {
        TIC_TRY(print_rows(rows, count, err));
        printf("\n%d of %d proven in %s; %s\n", t.held, count, tic_duration(a, seconds),
               tic_papi_pmu() != NULL ? tic_papi_pmu() : "PMU: available");
        if (!r->all && t.logical > 0)
            printf("%s: %s MACs issued, %s logical: padding %.1f %%\n",
                   t.whole == count ? "A training step of these"
                                    : "Of a training step those that were taken whole",
                   tic_quantity(b, t.issued), tic_quantity(c, t.logical),
                   100 * (t.issued / t.logical - 1));
    }
    for (int i = 0; i < count; i++)
        if (!rows[i].holds)
            return tic_fail(err, TIC_EVERIFY, "audit: %d of %d do not hold, the first: %s",
                            t.failed, count, rows[i].why);
    return TIC_OK;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static tic_status load_plan(const char *path, tic_plan **plan, tic_error *err) {
    *plan = NULL;
    return path == NULL ? TIC_OK : tic_plan_load(plan, path, NULL, err);
}

static tic_status audit(const request *r, const tic_args *args, tic_error *err) {
    tic_problems problems;
    tic_plan *plan = NULL;
    tic_audit_row *rows = NULL;
    int count = 0;
    const double begun = tic_now();
    tic_status status = list_problems(&problems, r, err);
    if (status == TIC_OK)
        status = load_plan(r->plan, &plan, err);
    const tic_audit_options options = {.precision = (tic_dtype)r->precision,
                                       .isa_limit = isa_limits[r->isa],
                                       .plan = plan,
                                       .all = r->all,
                                       .variant = r->variant,
                                       .only = r->only,
                                       .processes = (int)r->processes,
                                       .seconds = r->seconds,
                                       .done = row_done,
                                       .stop = tic_cli_stopped};
    if (status == TIC_OK)
        status = tic_audit(&rows, &count, problems.list, (int)problems.count, &options, err);
    tic_progress_end();
    if (status == TIC_OK)
        status = report(r, args, rows, count, tic_now() - begun, err);
    tic_free(rows);
    tic_plan_free(plan);
    tic_problems_free(&problems);
    return status;
}

tic_status tic_verb_audit(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    request r = {.model = "ViT-B-32", .batch = 32, .tokens = 20, .seconds = 1};
    tic_args args;
    const tic_flag flags[] = {
        {.name = "model",
         .value = "NAME|FILE",
         .help = "whose kernels and problems",
         .fallback = "ViT-B-32",
         .type = TIC_FLAG_TEXT,
         .out = &r.model},
        {.name = "batch",
         .value = "N",
         .help = "pairs of a step",
         .fallback = "32",
         .type = TIC_FLAG_INT,
         .out = &r.batch,
         .min = 2,
         .max = 1 << 20},
        {.name = "tokens",
         .value = "N",
         .help = "of a caption",
         .fallback = "20",
         .type = TIC_FLAG_INT,
         .out = &r.tokens,
         .min = 2,
         .max = 1024},
        {.name = "precision",
         .value = "P",
         .help = "of the products",
         .fallback = "f32",
         .type = TIC_FLAG_CHOICE,
         .out = &r.precision,
         .choices = "f32|bf16"},
        {.name = "all",
         .help = "every variant that runs here, not only the plan's",
         .type = TIC_FLAG_SWITCH,
         .out = &r.all},
        {.name = "only",
         .value = "TEXT",
         .help = "problems whose name holds it, or one operation",
         .type = TIC_FLAG_TEXT,
         .out = &r.only},
        {.name = "variant",
         .value = "NAME",
         .help = "this kernel for every problem",
         .type = TIC_FLAG_TEXT,
         .out = &r.variant},
        {.name = "isa",
         .value = "LIMIT",
         .help = "use no instruction set above it",
         .fallback = "all",
         .type = TIC_FLAG_CHOICE,
         .out = &r.isa,
         .choices = "all|portable|avx2|avx512|avx512_bf16"},
        {.name = "plan",
         .value = "FILE",
         .help = "a plan, as in a run's folder",
         .fallback = "the registry's defaults",
         .type = TIC_FLAG_TEXT,
         .out = &r.plan},
        {.name = "seconds",
         .value = "X",
         .help = "a problem is taken whole if stepping its kernels' calls takes no longer, at 5 "
                 "million instructions a second; else smaller",
         .fallback = "1",
         .type = TIC_FLAG_REAL,
         .out = &r.seconds,
         .min = 0,
         .max = 1e6},
        {.name = "processes",
         .value = "N",
         .help = "at once",
         .fallback = "one a core",
         .type = TIC_FLAG_INT,
         .out = &r.processes,
         .min = 0,
         .max = 64},
    };
    TIC_TRY(tic_cli_parse(verb, flags, sizeof flags / sizeof flags[0], argc, argv, &args, err));
    if (args.help)
        return TIC_OK;
    tic_cli_catch_signals();
    return audit(&r, &args, err);
}
