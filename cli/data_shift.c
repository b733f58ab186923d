/* ticlip data shift: words and pictures of every step against the first. */
#include "cli/run_output.h"
#include <math.h>

static const char *const settings[] = {
    "index",   "granularity", "first-step", "steps",     "min-step", "filter", "time-field",
    "max-bad", "vocab",       "batch",      "precision", "seed",     "threads"};
enum { SETTINGS = sizeof settings / sizeof settings[0], STEPS_MAX = 1024 };

static const char *words_of(char text[160], const json_t *list) {
    size_t used = 0, i;
    json_t *word;
    text[0] = '\0';
    json_array_foreach(list, i, word) {
        const int wrote =
            snprintf(text + used, 160 - used, "%s%s", i > 0 ? " " : "", json_string_value(word));
        if (wrote < 0 || (used += (size_t)wrote) >= 160)
            break;
    }
    return text;
}

static double number_of(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : NAN;
}

static tic_status print_text(const json_t *document, tic_error *err) {
    const json_t *steps = json_object_get(document, "steps");
    const char *nouns = json_string_value(json_object_get(document, "nouns"));
    const bool pictures = json_is_string(json_object_get(document, "checkpoint"));
    tic_table table;
    size_t i;
    json_t *step;
    printf("Every step against the first, %.0f pairs each; words: %s\n\n",
           number_of(document, "sample"), nouns != NULL ? nouns : "all but function words");
    tic_table_begin(&table, pictures ? "<step\t>Frechet distance\t>variation\t<rising\t<falling"
                                     : "<step\t>variation\t<rising\t<falling");
    json_array_foreach(steps, i, step) {
        char name[64], up[160], down[160];
        snprintf(name, sizeof name, "%s%s", json_string_value(json_object_get(step, "step")),
                 i == 0 ? " (chance)" : "");
        words_of(up, json_object_get(step, "rising"));
        words_of(down, json_object_get(step, "falling"));
        if (pictures)
            tic_table_row(&table, "%s\t%.4f\t%.4f\t%s\t%s", name, number_of(step, "frechet"),
                          number_of(step, "variation"), i > 0 ? up : "", i > 0 ? down : "");
        else
            tic_table_row(&table, "%s\t%.4f\t%s\t%s", name, number_of(step, "variation"),
                          i > 0 ? up : "", i > 0 ? down : "");
    }
    TIC_TRY(tic_table_end(&table, stdout, err));
    printf("\nvariation: total variation distance of the words, 0 to 1; chance: another sample of "
           "the first\nstep\n");
    return TIC_OK;
}

static tic_status draw(const json_t *document, const char *path, tic_error *err) {
    const json_t *steps = json_object_get(document, "steps");
    const bool pictures = json_is_string(json_object_get(document, "checkpoint"));
    const char *names[STEPS_MAX];
    double frechet[STEPS_MAX], variation[STEPS_MAX];
    int count = 0;
    size_t i;
    json_t *step;
    json_array_foreach(steps, i, step) {
        if (count == STEPS_MAX)
            break;
        names[count] = json_string_value(json_object_get(step, "step"));
        frechet[count] = number_of(step, "frechet");
        variation[count++] = number_of(step, "variation");
    }
    const tic_panel panels[] = {
        {"Words: total variation distance to the first step", {{"", variation}}, 1},
        {"Pictures: Frechet distance of embeddings to the first step", {{"", frechet}}, 1}};
    const tic_lines lines = {panels, pictures ? 2 : 1, names, count};
    return tic_figure_write(path, tic_draw_lines, &lines, err);
}

tic_status tic_verb_data_shift(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    tic_shift_options options = {.sample = 2000, .per_caption = 5};
    const char *svg = NULL;
    tic_experiment x;
    tic_args args;
    char *text;
    const tic_flag flags[] = {
        {.name = "checkpoint",
         .value = "MODEL",
         .help = "whose picture embeddings are compared; without it only words are",
         .type = TIC_FLAG_TEXT,
         .out = &options.checkpoint},
        {.name = "nouns",
         .value = "FILE",
         .help = "the words that count: WordNet's index.noun, or a word a line; without it all of "
                 "three letters or more that are no function words",
         .type = TIC_FLAG_TEXT,
         .out = &options.nouns},
        {.name = "per-caption",
         .value = "N",
         .help = "words taken of a caption, the first ones (default 5)",
         .type = TIC_FLAG_INT,
         .out = &options.per_caption,
         .min = 1,
         .max = 1000},
        {.name = "sample",
         .value = "N",
         .help = "pairs of a step at most; as many of each step (default 2000)",
         .type = TIC_FLAG_SIZE,
         .out = &options.sample,
         .min = 2,
         .max = 1e9},
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
    TIC_TRY(tic_data_shift(&x, &options, &hooks, &text, err));
    return tic_cli_show(text, svg, args.json, draw, print_text, err);
}
