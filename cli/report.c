/* ticlip report: a run's results as one self-contained page, RUN/report.html. */
#include "cli/run_output.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct page { /* all borrowed from the results */
    const char *run;
    const json_t *experiment, *machine, *steps, *methods;
} page;

static bool is_strict(const page *p) {
    return strcmp(tic_cli_text(p->experiment, "accounting"), "strict") == 0;
}

/* ---- pieces of html -------------------------------------------------------------------------- */

static void cell(FILE *to, const char *words) {
    fputs("<td>", to);
    tic_draw_words(to, words);
    fputs("</td>", to);
}

static void quantity(FILE *to, double value) {
    char text[32];
    cell(to, value > 0 ? tic_quantity(text, value) : "-");
}

static void score(FILE *to, const json_t *task, const char *key) {
    const json_t *value = json_object_get(task, key);
    char text[64], plain[32];
    snprintf(text, sizeof text, "%s", tic_cli_score(plain, value));
    if (json_is_number(value) && json_is_object(json_object_get(task, "stderrs")))
        snprintf(text, sizeof text, "%s ±%.3f", plain,
                 tic_cli_number(json_object_get(task, "stderrs"), key));
    cell(to, text);
}

/* Opens a table; heads are separated by tabs. */
static void table(FILE *to, const char *title, const char *heads) {
    fputs("<h2>", to);
    tic_draw_words(to, title);
    fputs("</h2>\n<div class=\"wide\"><table><tr><th>", to);
    for (; *heads != '\0'; heads++) {
        if (*heads == '\t')
            fputs("</th><th>", to);
        else
            putc(*heads, to);
    }
    fputs("</th></tr>\n", to);
}

static void end_table(FILE *to) {
    fputs("</table></div>\n", to);
}

/* ---- scores ---------------------------------------------------------------------------------- */

static const json_t *tasks_of(const json_t *method) {
    return json_object_get(method, "tasks");
}

static const json_t *first_tasks(const page *p) {
    return tasks_of(json_object_iter_value(json_object_iter((json_t *)p->methods)));
}

static bool is_static(const char *task) {
    return strncmp(task, "static/", 7) == 0;
}

static void dynamic_scores(FILE *to, const page *p) {
    const char *task, *name;
    json_t *unused, *method;
    table(to, "Dynamic tasks", "task\tmethod\tin-domain\tbackward\tforward\tpairs a step");
    json_object_foreach((json_t *)first_tasks(p), task, unused) {
        if (is_static(task))
            continue;
        json_object_foreach((json_t *)p->methods, name, method) {
            const json_t *t = json_object_get(tasks_of(method), task);
            fputs("<tr>", to);
            cell(to, task);
            cell(to, tic_cli_label(name));
            score(to, t, "in_domain");
            score(to, t, "backward");
            score(to, t, "forward");
            quantity(to, tic_cli_number(t, "pairs"));
            fputs("</tr>\n", to);
        }
    }
    end_table(to);
}

static void static_scores(FILE *to, const page *p) {
    const char *task, *name;
    json_t *unused, *method;
    bool begun = false;
    json_object_foreach((json_t *)first_tasks(p), task, unused) {
        if (!is_static(task))
            continue;
        if (!begun)
            table(to, "Static tasks",
                  "task\tmethod\tmetric\tlast model\tmean of the steps' models");
        begun = true;
        json_object_foreach((json_t *)p->methods, name, method) {
            const json_t *t = json_object_get(tasks_of(method), task);
            fputs("<tr>", to);
            cell(to, task + 7);
            cell(to, tic_cli_label(name));
            cell(to, tic_cli_text(t, "metric"));
            score(to, t, "last");
            score(to, t, "mean");
            fputs("</tr>\n", to);
        }
    }
    if (begun)
        end_table(to);
}

/* ---- budgets --------------------------------------------------------------------------------- */

/* Purposes in the order in which any method has them; their number. */
static int purposes_of(const page *p, const char *names[TIC_SERIES_MAX]) {
    const char *method_name, *purpose;
    json_t *method, *unused;
    int count = 0;
    json_object_foreach((json_t *)p->methods, method_name, method) {
        json_t *by = json_object_get(json_object_get(method, "macs"), "by_purpose");
        json_object_foreach(by, purpose, unused) {
            int at = 0;
            while (at < count && strcmp(names[at], purpose) != 0)
                at++;
            if (at == count && count < TIC_SERIES_MAX)
                names[count++] = purpose;
        }
    }
    return count;
}

static double spent_for(const json_t *method, const char *purpose, const char *currency) {
    const json_t *by = json_object_get(json_object_get(method, "macs"), "by_purpose");
    return tic_cli_number(json_object_get(by, purpose), currency);
}

static void spending_figures(FILE *to, const page *p, tic_bar *bars) {
    tic_bars nominal = {.title = "Nominal MACs against the budget (the line)",
                        .parts = {"training", "beside training"},
                        .part_count = 2,
                        .bars = bars};
    tic_bars issued = {.title = "Issued MACs by purpose", .bars = bars};
    const char *name;
    json_t *method;
    int i = 0;
    json_object_foreach((json_t *)p->methods, name, method) {
        const json_t *macs = json_object_get(method, "macs");
        bars[i++] = (tic_bar){tic_cli_label(name),
                              {tic_cli_number(macs, "nominal"), tic_cli_number(macs, "extra")},
                              tic_cli_number(macs, "budget")};
    }
    nominal.count = issued.count = i;
    tic_draw_bars(to, &nominal);
    issued.part_count = purposes_of(p, issued.parts);
    i = 0;
    json_object_foreach((json_t *)p->methods, name, method) {
        bars[i] = (tic_bar){.name = tic_cli_label(name), .mark = NAN};
        for (int k = 0; k < issued.part_count; k++)
            bars[i].parts[k] = spent_for(method, issued.parts[k], "issued");
        i++;
    }
    tic_draw_bars(to, &issued);
}

static void spending_table(FILE *to, const page *p) {
    const char *purposes[TIC_SERIES_MAX], *name;
    char heads[512] = "method\tbudget\tnominal\tbeside\tof budget\tlogical\tissued\tpadding";
    const int count = purposes_of(p, purposes);
    json_t *method;
    for (int k = 0; k < count; k++) {
        const size_t used = strlen(heads);
        snprintf(heads + used, sizeof heads - used, "\tissued: %.40s", purposes[k]);
    }
    table(to, "Budget and spending", heads);
    json_object_foreach((json_t *)p->methods, name, method) {
        const json_t *macs = json_object_get(method, "macs");
        const double logical = tic_cli_number(macs, "logical"),
                     issued = tic_cli_number(macs, "issued");
        const double charged =
            tic_cli_number(macs, "nominal") + (is_strict(p) ? tic_cli_number(macs, "extra") : 0);
        char text[32];
        fputs("<tr>", to);
        cell(to, tic_cli_label(name));
        quantity(to, tic_cli_number(macs, "budget"));
        quantity(to, tic_cli_number(macs, "nominal"));
        quantity(to, tic_cli_number(macs, "extra"));
        snprintf(text, sizeof text, "%.2f %%",
                 100 * charged / fmax(tic_cli_number(macs, "budget"), 1));
        cell(to, text);
        quantity(to, logical);
        quantity(to, issued);
        snprintf(text, sizeof text, "%.1f %%", 100 * (issued / fmax(logical, 1) - 1));
        cell(to, text);
        for (int k = 0; k < count; k++)
            quantity(to, spent_for(method, purposes[k], "issued"));
        fputs("</tr>\n", to);
    }
    end_table(to);
    fprintf(to,
            "<p>MACs. Nominal is the paper's currency, and what the budget is in; %s. "
            "<i>Beside</i> is a method's other work (teacher, Fisher pass, scoring, patching's "
            "search). Logical is what the shapes needed, issued what the kernels executed, whose "
            "proof is <code>ticlip audit</code>.</p>\n",
            is_strict(p) ? "accounting is strict: what is beside training is charged too"
                         : "accounting is the paper's: what is beside training is not charged");
}

/* ---- matrices -------------------------------------------------------------------------------- */

static const json_t *matrix_of(const json_t *method, const char *task) {
    return json_object_get(json_object_get(tasks_of(method), task), "E");
}

static double top_of(const page *p, const char *task) {
    const char *name;
    json_t *method, *row, *value;
    double top = 0;
    size_t i, j;
    json_object_foreach((json_t *)p->methods, name, method) {
        json_array_foreach(matrix_of(method, task), i, row) json_array_foreach(row, j, value) top =
            fmax(top, json_number_value(value));
    }
    return top;
}

/* One figure a method, all in the same shades. names [steps] and values [steps, steps] are space to
 * work in. */
static void matrices(FILE *to, const page *p, const char *task, const char **names,
                     double *values) {
    const int steps = (int)json_array_size(p->steps);
    const double top = top_of(p, task);
    const char *name;
    json_t *method;
    for (int i = 0; i < steps; i++)
        names[i] = json_string_value(json_array_get(p->steps, (size_t)i));
    json_object_foreach((json_t *)p->methods, name, method) {
        const json_t *e = matrix_of(method, task);
        const char *metric = tic_cli_text(json_object_get(tasks_of(method), task), "metric");
        for (int i = 0; i < steps * steps; i++) {
            const json_t *row = json_array_get(e, (size_t)(i / steps));
            const json_t *value = json_array_get(row, (size_t)(i % steps));
            values[i] = json_is_number(value) ? json_number_value(value) : NAN;
        }
        const tic_heat heat = {.title = tic_cli_label(name),
                               .rows_say = "rows: trained to a step",
                               .columns_say = strcmp(metric, "acc1") == 0
                                                  ? "evaluated on a step: accuracy"
                                                  : "evaluated on a step: mean recall@1",
                               .rows = names,
                               .columns = names,
                               .row_count = steps,
                               .column_count = steps,
                               .decimals = 3,
                               .values = values,
                               .full = top};
        tic_draw_heat(to, &heat);
    }
}

/* Retrieval's first; the others' each under its name, and subsets, which may be many, behind it. */
static void all_matrices(FILE *to, const page *p, const char **names, double *values) {
    const char *task;
    json_t *unused;
    fputs("<h2>Retrieval, matrix by matrix</h2>\n", to);
    matrices(to, p, "retrieval", names, values);
    bool begun = false;
    json_object_foreach((json_t *)first_tasks(p), task, unused) {
        if (is_static(task) || strcmp(task, "retrieval") == 0)
            continue;
        if (!begun)
            fputs("<h2>The other tasks' matrices</h2>\n", to);
        begun = true;
        fprintf(to, "<details%s><summary>", strchr(task, '/') == NULL ? " open" : "");
        tic_draw_words(to, task);
        fputs("</summary>\n", to);
        matrices(to, p, task, names, values);
        fputs("</details>\n", to);
    }
}

/* ---- the page -------------------------------------------------------------------------------- */

static void settings(FILE *to, const page *p) {
    const char *key;
    json_t *value;
    fputs("<h2>Settings and machine</h2>\n<details><summary>All of them</summary><table>\n", to);
    for (int part = 0; part < 2; part++) {
        json_object_foreach((json_t *)(part == 0 ? p->experiment : p->machine), key, value) {
            char *text = json_is_string(value) ? NULL : json_dumps(value, JSON_ENCODE_ANY);
            fputs("<tr>", to);
            cell(to, key);
            cell(to, text != NULL ? text : json_is_string(value) ? json_string_value(value) : "");
            fputs("</tr>\n", to);
            free(text); /* jansson's own memory */
        }
    }
    fputs("</table></details>\n", to);
}

typedef struct drawing {
    const page *page;
    tic_bar *bars;
    const char **names;
    double *values;
} drawing;

static void draw_page(FILE *to, const void *what) {
    const drawing *d = what;
    const page *p = d->page;
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>ticlip: ", to);
    tic_draw_words(to, p->run);
    fputs("</title><style>\n"
          "body{font:15px/1.5 sans-serif;margin:2em auto;max-width:1100px;padding:0 1em}\n"
          "table{border-collapse:collapse;font-size:14px}td,th{padding:.2em .7em;text-align:right;"
          "border-bottom:1px solid #8884;white-space:nowrap}td:first-child,th:first-child,"
          "td:nth-child(2),th:nth-child(2){text-align:left}.wide{overflow-x:auto}"
          "svg{max-width:100%;height:auto;margin:.5em 1em .5em 0}\n"
          "@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}}\n"
          "</style></head><body>\n<h1>",
          to);
    tic_draw_words(to, p->run);
    fprintf(to, "</h1>\n<p>%zu methods, %zu steps; model %s, batch %.0f, seed %.0f, %s",
            json_object_size(p->methods), json_array_size(p->steps),
            tic_cli_text(p->experiment, "model"), tic_cli_number(p->experiment, "batch"),
            tic_cli_number(p->experiment, "seed"), tic_cli_text(p->experiment, "precision"));
    fputs(". Errors are the standard errors of the evaluation sets' sizes.</p>\n", to);
    spending_figures(to, p, d->bars);
    spending_table(to, p);
    dynamic_scores(to, p);
    static_scores(to, p);
    all_matrices(to, p, d->names, d->values);
    settings(to, p);
    fputs("</body></html>\n", to);
}

static tic_status write_page(const json_t *results, const char *run, const char *path,
                             tic_error *err) {
    const page p = {.run = run,
                    .experiment = json_object_get(results, "experiment"),
                    .machine = json_object_get(results, "machine"),
                    .steps = json_object_get(results, "steps"),
                    .methods = json_object_get(results, "methods")};
    const size_t steps = json_array_size(p.steps), methods = json_object_size(p.methods);
    drawing d = {.page = &p};
    if (steps == 0 || methods == 0)
        return tic_fail(err, TIC_EINPUT, "%s/results.json: no methods or no steps", run);
    tic_status status = tic_alloc(&d.bars, methods, sizeof *d.bars, err);
    if (status == TIC_OK)
        status = tic_alloc(&d.names, steps, sizeof *d.names, err);
    if (status == TIC_OK)
        status = tic_alloc(&d.values, steps * steps, sizeof *d.values, err);
    if (status == TIC_OK)
        status = tic_figure_write(path, draw_page, &d, err);
    tic_free(d.bars);
    tic_free(d.names);
    tic_free(d.values);
    return status;
}

tic_status tic_verb_report(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    const char *out = NULL;
    char path[TIC_PATH], *text;
    tic_args args;
    json_error_t where;
    const tic_flag flags[] = {
        {.name = "out",
         .value = "FILE",
         .help = "the page",
         .fallback = "RUN/report.html",
         .type = TIC_FLAG_TEXT,
         .out = &out},
    };
    TIC_TRY(tic_cli_parse(verb, flags, sizeof flags / sizeof flags[0], argc, argv, &args, err));
    if (args.help)
        return TIC_OK;
    if (snprintf(path, sizeof path, "%s/report.html", args.at[0]) >= (int)sizeof path)
        return tic_fail(err, TIC_EUSAGE, "the run's path is too long");
    TIC_TRY(tic_results_read(args.at[0], &text, err));
    json_t *results = json_loads(text, 0, &where);
    tic_free(text);
    if (results == NULL)
        return tic_fail(err, TIC_EINPUT, "%s/results.json:%d: %s", args.at[0], where.line,
                        where.text);
    out = out != NULL ? out : path;
    tic_status status = write_page(results, args.at[0], out, err);
    json_decref(results);
    if (status == TIC_OK && args.json)
        return tic_cli_json(json_pack("{s:i, s:s}", "schema", 1, "report", out), err);
    if (status == TIC_OK)
        printf("%s\n", out);
    return status;
}
