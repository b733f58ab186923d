/* Plan files load whole or not at all, with the reason. */
#include "autotune/autotune.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[64];
static tic_error err;

static void make_path(void) {
    snprintf(path, sizeof path, "plan-%d.txt", (int)getpid());
}
static void remove_path(void) {
    unlink(path);
}
TestSuite(plan_file, .init = make_path, .fini = remove_path);

static void save_default(const char *fingerprint) {
    tic_plan *plan = NULL;
    cr_assert_eq(tic_plan_new(&plan, &err), TIC_OK, "%s", err.text);
    cr_assert_eq(tic_plan_complete(plan, TIC_ISA_LIMIT_PORTABLE, &err), TIC_OK, "%s", err.text);
    cr_assert_gt(tic_plan_lines(plan), 0);
    cr_assert_eq(tic_plan_save(plan, fingerprint, path, &err), TIC_OK, "%s", err.text);
    tic_plan_free(plan);
}

static void expect_refused(const char *fingerprint, const char *reason) {
    tic_plan *plan = (tic_plan *)&err;
    err.text[0] = '\0';
    cr_expect_eq(tic_plan_load(&plan, path, fingerprint, &err), TIC_EINPUT);
    cr_expect_null(plan);
    cr_expect_not_null(strstr(err.text, reason), "wanted \"%s\" in \"%s\"", reason, err.text);
    cr_expect_not_null(strstr(err.text, path), "%s", err.text);
}

Test(plan_file, loads_what_it_saved) {
    save_default("machine A");
    tic_plan *plan = NULL, *wanted = NULL;
    cr_assert_eq(tic_plan_load(&plan, path, "machine A", &err), TIC_OK, "%s", err.text);
    tic_plan_new(&wanted, &err);
    tic_plan_complete(wanted, TIC_ISA_LIMIT_PORTABLE, &err);
    cr_assert_eq(tic_plan_lines(plan), tic_plan_lines(wanted));
    for (int i = 0; i < tic_plan_lines(plan); i++)
        cr_expect_str_eq(tic_plan_line(plan, i), tic_plan_line(wanted, i));
    tic_plan_free(plan);
    tic_plan_free(wanted);
}

Test(plan_file, another_machine_is_refused_unless_not_asked) {
    save_default("machine A");
    expect_refused("machine B", "another machine");
    tic_plan *plan = NULL;
    cr_expect_eq(tic_plan_load(&plan, path, NULL, &err), TIC_OK, "%s", err.text);
    tic_plan_free(plan);
}

/* Not tic_file_write: two thousand durable writes would take a slow disk a quarter of a minute. */
static void damage(const char *bytes, size_t size) {
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    cr_assert_eq(fwrite(bytes, 1, size, file), size);
    cr_assert_eq(fclose(file), 0);
}

Test(plan_file, every_cut_and_every_flipped_bit_is_refused) {
    save_default("machine A");
    char *bytes = NULL;
    size_t size = 0;
    cr_assert_eq(tic_file_read(path, 1 << 20, &bytes, &size, &err), TIC_OK);
    for (size_t cut = 0; cut < size; cut++) {
        tic_plan *plan = NULL;
        damage(bytes, cut);
        cr_expect_eq(tic_plan_load(&plan, path, NULL, &err), TIC_EINPUT, "cut at %zu", cut);
        tic_plan_free(plan);
    }
    for (size_t at = 0; at < size; at++) {
        tic_plan *plan = NULL;
        bytes[at] ^= 1 << (at % 7);
        damage(bytes, size);
        cr_expect_eq(tic_plan_load(&plan, path, NULL, &err), TIC_EINPUT, "flipped at %zu", at);
        bytes[at] ^= 1 << (at % 7);
        tic_plan_free(plan);
    }
    tic_free(bytes);
}

Test(plan_file, a_missing_file_is_named) {
    snprintf(path, sizeof path, "no-such-plan.txt");
    expect_refused(NULL, "no-such-plan.txt");
}
