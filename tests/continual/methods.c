/* The table of methods and lists of their names. */
#include "continual/continual.h"
#include <criterion/criterion.h>
#include <string.h>

static tic_error err;

Test(methods, the_papers_rows) {
    const tic_method *m;
    cr_assert_eq(tic_method_find(&m, "sequential", &err), TIC_OK);
    cr_assert(m->start == TIC_START_LAST && m->pool == TIC_POOL_NEW && !m->grows);
    cr_assert_eq(tic_method_find(&m, "cumulative-all", &err), TIC_OK);
    cr_assert(m->start == TIC_START_LAST && m->pool == TIC_POOL_ALL && !m->grows);
    cr_assert_eq(tic_method_find(&m, "oracle", &err), TIC_OK);
    cr_assert(m->start == TIC_START_RANDOM && m->pool == TIC_POOL_ALL && m->grows);
}

Test(methods, lists) {
    const tic_method *list[64];
    int count;
    cr_assert_eq(tic_method_list("all", list, 64, &count, &err), TIC_OK);
    cr_assert_eq(count, tic_method_count());
    cr_assert_eq(tic_method_list("oracle,sequential", list, 64, &count, &err), TIC_OK);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(list[0]->name, "oracle");
    cr_assert_eq(tic_method_list("oracle,sequential", list, 1, &count, &err), TIC_EUSAGE);
}

static void refused(const char *names, const char *says) {
    const tic_method *list[16];
    int count;
    cr_assert_eq(tic_method_list(names, list, 16, &count, &err), TIC_EUSAGE, "%s", names);
    cr_assert(strstr(err.text, says) != NULL, "\"%s\" does not say \"%s\"", err.text, says);
}

Test(methods, refusals) {
    refused("", "unknown method");
    refused("oracle,", "unknown method");
    refused("oracle,oracle", "twice");
    refused("cumulative_all", "cumulative-all");
    refused("sequentail", "sequential");
}
