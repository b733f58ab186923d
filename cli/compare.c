/* ticlip compare: ranks runs that may be compared, or sets one experiment beside the paper. */
#include "cli/run_output.h"
#include <string.h>

/* "0.391 ±0.004", without the error where there is none, "-" without a number. */
static const char *with_error(char text[48], const json_t *mean, const json_t *error) {
    if (json_is_number(mean) && json_is_number(error))
        snprintf(text, 48, "%.3f ±%.3f", json_number_value(mean), json_number_value(error));
    else if (json_is_number(mean))
        snprintf(text, 48, "%.3f", json_number_value(mean));
    else
        snprintf(text, 48, "-");
    return text;
}

static const char *spread(char text[48], const json_t *value) {
    return with_error(text, json_object_get(value, "mean"), json_object_get(value, "stderr"));
}

/* ---- the ranking ----------------------------------------------------------------------------- */

static const char *measure(char text[48], const json_t *row, const char *key) {
    return with_error(text, json_object_get(row, key),
                      json_object_get(json_object_get(row, "stderrs"), key));
}

static size_t most_seeds(const json_t *rows) {
    size_t i, most = 0;
    json_t *row;
    json_array_foreach(rows, i, row) {
        const size_t seeds = json_array_size(json_object_get(row, "seeds"));
        most = seeds > most ? seeds : most;
    }
    return most;
}

static tic_status ranking_table(const json_t *rows, tic_error *err) {
    tic_table table;
    char budget[32], spent[32], in[48], back[48], forth[48], mean[48];
    size_t i;
    json_t *row;
    tic_table_begin(&table, ">rank\t<run\t<method\t>seeds\t>in-domain\t>backward\t>forward\t>mean\t"
                            ">nominal MACs\t>of a budget of");
    json_array_foreach(rows, i, row) tic_table_row(
        &table, "%zu\t%s\t%s\t%zu\t%s\t%s\t%s\t%s\t%s\t%s", i + 1, tic_cli_text(row, "run"),
        tic_cli_text(row, "method"), json_array_size(json_object_get(row, "seeds")),
        measure(in, row, "in_domain"), measure(back, row, "backward"),
        measure(forth, row, "forward"), measure(mean, row, "mean"),
        tic_quantity(spent, tic_cli_number(row, "nominal")),
        tic_quantity(budget, tic_cli_number(row, "budget")));
    return tic_table_end(&table, stdout, err);
}

/* Every dynamic task, with Appendix F's relative forms, method by method. */
static tic_status dynamic_table(const json_t *rows, tic_error *err) {
    static const char *const keys[] = {"in_domain", "backward", "forward", "relative_backward",
                                       "relative_forward"};
    tic_table table;
    const char *task;
    size_t i;
    json_t *row, *unused;
    const json_t *tasks = json_object_get(json_array_get(rows, 0), "tasks");
    tic_table_begin(&table, "<task\t<run\t<method\t>in-domain\t>backward\t>forward\t>backward, "
                            "relative\t>forward, relative");
    json_object_foreach((json_t *)tasks, task, unused) {
        if (strncmp(task, "static/", 7) == 0)
            continue;
        json_array_foreach(rows, i, row) {
            const json_t *one = json_object_get(json_object_get(row, "tasks"), task);
            char cell[5][48];
            for (int k = 0; k < 5; k++)
                spread(cell[k], json_object_get(one, keys[k]));
            tic_table_row(&table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", i == 0 ? task : "",
                          tic_cli_text(row, "run"), tic_cli_text(row, "method"), cell[0], cell[1],
                          cell[2], cell[3], cell[4]);
        }
    }
    return tic_table_end(&table, stdout, err);
}

static tic_status static_table(const json_t *rows, tic_error *err) {
    tic_table table;
    const char *task;
    size_t i;
    json_t *row, *unused;
    const json_t *tasks = json_object_get(json_array_get(rows, 0), "tasks");
    tic_table_begin(&table, "<task\t<run\t<method\t>last\t>mean");
    json_object_foreach((json_t *)tasks, task, unused) {
        if (strncmp(task, "static/", 7) != 0)
            continue;
        json_array_foreach(rows, i, row) {
            const json_t *one = json_object_get(json_object_get(row, "tasks"), task);
            char last[48], mean[48];
            tic_table_row(&table, "%s\t%s\t%s\t%s\t%s", i == 0 ? task : "",
                          tic_cli_text(row, "run"), tic_cli_text(row, "method"),
                          spread(last, json_object_get(one, "last")),
                          spread(mean, json_object_get(one, "mean")));
        }
    }
    return tic_table_end(&table, stdout, err);
}

static tic_status print_ranking(const json_t *rows, bool all, tic_error *err) {
    TIC_TRY(ranking_table(rows, err));
    if (all) {
        printf("\nDynamic tasks; relative: E[i][j] - E[i][i] instead of E[i][j]\n\n");
        TIC_TRY(dynamic_table(rows, err));
        printf("\nStatic tasks: the last model's score, and the mean over the steps' models\n\n");
        TIC_TRY(static_table(rows, err));
    }
    if (most_seeds(rows) > 1)
        printf("\nMeans over seeds, ± the standard error of the mean by their spread\n");
    return TIC_OK;
}

/* ---- beside the paper ------------------------------------------------------------------------ */

static const char *share(char text[48], const json_t *shares, const char *key) {
    return with_error(text, json_object_get(shares, key), NULL);
}

static tic_status print_paper(const json_t *document, tic_error *err) {
    static const char *const keys[] = {"macs", "backward", "in_domain", "forward", "static"};
    const json_t *of = json_object_get(document, "of");
    const char *retrieval = tic_cli_text(of, "retrieval");
    const size_t seeds = json_array_size(json_object_get(document, "seeds"));
    tic_table table;
    size_t i;
    json_t *row;
    printf("Each method divided by %s; beside each the paper's on %s\n\n",
           tic_cli_label(tic_cli_text(of, "macs")), tic_cli_text(document, "label"));
    tic_table_begin(&table, "<method\t>MACs\t>paper\t>backward\t>paper\t>in-domain\t>paper\t>"
                            "forward\t>paper\t>static\t>paper");
    json_array_foreach(json_object_get(document, "methods"), i, row) {
        const json_t *ours = json_object_get(row, "ours"), *paper = json_object_get(row, "paper");
        char a[5][48], b[5][48];
        for (int k = 0; k < 5; k++) {
            spread(a[k], json_object_get(ours, keys[k]));
            share(b[k], paper, keys[k]);
        }
        /* MACs are the same for every seed. */
        share(a[0], json_object_get(ours, "macs"), "mean");
        tic_table_row(&table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s",
                      tic_cli_text(row, "label"), a[0], b[0], a[1], b[1], a[2], b[2], a[3], b[3],
                      a[4], b[4]);
    }
    TIC_TRY(tic_table_end(&table, stdout, err));
    if (strcmp(retrieval, tic_cli_text(of, "macs")) != 0)
        printf("\nRetrieval is divided by %s's: the paper has none of %s on %s.\n",
               tic_cli_label(retrieval), tic_cli_label(tic_cli_text(of, "macs")),
               tic_cli_text(document, "label"));
    printf(
        "\nMACs with what a method does beside training; static: mean of the last model's static "
        "tasks\n(the paper's: of 28); %zu seed%s%s\n",
        seeds, seeds == 1 ? "" : "s",
        seeds > 1 ? ", ± the standard error of the mean by their spread" : "");
    return TIC_OK;
}

static const char *percent(char text[48], const json_t *row, const char *key) {
    const json_t *value = json_object_get(row, key);
    if (json_is_number(value))
        snprintf(text, 48, "%.1f", json_number_value(value));
    else
        snprintf(text, 48, "-");
    return text;
}

static tic_status print_numbers(const json_t *document, tic_error *err) {
    static const char *const keys[] = {"imagenet", "shifts",    "flickr30k", "static",
                                       "backward", "in_domain", "forward"};
    const char *name, *method;
    json_t *paper, *row;
    json_object_foreach(json_object_get(document, "papers"), name, paper) {
        tic_table table;
        printf("The paper's Table 2, %s (%s), in per cent\n\n", tic_cli_text(paper, "label"), name);
        tic_table_begin(&table, "<method\t>MACs\t>ImageNet\t>its shifts\t>Flickr30k\t>mean of "
                                "28\t>backward\t>in-domain\t>forward");
        json_object_foreach(json_object_get(paper, "methods"), method, row) {
            char cell[7][48];
            for (int k = 0; k < 7; k++)
                percent(cell[k], row, keys[k]);
            tic_table_row(&table, "%s\t%.1e\t%s\t%s\t%s\t%s\t%s\t%s\t%s", tic_cli_label(method),
                          tic_cli_number(row, "macs"), cell[0], cell[1], cell[2], cell[3], cell[4],
                          cell[5], cell[6]);
        }
        TIC_TRY(tic_table_end(&table, stdout, err));
        putchar('\n');
    }
    return TIC_OK;
}

/* ---- the verb -------------------------------------------------------------------------------- */

static tic_status make(const tic_args *args, const char *paper, char **text, tic_error *err) {
    if (paper == NULL)
        return tic_compare(args->at, args->count, text, err);
    if (args->count == 0)
        return tic_paper_json(paper, text, err);
    return tic_compare_paper(args->at, args->count, paper, text, err);
}

tic_status tic_verb_compare(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    tic_args args;
    const char *paper = NULL;
    bool tasks = false;
    char *text;
    const tic_flag flags[] = {
        {.name = "paper",
         .value = "NAME",
         .help =
             "each method divided by Oracle, beside the paper's Table 2: tic-yfcc, tic-redcaps, "
             "tic-datacomp-m, tic-datacomp-l or tic-datacomp-xl; without a RUN the paper's "
             "numbers alone (also all)",
         .type = TIC_FLAG_TEXT,
         .out = &paper},
        {.name = "tasks",
         .help =
             "also every other task, the relative forms (paper, Appendix F) and the static sets",
         .type = TIC_FLAG_SWITCH,
         .out = &tasks},
    };
    TIC_TRY(tic_cli_parse(verb, flags, 2, argc, argv, &args, err));
    if (args.help)
        return TIC_OK;
    if (args.count == 0 && paper == NULL)
        return tic_fail(err, TIC_EUSAGE, "compare: a RUN is missing (usage: ticlip compare %s)",
                        verb->usage);
    TIC_TRY(make(&args, paper, &text, err));
    json_t *document = json_loads(text, 0, NULL);
    tic_free(text);
    if (args.json)
        return tic_cli_json(document, err);
    tic_status status = paper == NULL ? print_ranking(json_object_get(document, "runs"), tasks, err)
                        : args.count == 0 ? print_numbers(document, err)
                                          : print_paper(document, err);
    json_decref(document);
    return status;
}
