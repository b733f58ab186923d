/* The table of methods and lists of their names. */
#include "continual/continual.h"
#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <string.h>

static tic_error err;

Test(methods, the_papers_rows) {
    const tic_method *m;
    cr_assert(eq(int, tic_method_find(&m, "sequential", &err), TIC_OK));
    cr_assert(m->start == TIC_START_LAST && m->pool == TIC_POOL_NEW && !m->grows);
    cr_assert(eq(int, tic_method_find(&m, "cumulative-all", &err), TIC_OK));
    cr_assert(m->start == TIC_START_LAST && m->pool == TIC_POOL_ALL && !m->grows);
    cr_assert(eq(int, tic_method_find(&m, "oracle", &err), TIC_OK));
    cr_assert(m->start == TIC_START_RANDOM && m->pool == TIC_POOL_ALL && m->grows);
}

Test(methods, lists) {
    const tic_method *list[16];
    int count;
    cr_assert(eq(int, tic_method_list("all", list, 16, &count, &err), TIC_OK));
    cr_assert(eq(int, count, tic_method_count()));
    cr_assert(eq(int, tic_method_list("oracle,sequential", list, 16, &count, &err), TIC_OK));
    cr_assert(eq(int, count, 2));
    cr_assert(eq(str, (char *)list[0]->name, "oracle"));
    cr_assert(eq(int, tic_method_list("oracle,sequential", list, 1, &count, &err), TIC_EUSAGE));
}

static void refused(const char *names, const char *says) {
    const tic_method *list[16];
    int count;
    cr_assert(eq(int, tic_method_list(names, list, 16, &count, &err), TIC_EUSAGE), "%s", names);
    cr_assert(strstr(err.text, says) != NULL, "\"%s\" does not say \"%s\"", err.text, says);
}

Test(methods, refusals) {
    refused("", "unknown method");
    refused("oracle,", "unknown method");
    refused("oracle,oracle", "twice");
    refused("cumulative_all", "cumulative-all");
    refused("sequentail", "sequential");
}
