/* Progress lines and result tables of `run`, `train` and `eval`. */
#include "cli/run_output.h"
#include <math.h>
#include <string.h>
#include <unistd.h>

const char *tic_cli_label(const char *method) {
    const tic_method *row;
    return tic_method_find(&row, method, NULL) == TIC_OK ? row->label : method;
}

/* ---- progress ------------------------------------------------------------------------------ */

static void show_iteration(const tic_event *e) {
    char left[32] = "?";
    if (e->seconds_left >= 0)
        tic_duration(left, e->seconds_left);
    /* What matters most first: a narrow terminal cuts the end off. */
    tic_progress_show(
        "%s %s | %lld/%lld | %s left | %.1f %% of the budget | loss %.3f | lr %.1e | %.0f pairs/s "
        "| %.0f GMAC/s nominal, %.0f logical",
        tic_cli_label(e->method), e->step, (long long)e->iteration, (long long)e->iterations, left,
        100 * e->share, e->loss, e->lr, e->pairs_per_second, e->nominal_gmacs, e->logical_gmacs);
}

static void show_step(const tic_event *e) {
    char left[32] = "";
    bool known = e->seconds_left > 0;
    if (known)
        tic_duration(left, e->seconds_left);
    tic_progress_note(
        "%s %s: %lld iterations, in-domain recall@1 %.3f | %.1f %% of the budget%s%s%s",
        tic_cli_label(e->method), e->step, (long long)e->iterations, e->in_domain, 100 * e->share,
        known ? " | " : "", left, known ? " left" : "");
}

static void on_event(void *user, const tic_event *event) {
    switch (event->kind) {
    case TIC_EVENT_NOTE:
        tic_progress_note("%s", event->text);
        return;
    case TIC_EVENT_PREPARE:
        tic_progress_work(user, event->text, event->done, event->total);
        return;
    case TIC_EVENT_ITERATION:
        show_iteration(event);
        return;
    case TIC_EVENT_STEP_DONE:
        show_step(event);
        return;
    }
}

tic_hooks tic_cli_hooks(void) {
    tic_cli_catch_signals();
    return (tic_hooks){.event = on_event, .stop = tic_cli_stopped};
}

/* ---- values and matrices ------------------------------------------------------------------- */

tic_status tic_cli_json_text(const char *text, tic_error *err) {
    json_error_t where;
    json_t *document = json_loads(text, 0, &where);
    if (document == NULL)
        return tic_fail(err, TIC_EINPUT, "results.json:%d: %s", where.line, where.text);
    return tic_cli_json(document, err);
}

tic_status
tic_cli_show(char *text, const char *svg, bool json,
             tic_status (*draw)(const json_t *document, const char *path, tic_error *err),
             tic_status (*print)(const json_t *document, tic_error *err), tic_error *err) {
    json_t *document = json_loads(text, 0, NULL);
    tic_progress_end();
    tic_free(text);
    if (document == NULL)
        return tic_fail(err, TIC_EINTERNAL, "an analysis that is no json");
    tic_status status = svg != NULL ? draw(document, svg, err) : TIC_OK;
    if (status == TIC_OK && json)
        return tic_cli_json(document, err);
    if (status == TIC_OK)
        status = print(document, err);
    json_decref(document);
    return status;
}

const char *tic_cli_score(char text[32], const json_t *value) {
    if (json_is_number(value))
        snprintf(text, 32, "%.3f", json_number_value(value));
    else
        snprintf(text, 32, "-");
    return text;
}

/* Greys and greens of the 256-colour palette, dark for low scores; black or white letters. */
static void shaded(const json_t *value, double top) {
    static const int shades[] = {235, 237, 22, 28, 34, 40, 46};
    enum { SHADES = sizeof shades / sizeof shades[0] };
    char text[32];
    tic_cli_score(text, value);
    if (!json_is_number(value) || !(top > 0) || isatty(STDOUT_FILENO) != 1) {
        printf("  %7s", text);
        return;
    }
    int shade = (int)(json_number_value(value) / top * (SHADES - 0.001));
    shade = shade < 0 ? 0 : shade >= SHADES ? SHADES - 1 : shade;
    printf("  \033[48;5;%d;38;5;%dm%7s\033[0m", shades[shade], shade > 3 ? 16 : 231, text);
}

static double largest_of(const json_t *e) {
    double top = 0;
    size_t i, j;
    json_t *row, *value;
    json_array_foreach(e, i, row) json_array_foreach(row, j, value) top =
        fmax(top, json_number_value(value));
    return top;
}

void tic_cli_matrix(const char *title, const json_t *steps, const json_t *e) {
    double top = largest_of(e);
    size_t i, j;
    json_t *row, *value;
    printf("\n%s\n  %-10s", title, "");
    json_array_foreach(steps, i, value) printf("  %7s", json_string_value(value));
    putchar('\n');
    json_array_foreach(e, i, row) {
        printf("  %-10s", json_string_value(json_array_get(steps, i)));
        json_array_foreach(row, j, value) shaded(value, top);
        putchar('\n');
    }
}

/* ---- tables -------------------------------------------------------------------------------- */

static double number_at(const json_t *object, const char *a, const char *b) {
    const json_t *value = json_object_get(object, a);
    return json_number_value(b != NULL ? json_object_get(value, b) : value);
}

/* "0.453 ±0.012" */
static const char *with_error(char text[48], const json_t *task, const char *name) {
    const json_t *value = json_object_get(task, name);
    if (json_is_number(value))
        snprintf(text, 48, "%.3f ±%.3f", json_number_value(value),
                 json_number_value(json_object_get(json_object_get(task, "stderrs"), name)));
    else
        snprintf(text, 48, "-");
    return text;
}

/* What is charged to the budget; strict accounting charges what is beside training too. */
static double charged(const json_t *method, bool strict) {
    return number_at(method, "macs", "nominal") + (strict ? number_at(method, "macs", "extra") : 0);
}

static tic_status retrieval_table(const json_t *methods, bool strict, tic_error *err) {
    tic_table table;
    const char *name;
    json_t *method;
    tic_table_begin(&table, "<method\t>in-domain\t>backward\t>forward\t>nominal MACs\t>of "
                            "budget\t>beside\t>logical MACs\t>pairs\t>time");
    json_object_foreach((json_t *)methods, name, method) {
        char in[48], back[48], forth[48], macs[32], logical[32], pairs[32], time[32],
            extra[32] = "-";
        const json_t *task = json_object_get(json_object_get(method, "tasks"), "retrieval");
        double nominal = number_at(method, "macs", "nominal");
        if (number_at(method, "macs", "extra") > 0)
            tic_quantity(extra, number_at(method, "macs", "extra"));
        tic_table_row(&table, "%s\t%s\t%s\t%s\t%s\t%.1f %%\t%s\t%s\t%s\t%s", tic_cli_label(name),
                      with_error(in, task, "in_domain"), with_error(back, task, "backward"),
                      with_error(forth, task, "forward"), tic_quantity(macs, nominal),
                      100 * charged(method, strict) / fmax(number_at(method, "macs", "budget"), 1),
                      extra, tic_quantity(logical, number_at(method, "macs", "logical")),
                      tic_quantity(pairs, number_at(method, "pairs_seen", NULL)),
                      tic_duration(time, number_at(method, "seconds", NULL)));
    }
    return tic_table_end(&table, stdout, err);
}

/* The currencies of docs/macs.md beside each other; none stands in for another. */
static tic_status macs_table(const json_t *results, tic_error *err) {
    tic_table table;
    const char *name;
    json_t *method;
    const json_t *experiment = json_object_get(results, "experiment");
    const char *model = json_string_value(json_object_get(experiment, "model"));
    const char *pmu =
        json_string_value(json_object_get(json_object_get(results, "machine"), "pmu"));
    printf("\nMACs of training\n\n");
    tic_table_begin(&table, "<method\t>nominal\t>logical\t>issued\t>issued/logical\t>hardware");
    json_object_foreach(json_object_get(results, "methods"), name, method) {
        char nominal[32], logical[32], issued[32], hardware[32] = "-";
        if (number_at(method, "macs", "hardware") > 0)
            tic_quantity(hardware, number_at(method, "macs", "hardware"));
        tic_table_row(&table, "%s\t%s\t%s\t%s\t%.3f\t%s", tic_cli_label(name),
                      tic_quantity(nominal, number_at(method, "macs", "nominal")),
                      tic_quantity(logical, number_at(method, "macs", "logical")),
                      tic_quantity(issued, number_at(method, "macs", "issued")),
                      number_at(method, "macs", "issued") /
                          fmax(number_at(method, "macs", "logical"), 1),
                      hardware);
    }
    TIC_TRY(tic_table_end(&table, stdout, err));
    printf(
        "\ncertified: `ticlip audit --model %s --batch %.0f` steps the kernels that issued them\n"
        "hardware: %s\n",
        model != NULL ? model : "MODEL", number_at(experiment, "batch", NULL),
        pmu != NULL ? pmu : "not asked");
    return TIC_OK;
}

static bool is_static(const char *task) {
    return strncmp(task, "static/", 7) == 0;
}

/* Dynamic tasks other than retrieval of all pairs, a row for each task and method. */
static tic_status dynamic_table(const json_t *methods, const json_t *tasks, tic_error *err) {
    tic_table table;
    const char *task, *name;
    json_t *unused, *method;
    tic_table_begin(&table, "<task\t<method\t>in-domain\t>backward\t>forward");
    json_object_foreach((json_t *)tasks, task, unused) {
        const char *shown = task;
        if (is_static(task) || strcmp(task, "retrieval") == 0)
            continue;
        json_object_foreach((json_t *)methods, name, method) {
            char in[48], back[48], forth[48];
            const json_t *one = json_object_get(json_object_get(method, "tasks"), task);
            tic_table_row(&table, "%s\t%s\t%s\t%s\t%s", shown, tic_cli_label(name),
                          with_error(in, one, "in_domain"), with_error(back, one, "backward"),
                          with_error(forth, one, "forward"));
            shown = "";
        }
    }
    return tic_table_end(&table, stdout, err);
}

/* The last model's score and, in brackets, the mean over all steps' models. */
static tic_status static_table(const json_t *methods, const json_t *tasks, tic_error *err) {
    tic_table table;
    const char *task, *name;
    json_t *unused, *method;
    tic_table_begin(&table, "<task\t<method\t<metric\t>last\t>mean\t>n");
    json_object_foreach((json_t *)tasks, task, unused) {
        const char *shown = task;
        if (!is_static(task))
            continue;
        json_object_foreach((json_t *)methods, name, method) {
            char last[32], mean[32];
            const json_t *one = json_object_get(json_object_get(method, "tasks"), task);
            const char *metric = json_string_value(json_object_get(one, "metric"));
            tic_table_row(
                &table, "%s\t%s\t%s\t%s\t%s\t%.0f", shown, tic_cli_label(name),
                metric != NULL ? metric : "-", tic_cli_score(last, json_object_get(one, "last")),
                tic_cli_score(mean, json_object_get(one, "mean")), number_at(one, "pairs", NULL));
            shown = "";
        }
    }
    return tic_table_end(&table, stdout, err);
}

static bool any_task(const json_t *tasks, bool wants_static) {
    const char *task;
    json_t *unused;
    json_object_foreach((json_t *)tasks, task,
                        unused) if (is_static(task) == wants_static &&
                                    strcmp(task, "retrieval") != 0) return true;
    return false;
}

static void print_matrices(const json_t *methods, const json_t *steps) {
    const char *name;
    json_t *method;
    json_object_foreach((json_t *)methods, name, method) {
        char title[160];
        const json_t *task = json_object_get(json_object_get(method, "tasks"), "retrieval");
        snprintf(title, sizeof title,
                 "%s: recall@1 after training to a step (row) on the pairs of a step (column)",
                 tic_cli_label(name));
        if (task != NULL)
            tic_cli_matrix(title, steps, json_object_get(task, "E"));
    }
}

/* Says what was measured, on how many pairs, and what guessing would reach. */
static void print_retrieval_title(const json_t *task) {
    double fewest = number_at(task, "pairs", NULL), most = fewest;
    const json_t *each = json_object_get(task, "pairs_per_step");
    for (size_t i = 0; i < json_array_size(each); i++)
        most = fmax(most, json_number_value(json_array_get(each, i)));
    printf("Retrieval on held-out pairs: mean recall@1 of ");
    if (fewest < most)
        printf("%.0f to %.0f pairs a step (chance %.4f to\n%.4f)", fewest, most, 1 / most,
               1 / fmax(fewest, 1));
    else
        printf("%.0f pairs a step (chance %.4f)", most, 1 / fmax(most, 1));
    printf(", ± the\nstandard error of the evaluation sets' size\n\n");
}

static bool is_strict(const json_t *results) {
    const json_t *accounting =
        json_object_get(json_object_get(results, "experiment"), "accounting");
    const char *text = json_string_value(accounting);
    return text != NULL && strcmp(text, "strict") == 0;
}

static tic_status print_results(const json_t *results, const char *run, tic_error *err) {
    const json_t *methods = json_object_get(results, "methods");
    const json_t *steps = json_object_get(results, "steps");
    const json_t *first = json_object_iter_value(json_object_iter((json_t *)methods));
    const json_t *tasks = json_object_get(first, "tasks");
    print_retrieval_title(json_object_get(tasks, "retrieval"));
    TIC_TRY(retrieval_table(methods, is_strict(results), err));
    TIC_TRY(macs_table(results, err));
    print_matrices(methods, steps);
    if (any_task(tasks, false)) {
        printf("\nClassification and subsets of the held-out pairs\n\n");
        TIC_TRY(dynamic_table(methods, tasks, err));
    }
    if (any_task(tasks, true)) {
        printf("\nStatic tasks: the last model's score, and the mean over the steps' models\n\n");
        TIC_TRY(static_table(methods, tasks, err));
    }
    printf("\nFiles: %s/results.json, ledger.jsonl, METHOD/STEP/ (OpenCLIP checkpoints),\n"
           "METHOD/events.out.tfevents.* (TensorBoard)\n",
           run);
    return TIC_OK;
}

static tic_status print_text(const char *text, const char *run, tic_error *err) {
    json_error_t where;
    json_t *results = json_loads(text, 0, &where);
    if (results == NULL)
        return tic_fail(err, TIC_EINPUT, "%s/results.json:%d: %s", run, where.line, where.text);
    tic_status status = print_results(results, run, err);
    json_decref(results);
    return status;
}

tic_status tic_cli_run_results(const char *run, bool json, tic_error *err) {
    char *text;
    tic_progress_end();
    TIC_TRY(tic_results_read(run, &text, err));
    tic_status status = json ? tic_cli_json_text(text, err) : print_text(text, run, err);
    tic_free(text);
    return status;
}
