/* The table of settings: every type, ranges, nearest names, and the two ways to give the budget. */
#include "continual/continual.h"
#include <criterion/criterion.h>
#include <string.h>

static tic_experiment x;
static tic_error err;

static void fresh(void) {
    tic_experiment_defaults(&x);
}

TestSuite(settings, .init = fresh);

static void refused(const char *name, const char *value, const char *says) {
    tic_experiment before = x;
    cr_assert_eq(tic_experiment_set(&x, name, value, &err), TIC_EUSAGE, "%s=%s", name, value);
    cr_assert(strstr(err.text, says) != NULL, "\"%s\" does not say \"%s\"", err.text, says);
    cr_assert(memcmp(&before, &x, sizeof x) == 0, "%s=%s changed something", name, value);
}

static void taken(const char *name, const char *value) {
    cr_assert_eq(tic_experiment_set(&x, name, value, &err), TIC_OK, "%s", err.text);
}

Test(settings, every_row_lies_in_the_struct_and_has_help) {
    for (int i = 0; i < tic_setting_count(); i++) {
        const tic_setting *s = tic_setting_get(i);
        cr_assert(s->offset + s->size <= sizeof(tic_experiment), "%s", s->name);
        cr_assert(s->help != NULL && s->value != NULL, "%s", s->name);
        for (int k = 0; k < i; k++)
            cr_assert(tic_setting_get(k)->offset != s->offset &&
                          strcmp(tic_setting_get(k)->name, s->name) != 0,
                      "%s twice", s->name);
    }
}

Test(settings, types) {
    taken("data", "some/where");
    cr_assert_str_eq(x.data, "some/where");
    taken("first_step", "2010");
    taken("first-step", "2011");
    cr_assert_str_eq(x.first_step, "2011");
    taken("batch", "64");
    cr_assert_eq(x.batch, 64);
    taken("memory", "2Gi");
    cr_assert_eq(x.memory, (int64_t)2 << 30);
    taken("pairs", "1.5M");
    cr_assert_eq(x.pairs, 1500000);
    taken("pairs", "2k");
    cr_assert_eq(x.pairs, 2000);
    taken("memory", "0.5Ti");
    cr_assert_eq(x.memory, (int64_t)1 << 39);
    taken("lr", "5e-4");
    cr_assert(x.lr == 5e-4);
    taken("filter", "true");
    cr_assert(x.filter);
    taken("precision", "bf16");
    cr_assert_eq((int)x.precision, TIC_PRECISION_BF16);
    taken("schedule", "const-cosine");
    cr_assert_eq((int)x.schedule, TIC_CONST_COSINE);
    taken("granularity", "month");
    cr_assert_str_eq(x.granularity, "month");
    taken("granularity", "iid:12");
    cr_assert_str_eq(x.granularity, "iid:12");
    taken("accounting", "strict");
    cr_assert_eq((int)x.accounting, TIC_STRICT);
}

Test(settings, refusals) {
    refused("bacth", "64", "batch");
    refused("eval_pair", "64", "eval-pairs");
    refused("batch", "64x", "not a number");
    refused("batch", "", "not a number");
    refused("batch", "1", "2 ..");
    refused("batch", "2.5", "whole");
    refused("lr", "nan", "not a number");
    refused("lr", "-1", "not in");
    refused("memory", "2Q", "not a number");
    refused("memory", "1e308P", "not a number");
    refused("batch", "2k", "not a number");
    refused("precision", "fp16", "auto|f32|bf16");
    refused("filter", "yes", "false|true");
    refused("macs", "1e19", "not in");
    char longer[TIC_PATH + 1];
    memset(longer, 'a', TIC_PATH);
    longer[TIC_PATH] = '\0';
    refused("data", longer, "longer than 1023");
}

Test(settings, the_last_budget_counts) {
    taken("macs", "1e15");
    cr_assert(x.macs == 1e15 && x.pairs == 0);
    taken("pairs", "1000");
    cr_assert(x.macs == 0 && x.pairs == 1000);
    taken("macs", "0");
    cr_assert_eq(x.pairs, 1000, "a budget of nothing is no budget");
}

Test(settings, random_steps_are_2_to_999) {
    tic_experiment_defaults(&x);
    const char *const bad[] = {"iid:0", "iid:1", "iid:1000", "iid:5000"};
    for (int i = 0; i < 4; i++)
        cr_assert_eq(tic_experiment_set(&x, "granularity", bad[i], &err), TIC_EUSAGE);
    cr_assert_str_eq(x.granularity, "year");
    cr_assert_eq(tic_experiment_set(&x, "granularity", "iid:2", &err), TIC_OK);
    cr_assert_eq(tic_experiment_set(&x, "granularity", "iid:999", &err), TIC_OK);
}
