/* ticlip run: methods x steps of an experiment. */
#include "cli/run_output.h"
#include "cli/tuned.h"
#include <string.h>

/* Settings of a file, if one is named, with the flags over them. */
static tic_status read_settings(const tic_verb *verb, int argc, char **argv, tic_experiment *x,
                                bool *dry, tic_plan_flags *plan, tic_args *args, tic_error *err) {
    tic_flag *flags;
    int count = tic_setting_count();
    TIC_TRY(tic_alloc(&flags, (size_t)count + TIC_PLAN_FLAGS + 1, sizeof(tic_flag), err));
    tic_experiment_defaults(x);
    tic_cli_setting_flags(flags, x);
    tic_cli_plan_flags(flags + count, plan);
    count += TIC_PLAN_FLAGS;
    flags[count++] = (tic_flag){.name = "dry-run",
                                .help = "print what it will cost, and stop",
                                .type = TIC_FLAG_SWITCH,
                                .out = dry};
    tic_status status = tic_cli_parse(verb, flags, count, argc, argv, args, err);
    if (status == TIC_OK && !args->help && args->count == 1) {
        tic_experiment_defaults(x);
        status = tic_experiment_read(x, args->at[0], err);
        if (status == TIC_OK)
            status = tic_cli_parse(verb, flags, count, argc, argv, args, err);
    }
    tic_free(flags);
    return status;
}

/* What it will do and cost, on stderr. */
static tic_status print_forecast(const tic_experiment *x, const tic_forecast *f, tic_error *err) {
    tic_table table;
    char a[32], b[32], c[32];
    tic_progress_end();
    fprintf(stderr, "%s: %d method%s (%s), %d step%s\n\n", x->out, f->methods,
            f->methods == 1 ? "" : "s", x->methods, f->steps, f->steps == 1 ? "" : "s");
    tic_table_begin(&table, "<forecast\t<");
    tic_table_row(&table, "model\t%s, %s parameters, %s", x->model,
                  tic_quantity(a, (double)f->parameters), f->precision);
    tic_table_row(&table, "batch\t%lld pairs, %lld at a time", (long long)x->batch,
                  (long long)f->micro_batch);
    tic_table_row(&table, "memory of the model and the evaluation pictures\t%sB",
                  tic_quantity(a, (double)f->memory));
    tic_table_row(&table, "MACs of training a pair\t%s nominal, %s logical (%.1f tokens a caption)",
                  tic_quantity(a, (double)f->nominal_pair),
                  tic_quantity(b, (double)f->logical_pair), f->mean_tokens);
    if (f->iterations_least == f->iterations_most)
        snprintf(c, sizeof c, "%lld", (long long)f->iterations_most);
    else
        snprintf(c, sizeof c, "%lld to %lld", (long long)f->iterations_least,
                 (long long)f->iterations_most);
    tic_table_row(&table, "a step\t%s iterations", c);
    tic_table_row(&table, "all methods\t%s pairs, %lld iterations, %s nominal MACs, %s logical",
                  tic_quantity(a, (double)f->pairs_total), (long long)f->iterations_total,
                  tic_quantity(b, f->nominal_total), tic_quantity(c, f->logical_total));
    if (f->extra_total > 0)
        tic_table_row(&table, "beside training\t%s nominal MACs (%s)",
                      tic_quantity(a, f->extra_total),
                      x->accounting == TIC_STRICT ? "taken from the same budget"
                                                  : "not charged: --accounting paper");
    if (f->gmacs > 0)
        tic_table_row(
            &table,
            "expected time\t%s, %s of it evaluation; as whole iterations took just now, %.3g "
            "logical GMAC/s",
            tic_duration(a, f->seconds), tic_duration(b, f->evaluation_seconds), f->gmacs);
    else
        tic_table_row(&table, "expected time\tnone: everything is done");
    TIC_TRY(tic_table_end(&table, stderr, err));
    fputc('\n', stderr);
    return TIC_OK;
}

static tic_status forecast_json(const tic_forecast *f, tic_error *err) {
    return tic_cli_json(json_pack("{s:I, s:I, s:I, s:I, s:I, s:f, s:s, s:i, s:i, s:I, s:I, s:[I, "
                                  "I], s:f, s:f, s:f, s:f, s:f, "
                                  "s:f}",
                                  "parameters", (json_int_t)f->parameters, "micro_batch",
                                  (json_int_t)f->micro_batch, "memory", (json_int_t)f->memory,
                                  "nominal_pair", (json_int_t)f->nominal_pair, "logical_pair",
                                  (json_int_t)f->logical_pair, "mean_tokens", f->mean_tokens,
                                  "precision", f->precision, "steps", f->steps, "methods",
                                  f->methods, "pairs", (json_int_t)f->pairs_total, "iterations",
                                  (json_int_t)f->iterations_total, "iterations_a_step",
                                  (json_int_t)f->iterations_least, (json_int_t)f->iterations_most,
                                  "nominal", f->nominal_total, "logical", f->logical_total, "extra",
                                  f->extra_total, "gmacs_per_second", f->gmacs, "seconds",
                                  f->seconds, "evaluation_seconds", f->evaluation_seconds),
                        err);
}

tic_status tic_verb_run(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    tic_experiment x;
    tic_args args;
    tic_forecast forecast;
    tic_plan_flags plan;
    tic_tuner tuner;
    bool dry = false;
    TIC_TRY(read_settings(verb, argc, argv, &x, &dry, &plan, &args, err));
    if (args.help)
        return TIC_OK;
    tic_hooks hooks = tic_cli_hooks();
    TIC_TRY(tic_cli_use_plan(&x, &plan, dry, &hooks, &tuner, err));
    TIC_TRY(tic_run_forecast(&x, &hooks, &forecast, err));
    if (dry && args.json)
        return forecast_json(&forecast, err);
    TIC_TRY(print_forecast(&x, &forecast, err));
    if (dry)
        return TIC_OK;
    TIC_TRY(tic_run(&x, &hooks, err));
    return tic_cli_run_results(x.out, args.json, err);
}
