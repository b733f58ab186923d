/* ticlip data times: the steps of one time field against those of another. */
#include "cli/run_output.h"
#include <string.h>

static const char *const settings[] = {"index",  "granularity", "first-step",
                                       "steps",  "min-step",    "time-field",
                                       "filter", "max-bad",     "threads"};
enum { SETTINGS = sizeof settings / sizeof settings[0], STEPS_MAX = 256, ROW_TEXT = 4096 };

static const char *own_of(const json_t *document) {
    const char *own = json_string_value(json_object_get(document, "time"));
    return own != NULL && own[0] != '\0' ? own : "the pair's own time";
}

/* Heads and rows of as many cells as there are steps; a table has at most 32 columns. */
static tic_status print_matrix(const json_t *document, tic_error *err) {
    const json_t *steps = json_object_get(document, "steps");
    tic_table table;
    char line[ROW_TEXT] = "<step";
    size_t used = strlen(line), i, j;
    json_t *name, *row, *cell;
    json_array_foreach(steps, i, name) used += (size_t)snprintf(
        line + used, used < sizeof line ? sizeof line - used : 0, "\t>%s", json_string_value(name));
    snprintf(line + used, used < sizeof line ? sizeof line - used : 0, "\t>later");
    tic_table_begin(&table, line);
    json_array_foreach(json_object_get(document, "matrix"), i, row) {
        used =
            (size_t)snprintf(line, sizeof line, "%s", json_string_value(json_array_get(steps, i)));
        json_array_foreach(row, j, cell) used +=
            (size_t)snprintf(line + used, sizeof line - used, "\t%.0f", json_number_value(cell));
        tic_table_row(&table, "%s", line);
    }
    return tic_table_end(&table, stdout, err);
}

static tic_status print_text(const json_t *document, tic_error *err) {
    const json_t *lag = json_object_get(document, "lag_days");
    const double without = tic_cli_number(document, "without");
    printf("%.0f pairs, rows: step by %s; columns: step by %s\n\n",
           tic_cli_number(document, "pairs"), own_of(document),
           json_string_value(json_object_get(document, "other")));
    if (json_array_size(json_object_get(document, "steps")) <= 30)
        TIC_TRY(print_matrix(document, err));
    else
        printf("(more than 30 steps: --json and --svg tell the matrix)\n");
    if (without > 0)
        printf("\n%.0f pairs have no such time\n", without);
    printf("\nin the same step %.1f %%, in a later one %.1f %%, in an earlier one %.1f %%\n"
           "correlation of the times %.4f, of their ranks %.4f\n"
           "days between them: median %.1f, mean %.1f, 90 %% of them %.1f to %.1f, all %.1f to "
           "%.1f\n",
           100 * tic_cli_number(document, "same_step"),
           100 * tic_cli_number(document, "later_step"),
           100 * tic_cli_number(document, "earlier_step"), tic_cli_number(document, "pearson"),
           tic_cli_number(document, "spearman"), tic_cli_number(lag, "median"),
           tic_cli_number(lag, "mean"), tic_cli_number(lag, "p5"), tic_cli_number(lag, "p95"),
           tic_cli_number(lag, "min"), tic_cli_number(lag, "max"));
    return TIC_OK;
}

static tic_status draw(const json_t *document, const char *path, tic_error *err) {
    const char *names[STEPS_MAX + 1];
    char rows_say[200], columns_say[200];
    double *cells;
    size_t i, j;
    json_t *name, *row, *cell;
    const size_t steps = json_array_size(json_object_get(document, "steps"));
    if (steps > STEPS_MAX)
        return tic_fail(err, TIC_EUSAGE, "svg: %zu steps; at most %d can be drawn", steps,
                        STEPS_MAX);
    TIC_TRY(tic_alloc(&cells, steps * (steps + 1), sizeof(double), err));
    json_array_foreach(json_object_get(document, "steps"), i, name) names[i] =
        json_string_value(name);
    names[steps] = "later";
    json_array_foreach(json_object_get(document, "matrix"), i, row) json_array_foreach(row, j, cell)
        cells[i * (steps + 1) + j] = json_number_value(cell);
    snprintf(rows_say, sizeof rows_say, "rows: step by %.150s", own_of(document));
    snprintf(columns_say, sizeof columns_say, "step by %.150s",
             json_string_value(json_object_get(document, "other")));
    const tic_heat heat = {.title = "Pairs by two times; shade: share of the row",
                           .rows_say = rows_say,
                           .columns_say = columns_say,
                           .rows = names,
                           .columns = names,
                           .row_count = (int)steps,
                           .column_count = (int)steps + 1,
                           .values = cells};
    tic_status status = tic_figure_write(path, tic_draw_heat, &heat, err);
    tic_free(cells);
    return status;
}

tic_status tic_verb_data_times(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    const char *svg = NULL, *other = "crawl_timestamp";
    tic_experiment x;
    tic_args args;
    char *text;
    const tic_flag flags[] = {
        {.name = "other",
         .value = "FIELD",
         .help = "json field of the second time (default crawl_timestamp, the embedded data's)",
         .type = TIC_FLAG_TEXT,
         .out = &other},
        {.name = "svg",
         .value = "FILE",
         .help = "also draws a figure",
         .type = TIC_FLAG_TEXT,
         .out = &svg},
    };
    tic_experiment_defaults(&x);
    TIC_TRY(tic_cli_parse_data(verb, flags, sizeof flags / sizeof flags[0], settings, SETTINGS,
                               argc, argv, &x, &args, err));
    if (args.help)
        return TIC_OK;
    const tic_hooks hooks = tic_cli_hooks();
    TIC_TRY(tic_data_times(&x, other, &hooks, &text, err));
    return tic_cli_show(text, svg, args.json, draw, print_text, err);
}
