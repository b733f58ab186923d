/* The ledger's chain: reopened, torn, edited, cut, shuffled. */
#include "continual/room.h"
#include "tests/continual/folder.h"
#include <criterion/criterion.h>
#include <string.h>

static char folder[TIC_PATH], path[TIC_PATH];
static tic_error err;

static void open_folder(void) {
    make_test_folder(folder);
    snprintf(path, sizeof path, "%.900s/ledger.jsonl", folder);
}
static void close_folder(void) {
    remove_test_folder(folder);
}
TestSuite(ledger, .init = open_folder, .fini = close_folder);

static void add(tic_ledger *ledger, const char *event, const char *method, const char *step) {
    json_t *json = json_pack("{s:s, s:s, s:s}", "event", event, "method", method, "step", step);
    cr_assert_eq(tic_ledger_add(ledger, json, &err), TIC_OK, "%s", err.text);
}

static void write_four(void) {
    tic_ledger ledger;
    cr_assert_eq(tic_ledger_open(&ledger, path, &err), TIC_OK, "%s", err.text);
    add(&ledger, "begin", "", "");
    add(&ledger, "step_end", "a", "2016");
    add(&ledger, "step_end", "b", "2016");
    add(&ledger, "step_end", "b", "2017");
    tic_ledger_close(&ledger);
}

static char *text_of(size_t *size) {
    char *text;
    cr_assert_eq(tic_file_read(path, 1 << 20, &text, size, &err), TIC_OK);
    return text;
}

static size_t events_now(void) {
    tic_ledger ledger;
    cr_assert_eq(tic_ledger_open(&ledger, path, &err), TIC_OK, "%s", err.text);
    size_t count = json_array_size(ledger.events);
    tic_ledger_close(&ledger);
    return count;
}

Test(ledger, goes_on_where_it_was) {
    tic_ledger ledger;
    write_four();
    cr_assert_eq(tic_ledger_open(&ledger, path, &err), TIC_OK, "%s", err.text);
    cr_assert_eq(json_array_size(ledger.events), 4);
    add(&ledger, "more", "a", "2018");
    cr_assert(tic_ledger_find(&ledger, "step_end", "a", "2017") == NULL);
    const json_t *found = tic_ledger_find(&ledger, "step_end", NULL, NULL);
    cr_assert_str_eq(json_string_value(json_object_get(found, "step")), "2017");
    cr_assert_eq(json_integer_value(json_object_get(found, "seq")), 3);
    tic_ledger_close(&ledger);
    cr_assert_eq(events_now(), 5);
}

Test(ledger, a_torn_last_line_does_not_count_and_is_cut_off) {
    size_t size;
    write_four();
    char *text = text_of(&size);
    size_t last = size - 1;
    while (text[last - 1] != '\n')
        last--; /* where the last line begins */
    for (size_t cut = last; cut < size; cut += 7) {
        cr_assert_eq(tic_file_write(path, text, cut, &err), TIC_OK);
        cr_assert_eq(events_now(), 3, "cut at %zu", cut);
        tic_ledger ledger;
        cr_assert_eq(tic_ledger_open(&ledger, path, &err), TIC_OK);
        add(&ledger, "after", "the", "crash");
        tic_ledger_close(&ledger);
        cr_assert_eq(events_now(), 4, "cut at %zu", cut);
    }
    tic_free(text);
}

static void broken(const char *text, size_t size, const char *where) {
    tic_ledger ledger;
    cr_assert_eq(tic_file_write(path, text, size, &err), TIC_OK);
    cr_assert_eq(tic_ledger_open(&ledger, path, &err), TIC_EVERIFY, "not noticed");
    cr_assert(strstr(err.text, where) != NULL, "\"%s\" does not say \"%s\"", err.text, where);
}

Test(ledger, changed_dropped_and_swapped_lines) {
    size_t size;
    write_four();
    char *text = text_of(&size), *line2 = strchr(text, '\n') + 1, *line3 = strchr(line2, '\n') + 1;
    char *copy;
    cr_assert_eq(tic_alloc(&copy, size + 1, 1, &err), TIC_OK);

    memcpy(copy, text, size);
    char *a = strstr(copy, "\"a\"");
    a[1] = 'c'; /* line 2 names another method: line 3 knows */
    broken(copy, size, "ledger.jsonl:3");

    size_t first = (size_t)(line2 - text);
    memcpy(copy, text, first);
    memcpy(copy + first, line3, size - (size_t)(line3 - text));
    broken(copy, size - (size_t)(line3 - line2), "ledger.jsonl:2");

    memcpy(copy, text, size);
    memcpy(copy + first, "garbage\n", 8);
    broken(copy, first + 8, "ledger.jsonl:2");
    broken(line2, size - first, "ledger.jsonl:1");
    tic_free(copy);
    tic_free(text);
}
