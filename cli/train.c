/* ticlip train: one step from one checkpoint. */
#include "cli/run_output.h"
#include "cli/tuned.h"
#include <string.h>

typedef struct choice { /* what `train` has besides an experiment's settings */
    const char *method, *step, *from;
    tic_plan_flags plan;
} choice;

/* All settings but the list of methods, and the three of its own. */
static tic_status parse(const tic_verb *verb, int argc, char **argv, tic_experiment *x, choice *c,
                        tic_args *args, tic_error *err) {
    const tic_flag own[] = {
        {.name = "method",
         .value = "NAME",
         .help = "as in run",
         .type = TIC_FLAG_TEXT,
         .out = &c->method},
        {.name = "step",
         .value = "STEP",
         .help = "the step to train on; by default the last",
         .type = TIC_FLAG_TEXT,
         .out = &c->step},
        {.name = "from",
         .value = "CHECKPOINT",
         .help = "the checkpoint folder to go on from; by default random weights",
         .type = TIC_FLAG_TEXT,
         .out = &c->from}};
    enum { OWN = sizeof own / sizeof own[0] };
    tic_flag *flags;
    int count = 0;
    tic_experiment_defaults(x);
    TIC_TRY(tic_alloc(&flags, (size_t)tic_setting_count() + OWN + TIC_PLAN_FLAGS, sizeof(tic_flag),
                      err));
    tic_status status = TIC_OK;
    for (int i = 0; i < tic_setting_count() && status == TIC_OK; i++)
        if (strcmp(tic_setting_get(i)->name, "methods") != 0)
            status = tic_cli_setting_flag(&flags[count++], tic_setting_get(i)->name, x, err);
    memcpy(flags + count, own, sizeof own);
    tic_cli_plan_flags(flags + count + OWN, &c->plan);
    count += OWN + TIC_PLAN_FLAGS;
    if (status == TIC_OK)
        status = tic_cli_parse(verb, flags, count, argc, argv, args, err);
    if (status == TIC_OK && !args->help && c->from != NULL) { /* steps as in the run of `from` */
        tic_experiment_defaults(x);
        status = tic_checkpoint_settings(c->from, x, NULL, err);
        if (status == TIC_OK)
            status = tic_cli_parse(verb, flags, count, argc, argv, args, err);
    }
    tic_free(flags);
    return status;
}

tic_status tic_verb_train(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    tic_experiment x;
    tic_args args;
    choice c = {.method = "sequential"};
    TIC_TRY(parse(verb, argc, argv, &x, &c, &args, err));
    if (args.help)
        return TIC_OK;
    tic_tuner tuner;
    tic_hooks hooks = tic_cli_hooks();
    TIC_TRY(tic_cli_use_plan(&x, &c.plan, false, &hooks, &tuner, err));
    TIC_TRY(tic_train_one(&x, c.method, c.step, c.from, &hooks, err));
    return tic_cli_run_results(x.out, args.json, err);
}
