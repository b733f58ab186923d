/* What the parts of `ticlip plan` share. */
#ifndef TIC_CLI_PLAN_H
#define TIC_CLI_PLAN_H

#include "cli/cli.h"

typedef struct tic_planned { /* what is asked about */
    const tic_config *config;
    int64_t batch, tokens; /* pairs of a step; of every caption */
    tic_dtype precision;
} tic_planned;
/* Makes one training step and prints what each layer of it counted. */
tic_status tic_cli_plan_layers(const tic_planned *planned, bool json, tic_error *err);

#endif
