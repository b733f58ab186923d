/* `ticlip data inspect`: what the time steps of dated shards would be, with example captions,
 * picture sizes and the pairs over time. */
#include "cli/cli.h"
#include <string.h>

enum { EXAMPLE = 72, MONTHS = 48 }; /* columns of an example; most months before years are shown */

static const char *const step_settings[] = {"granularity", "first-step", "steps", "min-step",
                                            "eval-pairs"};
enum { STEP_SETTINGS = sizeof step_settings / sizeof step_settings[0] };

typedef struct inspection { /* what is shown */
    const char *folder;
    tic_index *index;
    tic_steps steps;
    tic_timeline timeline;
    int examples;
    int side[5]; /* shorter side of the pictures: least, 5 %, median, 95 %, most; pixels */
} inspection;

/* White space and control characters to single blanks, and a cut, never inside a code point, where
 * the text is longer than an example. Works on UTF-8 in place. */
static void tidy(char *text) {
    char *to = text;
    int columns = 0;
    for (const unsigned char *from = (const unsigned char *)text; *from != '\0'; from++) {
        bool blank = *from <= ' ' || *from == 0x7f;
        if (blank && (to == text || to[-1] == ' '))
            continue;
        if ((*from & 0xC0) != 0x80 && ++columns > EXAMPLE)
            break;
        *to++ = blank ? ' ' : (char)*from;
    }
    *to = '\0';
}

/* The shorter side below which `share` of the pictures lie, from counts of each size. */
static int quantile(const uint32_t *counts, size_t pictures, double share) {
    size_t wanted = (size_t)(share * (double)(pictures - 1)), below = 0;
    for (int side = 0; side < 65536; side++) {
        below += counts[side];
        if (below > wanted)
            return side;
    }
    return 65535;
}

static tic_status measure(inspection *view, tic_error *err) {
    static const double shares[5] = {0, 0.05, 0.5, 0.95, 1};
    const tic_pair *pairs = tic_index_pairs(view->index);
    size_t count = tic_index_size(view->index);
    uint32_t *counts;
    TIC_TRY(tic_alloc(&counts, 65536, sizeof *counts, err));
    for (size_t i = 0; i < count; i++)
        counts[pairs[i].width < pairs[i].height ? pairs[i].width : pairs[i].height]++;
    for (int i = 0; i < 5 && count > 0; i++)
        view->side[i] = quantile(counts, count, shares[i]);
    tic_free(counts);
    return TIC_OK;
}

/* ---- text ---------------------------------------------------------------------------------- */

static tic_status print_steps(const inspection *view, tic_error *err) {
    tic_table table;
    tic_table_begin(&table, "<step\t<from\t<until\t>train\t>held out");
    for (int s = 0; s < view->steps.count; s++) {
        const tic_step *step = &view->steps.step[s];
        char from[24], until[24];
        tic_table_row(&table, "%s\t%s\t%s\t%zu\t%zu", step->name, tic_cli_date(from, step->begin),
                      tic_cli_date(until, step->end - 1), step->trains, step->evals);
    }
    TIC_TRY(tic_table_end(&table, stdout, err));
    putchar('\n');
    return TIC_OK;
}

static tic_status print_examples(const inspection *view, tic_error *err) {
    for (int s = 0; s < view->steps.count; s++) {
        const tic_step *step = &view->steps.step[s];
        for (int i = 0; i < view->examples && (size_t)i < step->trains; i++) {
            char *caption;
            TIC_TRY(tic_index_caption(view->index, step->train[i], &caption, err));
            tidy(caption);
            printf("%-8s %s\n", i == 0 ? step->name : "", caption);
            tic_free(caption);
        }
    }
    putchar('\n');
    return TIC_OK;
}

static tic_status print_view(const inspection *view, tic_error *err) {
    tic_cli_index_summary(view->folder, view->index, &view->timeline);
    TIC_TRY(print_steps(view, err));
    TIC_TRY(print_examples(view, err));
    printf("shorter side of the pictures: %d to %d pixels, median %d, 90 %% of them %d to %d\n\n",
           view->side[0], view->side[4], view->side[2], view->side[1], view->side[3]);
    return tic_timeline_print(&view->timeline, err);
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static tic_status captions_json(const inspection *view, const tic_step *step, json_t **out,
                                tic_error *err) {
    *out = json_array();
    for (int i = 0; i < view->examples && (size_t)i < step->trains; i++) {
        char *caption;
        tic_status status = tic_index_caption(view->index, step->train[i], &caption, err);
        if (status != TIC_OK) {
            json_decref(*out);
            return status;
        }
        json_array_append_new(*out, json_string(caption));
        tic_free(caption);
    }
    return TIC_OK;
}

static tic_status steps_json(const inspection *view, json_t *list, tic_error *err) {
    for (int s = 0; s < view->steps.count; s++) {
        const tic_step *step = &view->steps.step[s];
        json_t *captions;
        TIC_TRY(captions_json(view, step, &captions, err));
        json_array_append_new(list,
                              json_pack("{s:s, s:I, s:I, s:I, s:I, s:o}", "name", step->name,
                                        "begin", (json_int_t)step->begin, "end",
                                        (json_int_t)step->end, "train", (json_int_t)step->trains,
                                        "held_out", (json_int_t)step->evals, "captions", captions));
    }
    return TIC_OK;
}

static tic_status view_json(const inspection *view, tic_error *err) {
    json_t *steps = json_array();
    tic_status status = steps_json(view, steps, err);
    if (status != TIC_OK) {
        json_decref(steps);
        return status;
    }
    const int *side = view->side;
    return tic_cli_json(
        json_pack("{s:s, s:i, s:I, s:I, s:I, s:o, s:o, s:{s:i, s:i, s:i, s:i, s:i}, s:o}", "folder",
                  view->folder, "shards", tic_index_shards(view->index), "pairs",
                  (json_int_t)tic_index_size(view->index), "first",
                  (json_int_t)view->timeline.first, "last", (json_int_t)view->timeline.last,
                  "rejected", tic_cli_rejects_json(view->index), "steps", steps, "shorter_side",
                  "min", side[0], "p5", side[1], "median", side[2], "p95", side[3], "max", side[4],
                  view->timeline.by_month ? "per_month" : "per_year",
                  tic_timeline_json(&view->timeline)),
        err);
}

/* ---- the verb ------------------------------------------------------------------------------ */

static tic_status make_timeline(inspection *view, tic_error *err) {
    TIC_TRY(tic_timeline_make(&view->timeline, view->index, true, err));
    if (view->timeline.count <= MONTHS)
        return TIC_OK;
    tic_timeline_free(&view->timeline);
    return tic_timeline_make(&view->timeline, view->index, false, err);
}

static tic_status make_view(inspection *view, const tic_experiment *settings, tic_error *err) {
    TIC_TRY(tic_experiment_steps(settings, view->index, &view->steps, err));
    TIC_TRY(make_timeline(view, err));
    return measure(view, err);
}

tic_status tic_verb_data_inspect(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    enum { FLAGS = TIC_INDEX_FLAGS + STEP_SETTINGS + 1 };
    int64_t examples = 1;
    tic_experiment settings;
    tic_index_flags values;
    tic_flag flags[FLAGS];
    tic_experiment_defaults(&settings);
    tic_cli_index_flags(flags, &values);
    for (int i = 0; i < STEP_SETTINGS; i++)
        TIC_TRY(
            tic_cli_setting_flag(&flags[TIC_INDEX_FLAGS + i], step_settings[i], &settings, err));
    flags[FLAGS - 1] = (tic_flag){.name = "examples",
                                  .value = "N",
                                  .help = "captions shown of every step (default 1)",
                                  .type = TIC_FLAG_INT,
                                  .out = &examples,
                                  .max = 1000};
    tic_args args;
    TIC_TRY(tic_cli_parse(verb, flags, FLAGS, argc, argv, &args, err));
    if (args.help)
        return TIC_OK;

    inspection view = {.folder = args.at[0], .examples = (int)examples};
    TIC_TRY(tic_cli_index_open(&view.index, args.at[0], &values, NULL, err));
    tic_status status = make_view(&view, &settings, err);
    if (status == TIC_OK) {
        tic_progress_end();
        status = args.json ? view_json(&view, err) : print_view(&view, err);
    }
    tic_timeline_free(&view.timeline);
    tic_steps_free(&view.steps);
    tic_index_free(view.index);
    return status;
}
