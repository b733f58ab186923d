/* ticlip eval: any checkpoint on the held-out pairs of every step and on the static tasks. */
#include "cli/run_output.h"
#include <string.h>

/* The settings that an evaluation needs, out of an experiment's. */
static const char *const names[] = {
    "data",     "index",      "vocab",      "granularity", "first-step",  "steps",
    "min-step", "eval-pairs", "batch",      "seed",        "threads",     "precision",
    "max-bad",  "filter",     "time-field", "keywords",    "label-field", "label-tree"};
enum { NAMES = sizeof names / sizeof names[0] };

/* The run's settings where it lies in one; the line is read first for the checkpoint's name. */
static tic_status parse(const tic_verb *verb, int argc, char **argv, tic_experiment *x,
                        tic_args *args, tic_error *err) {
    tic_flag flags[NAMES];
    tic_experiment_defaults(x);
    for (int i = 0; i < NAMES; i++)
        TIC_TRY(tic_cli_data_flag(&flags[i], names[i], x, err));
    TIC_TRY(tic_cli_parse(verb, flags, NAMES, argc, argv, args, err));
    if (args->help)
        return TIC_OK;
    tic_experiment_defaults(x);
    TIC_TRY(tic_checkpoint_settings(args->at[0], x, &x->batch, err));
    return tic_cli_parse(verb, flags, NAMES, argc, argv, args, err);
}

static void dynamic_row(tic_table *table, const char *task, const json_t *entry) {
    char line[1024];
    size_t used = 0, i;
    json_t *value;
    json_array_foreach(json_object_get(entry, "per_step"), i, value) {
        char score[32];
        int wrote = snprintf(line + used, sizeof line - used, "\t%s", tic_cli_score(score, value));
        used += (size_t)wrote;
        if (used >= sizeof line)
            break;
    }
    tic_table_row(table, "%s\t%s%s", task, json_string_value(json_object_get(entry, "metric")),
                  used > 0 ? line : "");
}

static tic_status print_dynamic(const json_t *steps, const json_t *tasks, tic_error *err) {
    tic_table table;
    char heads[1024];
    const char *task;
    json_t *entry;
    size_t i;
    size_t used = (size_t)snprintf(heads, sizeof heads, "<task\t<metric");
    json_array_foreach(steps, i, entry) if (used < sizeof heads) used +=
        (size_t)snprintf(heads + used, sizeof heads - used, "\t>%s", json_string_value(entry));
    tic_table_begin(&table, heads);
    json_object_foreach((json_t *)tasks, task, entry) if (json_object_get(entry, "per_step") !=
                                                          NULL) dynamic_row(&table, task, entry);
    return tic_table_end(&table, stdout, err);
}

static tic_status print_static(const json_t *tasks, tic_error *err) {
    tic_table table;
    const char *task;
    json_t *entry;
    tic_table_begin(&table, "<task\t<metric\t>score\t>n");
    json_object_foreach((json_t *)tasks, task, entry) {
        char score[32];
        const json_t *value = json_object_get(entry, "value");
        if (value != NULL)
            tic_table_row(&table, "%s\t%s\t%s\t%.0f", task,
                          json_string_value(json_object_get(entry, "metric")),
                          tic_cli_score(score, value),
                          json_number_value(json_object_get(entry, "pairs")));
    }
    return tic_table_end(&table, stdout, err);
}

static tic_status print_text(const char *text, tic_error *err) {
    json_t *document = json_loads(text, 0, NULL);
    const json_t *tasks = json_object_get(document, "tasks");
    printf("%s on the held-out pairs of every step\n\n",
           json_string_value(json_object_get(document, "checkpoint")));
    tic_status status = print_dynamic(json_object_get(document, "steps"), tasks, err);
    printf("\nStatic tasks\n\n");
    if (status == TIC_OK)
        status = print_static(tasks, err);
    json_decref(document);
    return status;
}

tic_status tic_verb_eval(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    tic_experiment x;
    tic_args args;
    char *text;
    TIC_TRY(parse(verb, argc, argv, &x, &args, err));
    if (args.help)
        return TIC_OK;
    TIC_TRY(tic_cli_experiment_index(&x, err));
    tic_hooks hooks = tic_cli_hooks();
    TIC_TRY(tic_evaluate_checkpoint(&x, args.at[0], &hooks, &text, err));
    tic_progress_end();
    tic_status status = args.json ? tic_cli_json_text(text, err) : print_text(text, err);
    tic_free(text);
    return status;
}
