/* The settings of an experiment (continual/) as flags of a verb: one table for all of them. */
#include "cli/cli.h"
#include <string.h>

static tic_status set(const tic_flag *flag, const char *text, tic_error *err) {
    return tic_experiment_set(flag->out, flag->name, text != NULL ? text : "true", err);
}

/* The value that stands in the experiment now, as the user would write it; a long one is left out.
 */
static void describe(char text[48], const tic_setting *setting, const tic_experiment *experiment) {
    const char *at = (const char *)experiment + setting->offset;
    const char *choice = setting->choices;
    switch (setting->type) {
    case TIC_SET_TEXT:
        snprintf(text, 48, "%s", strlen(at) < 48 ? at : "");
        return;
    case TIC_SET_INT:
    case TIC_SET_SIZE:
        snprintf(text, 48, "%lld", (long long)*(const int64_t *)at);
        return;
    case TIC_SET_REAL:
        snprintf(text, 48, "%g", *(const double *)at);
        return;
    case TIC_SET_BOOL:
        snprintf(text, 48, "%s", *(const bool *)at ? "true" : "");
        return;
    case TIC_SET_CHOICE:
        for (int i = *(const int *)at; i > 0; i--)
            choice += strcspn(choice, "|") + 1;
        snprintf(text, 48, "%.*s", (int)strcspn(choice, "|"), choice);
        return;
    }
}

static tic_flag flag_of(const tic_setting *setting, tic_experiment *experiment) {
    tic_flag flag = {
        .name = setting->name,
        .value = setting->type == TIC_SET_BOOL ? NULL : setting->value,
        .help = setting->help,
        .choices = setting->type == TIC_SET_CHOICE ? setting->choices : NULL,
        .type = TIC_FLAG_CALL,
        .out = experiment,
        .set = set,
    };
    describe(flag.fallback, setting, experiment);
    return flag;
}

tic_status tic_cli_setting_flag(tic_flag *row, const char *name, tic_experiment *experiment,
                                tic_error *err) {
    for (int i = 0; i < tic_setting_count(); i++) {
        if (strcmp(tic_setting_get(i)->name, name) == 0) {
            *row = flag_of(tic_setting_get(i), experiment);
            return TIC_OK;
        }
    }
    return tic_fail(err, TIC_EINTERNAL, "there is no setting \"%s\"", name);
}

void tic_cli_setting_flags(tic_flag *rows, tic_experiment *experiment) {
    for (int i = 0; i < tic_setting_count(); i++)
        rows[i] = flag_of(tic_setting_get(i), experiment);
}

tic_status tic_cli_data_flag(tic_flag *row, const char *name, tic_experiment *experiment,
                             tic_error *err) {
    static const char *const said[][2] = {
        {"index", "where the index is kept (default: in the cache folder)"},
        {"vocab", "the checkpoint's vocabulary (default: its run's)"},
        {"batch", "pairs computed at once"},
        {"seed", "of the held-out pairs and of samples"},
    };
    TIC_TRY(tic_cli_setting_flag(row, name, experiment, err));
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++)
        if (strcmp(name, said[i][0]) == 0)
            row->help = said[i][1];
    return TIC_OK;
}

tic_status tic_cli_parse_data(const tic_verb *verb, const tic_flag *own, int own_count,
                              const char *const *names, int name_count, int argc, char **argv,
                              tic_experiment *x, tic_args *args, tic_error *err) {
    enum { FLAGS = 32 };
    tic_flag flags[FLAGS];
    if (own_count + name_count > FLAGS)
        return tic_fail(err, TIC_EINTERNAL, "%s: more than %d flags", verb->name, FLAGS);
    memcpy(flags, own, (size_t)own_count * sizeof *own);
    for (int i = 0; i < name_count; i++)
        TIC_TRY(tic_cli_data_flag(&flags[own_count + i], names[i], x, err));
    TIC_TRY(tic_cli_parse(verb, flags, own_count + name_count, argc, argv, args, err));
    if (args->help)
        return TIC_OK;
    TIC_TRY(tic_experiment_set(x, "data", args->at[0], err));
    return tic_cli_experiment_index(x, err);
}
