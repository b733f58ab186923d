/* What `run`, `train`, `eval` and the analyses of data print. */
#ifndef TIC_CLI_RUN_OUTPUT_H
#define TIC_CLI_RUN_OUTPUT_H

#include "cli/cli.h"
#include "continual/continual.h"

/* The hooks that show progress on stderr and stop at SIGINT and SIGTERM. */
tic_hooks tic_cli_hooks(void);
/* results.json of the run in the folder `run` on stdout: as tables, or as it is. */
tic_status tic_cli_run_results(const char *run, bool json, tic_error *err);
/* Prints a json text as the one document of --json. */
tic_status tic_cli_json_text(const char *text, tic_error *err);
/* Shows the json text of an analysis, which it frees: draws it to the file `svg`, unless that is
 * NULL, then prints it as it is or with `print`. */
tic_status
tic_cli_show(char *text, const char *svg, bool json,
             tic_status (*draw)(const json_t *document, const char *path, tic_error *err),
             tic_status (*print)(const json_t *document, tic_error *err), tic_error *err);
/* How people call a method. */
const char *tic_cli_label(const char *method);
/* "0.453", or "-" for null. */
const char *tic_cli_score(char text[32], const json_t *value);
/* A square matrix of scores with its names: rows are trained steps, columns evaluated ones; shaded
 * where stdout is a terminal. */
void tic_cli_matrix(const char *title, const json_t *steps, const json_t *e);

#endif
