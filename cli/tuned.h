/* Tuning for `tune`, `run` and `train`: this machine's plan file and what is shown meanwhile. */
#ifndef TIC_CLI_TUNED_H
#define TIC_CLI_TUNED_H

#include "cli/cli.h"

typedef struct tic_tuner {
    char path[TIC_PATH]; /* the plan file */
    int threads;
    double seconds;    /* wanted */
    bool again;        /* measures also what the file knows, which is then what must be beaten */
    bool discard;      /* writes nothing */
    const char *only;  /* as in tic_tune_options */
    const char *rival; /* a plan file that the one at `path` is measured against; NULL: tunes */
    /* Told of every key, may be NULL; what `tuned` points to is borrowed. */
    tic_status (*each)(void *user, const tic_tuned *tuned, tic_error *err);
    void *user;
    int keys, left; /* out: keys measured, and those whose choice changed */
    double took;
    tic_error failed; /* of `each` */
} tic_tuner;

/* `given` (--plan), or this machine's file in the cache folder. */
tic_status tic_cli_plan_path(char out[TIC_PATH], const char *given, int threads, tic_error *err);
/* Measures the problems of a step of that model and saves the plan, also when interrupted. A file
 * that is not this machine's and build's is told of and replaced; with a rival, where both must be,
 * it is TIC_EINPUT, and nothing is written. */
tic_status tic_cli_tune(tic_tuner *tuner, const tic_config *config,
                        const tic_model_options *options, int tokens, tic_error *err);

/* ---- run and train --------------------------------------------------------------------------- */

typedef struct tic_plan_flags {
    const char *plan; /* --plan FILE; NULL: this machine's */
    bool no_tune;
} tic_plan_flags;
enum { TIC_PLAN_FLAGS = 2 };
void tic_cli_plan_flags(tic_flag rows[TIC_PLAN_FLAGS], tic_plan_flags *values);
/* Sets experiment->plan, and in *hooks what tunes for a new run, unless a plan is given, --no-tune
 * is, or `dry`. *tuner is borrowed by the hooks. A given file that is missing is TIC_EINPUT. */
tic_status tic_cli_use_plan(tic_experiment *experiment, const tic_plan_flags *values, bool dry,
                            tic_hooks *hooks, tic_tuner *tuner, tic_error *err);

/* ---- what tune prints (tune_output.c) -------------------------------------------------------- */

/* A share of the unit's peak for what multiplies ("72 %"), bytes a second for what does not. */
const char *tic_cli_reached(char text[32], const tic_tuned *tuned, double seconds);
/* Candidates with their times, why each was left out or beaten, and the roofline. */
tic_status tic_cli_explain(const tic_tuned *tuned, tic_error *err);
/* {"key", "name", "default", "winner", ...}; NULL without memory. With `all`, its candidates too.
 */
json_t *tic_cli_tuned_json(const tic_tuned *tuned, bool all);

#endif
