/* ticlip data filters: what share of each step a filter keeps. */
#include "cli/run_output.h"
#include <math.h>
#include <string.h>

static const char *const settings[] = {"index",    "granularity", "first-step", "steps",
                                       "min-step", "time-field",  "max-bad",    "vocab",
                                       "batch",    "precision",   "seed",       "threads"};
static const char *const filters[] = {"words", "english", "shape", "basic", "score", "both"};
enum {
    SETTINGS = sizeof settings / sizeof settings[0],
    FILTERS = sizeof filters / sizeof filters[0],
    SCORED = 4, /* filters from here on need a checkpoint */
    STEPS_MAX = 1024
};

static double share_of(const json_t *step, int filter) {
    const json_t *value = json_object_get(json_object_get(step, "share"), filters[filter]);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void add_row(tic_table *table, const json_t *step) {
    char cell[FILTERS][16], mean[48] = "-";
    const json_t *score = json_object_get(step, "score");
    for (int i = 0; i < FILTERS; i++) {
        const double share = share_of(step, i);
        if (isnan(share))
            snprintf(cell[i], sizeof cell[i], "-");
        else
            snprintf(cell[i], sizeof cell[i], "%.1f %%", 100 * share);
    }
    if (json_is_object(score))
        snprintf(mean, sizeof mean, "%.4f ±%.4f", json_number_value(json_object_get(score, "mean")),
                 json_number_value(json_object_get(score, "stderr")));
    tic_table_row(table, "%s\t%.0f\t%s\t%s\t%s\t%s\t%s\t%s\t%s",
                  json_string_value(json_object_get(step, "step")),
                  json_number_value(json_object_get(step, "pairs")), cell[0], cell[1], cell[2],
                  cell[3], mean, cell[4], cell[5]);
}

static tic_status print_text(const json_t *document, tic_error *err) {
    const json_t *threshold = json_object_get(document, "threshold");
    tic_table table;
    size_t i;
    json_t *step;
    printf("What filters keep of each step, of %.0f pairs",
           json_number_value(json_object_get(document, "pairs")));
    if (json_is_number(threshold))
        printf("; score: at least %.4f under %s", json_number_value(threshold),
               json_string_value(json_object_get(document, "checkpoint")));
    printf("\n\n");
    tic_table_begin(&table,
                    "<step\t>pairs\t>words\t>English\t>shape\t>basic\t>mean score\t>score\t>"
                    "basic, score");
    json_array_foreach(json_object_get(document, "steps"), i, step) add_row(&table, step);
    add_row(&table, json_object_get(document, "all"));
    TIC_TRY(tic_table_end(&table, stdout, err));
    printf(
        "\nwords: more than 2 words and 5 characters; English: that, and English; shape: aspect up "
        "to 3 and\nno side under --min-side; basic: all of these\n");
    return TIC_OK;
}

static tic_status draw(const json_t *document, const char *path, tic_error *err) {
    static const char *const labels[] = {"words",        "words, English", "shape",
                                         "basic filter", "CLIP score",     "basic, score"};
    const bool scored = json_is_number(json_object_get(document, "threshold"));
    const char *names[STEPS_MAX];
    double shares[FILTERS][STEPS_MAX];
    int count = 0;
    size_t i;
    json_t *step;
    json_array_foreach(json_object_get(document, "steps"), i, step) {
        if (count == STEPS_MAX)
            break;
        names[count] = json_string_value(json_object_get(step, "step"));
        for (int k = 0; k < FILTERS; k++)
            shares[k][count] = share_of(step, k);
        count++;
    }
    tic_panel panels[] = {
        {"Share of each step that the basic filter keeps", {{NULL, NULL}}, SCORED},
        {"... that the CLIP score keeps", {{NULL, NULL}}, FILTERS - SCORED}};
    for (int k = 0; k < FILTERS; k++)
        panels[k >= SCORED].series[k < SCORED ? k : k - SCORED] =
            (tic_series){labels[k], shares[k]};
    const tic_lines lines = {panels, scored ? 2 : 1, names, count};
    return tic_figure_write(path, tic_draw_lines, &lines, err);
}

tic_status tic_verb_data_filters(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    tic_filters_options options = {.keep = 0.3, .threshold = NAN};
    const char *svg = NULL;
    tic_experiment x;
    tic_args args;
    char *text;
    const tic_flag flags[] = {
        {.name = "checkpoint",
         .value = "MODEL",
         .help = "the model of the CLIP score: cosine of picture and caption",
         .type = TIC_FLAG_TEXT,
         .out = &options.checkpoint},
        {.name = "keep",
         .value = "X",
         .help = "share of all pairs that the score keeps (default 0.3, DataComp's)",
         .type = TIC_FLAG_REAL,
         .out = &options.keep,
         .min = 1e-9,
         .max = 1},
        {.name = "threshold",
         .value = "X",
         .help = "keep scores of at least this instead",
         .type = TIC_FLAG_REAL,
         .out = &options.threshold,
         .min = -1,
         .max = 1},
        {.name = "min-side",
         .value = "PIXELS",
         .help = "smallest side of a picture (the paper's: 200; default 0)",
         .type = TIC_FLAG_INT,
         .out = &options.min_side,
         .max = 65535},
        {.name = "sample",
         .value = "N",
         .help = "pairs looked at, drawn from all of them (0, the default: all)",
         .type = TIC_FLAG_SIZE,
         .out = &options.sample,
         .max = 4e9},
        {.name = "svg",
         .value = "FILE",
         .help = "also draws a figure",
         .type = TIC_FLAG_TEXT,
         .out = &svg},
    };
    tic_experiment_defaults(&x);
    strcpy(x.first_step, "none"); /* every year is its own */
    TIC_TRY(tic_cli_parse_data(verb, flags, sizeof flags / sizeof flags[0], settings, SETTINGS,
                               argc, argv, &x, &args, err));
    if (args.help)
        return TIC_OK;
    const tic_hooks hooks = tic_cli_hooks();
    TIC_TRY(tic_data_filters(&x, &options, &hooks, &text, err));
    return tic_cli_show(text, svg, args.json, draw, print_text, err);
}
