/* ticlip compare: ranks runs that may be compared. */
#include "cli/cli.h"

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

static double number_of(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

static tic_status print_ranking(json_t *rows, tic_error *err) {
    tic_table table;
    char budget[32], spent[32];
    size_t i;
    json_t *row;
    tic_table_begin(&table, ">rank\t<run\t<method\t>in-domain\t>backward\t>forward\t>mean\t"
                            ">nominal MACs\t>of a budget of");
    json_array_foreach(rows, i, row)
        tic_table_row(&table, "%zu\t%s\t%s\t%.4f\t%.4f\t%.4f\t%.4f\t%s\t%s", i + 1,
                      text_of(row, "run"), text_of(row, "method"), number_of(row, "in_domain"),
                      number_of(row, "backward"), number_of(row, "forward"), number_of(row, "mean"),
                      tic_quantity(spent, number_of(row, "nominal")),
                      tic_quantity(budget, number_of(row, "budget")));
    return tic_table_end(&table, stdout, err);
}

tic_status tic_verb_compare(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    tic_args args;
    char *text;
    TIC_TRY(tic_cli_parse(verb, NULL, 0, argc, argv, &args, err));
    if (args.help)
        return TIC_OK;
    TIC_TRY(tic_compare(args.at, args.count, &text, err));
    json_t *ranking = json_loads(text, 0, NULL);
    tic_free(text);
    if (args.json)
        return tic_cli_json(ranking, err);
    tic_status status = print_ranking(json_object_get(ranking, "runs"), err);
    json_decref(ranking);
    return status;
}
