/* The settings of an experiment (continual/) as flags of a verb: one table for all of them. */
#include "cli/cli.h"
#include <string.h>

static tic_status set(const tic_flag *flag, const char *text, tic_error *err) {
    return tic_experiment_set(flag->out, flag->name, text != NULL ? text : "true", err);
}

static tic_flag flag_of(const tic_setting *setting, tic_experiment *experiment) {
    return (tic_flag){
        .name = setting->name,
        .value = setting->type == TIC_SET_BOOL ? NULL : setting->value,
        .help = setting->help,
        .choices = setting->choices,
        .type = TIC_FLAG_CALL,
        .out = experiment,
        .set = set,
    };
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
