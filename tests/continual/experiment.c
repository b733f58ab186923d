/* Experiments as json: what is written is read back, and what is malformed is refused with its
 * line; which settings may change between the parts of a run. */
#include "tests/continual/folder.h"
#include <criterion/criterion.h>
#include <string.h>

static char folder[TIC_PATH], path[TIC_PATH];
static tic_error err;

static void open_folder(void) {
    make_test_folder(folder);
    snprintf(path, sizeof path, "%.900s/experiment.json", folder);
}
static void close_folder(void) {
    remove_test_folder(folder);
}

TestSuite(experiment, .init = open_folder, .fini = close_folder);

static void write_text(const char *text) {
    cr_assert_eq(tic_file_write(path, text, strlen(text), &err), TIC_OK, "%s", err.text);
}

Test(experiment, round_trip) {
    tic_experiment a, b;
    char *text;
    tic_experiment_defaults(&a);
    const char *const changed[][2] = {{"data", "d\"quote\" é"},
                                      {"out", "o"},
                                      {"macs", "123456789012345678"},
                                      {"lr", "0.00012345678901234567"},
                                      {"filter", "true"},
                                      {"steps", "2006,2007-06"},
                                      {"batch", "96"},
                                      {"precision", "bf16"},
                                      {"schedule", "const-cosine"},
                                      {"memory", "3Gi"}};
    for (size_t i = 0; i < sizeof changed / sizeof changed[0]; i++)
        cr_assert_eq(tic_experiment_set(&a, changed[i][0], changed[i][1], &err), TIC_OK, "%s",
                     err.text);
    cr_assert_eq(tic_experiment_json(&a, &text, &err), TIC_OK);
    write_text(text);
    tic_free(text);
    tic_experiment_defaults(&b);
    cr_assert_eq(tic_experiment_read(&b, path, &err), TIC_OK, "%s", err.text);
    cr_assert(memcmp(&a, &b, sizeof a) == 0, "not what was written");
}

static void refused(const char *text, const char *says) {
    tic_experiment x, before;
    tic_experiment_defaults(&x);
    before = x;
    write_text(text);
    cr_assert_eq(tic_experiment_read(&x, path, &err), TIC_EINPUT, "%s was taken", text);
    cr_assert(strstr(err.text, says) != NULL, "\"%s\" does not say \"%s\"", err.text, says);
    cr_assert(memcmp(&before, &x, sizeof x) == 0, "%s changed something", text);
}

Test(experiment, malformed) {
    refused("", "experiment.json:1");
    refused("{\"batch\": 64,\n \"lr\" 3}", "experiment.json:2");
    refused("[]", "object");
    refused("{\n\"batch\": 64,\n\"leaning_rate\": 1}", "experiment.json:3: unknown setting");
    refused("{\"frist_step\": \"2010\"}", "first-step");
    refused("{\"batch\": \"64\"}", "batch: must be an integer");
    refused("{\"batch\": 64.5}", "batch: must be an integer");
    refused("{\"first_step\": 2010}", "first_step: must be a text");
    refused("{\"filter\": 1}", "filter: must be true or false");
    refused("{\"batch\": 1}", "not in");
    refused("{\"batch\": null}", "must be");
    refused("{\"batch\": 64, \"batch\": 32}", "experiment.json:1");
    refused("{\"macs\": 1e12, \"pairs\": 1000}", "both given");
    refused("{\"precision\": \"fp8\"}", "auto|f32|bf16");
}

Test(experiment, what_may_change_between_parts_of_a_run) {
    tic_experiment a, b;
    tic_experiment_defaults(&a);
    b = a;
    cr_assert(tic_experiment_differs(&a, &b) == NULL);
    for (int i = 0; i < tic_setting_count(); i++) {
        const tic_setting *s = tic_setting_get(i);
        bool free_to_change = strcmp(s->name, "data") == 0 || strcmp(s->name, "out") == 0 ||
                              strcmp(s->name, "index") == 0 || strcmp(s->name, "threads") == 0 ||
                              strcmp(s->name, "save-every") == 0;
        b = a;
        ((char *)&b)[s->offset] ^= 1; /* another text, number, choice */
        const char *name = tic_experiment_differs(&a, &b);
        if (free_to_change)
            cr_assert(name == NULL, "%s", s->name);
        else
            cr_assert(name != NULL && strcmp(name, s->name) == 0, "%s", s->name);
    }
}

Test(experiment, check) {
    tic_experiment x;
    tic_experiment_defaults(&x);
    cr_assert_eq(tic_experiment_check(&x, &err), TIC_EUSAGE);
    cr_assert(strstr(err.text, "data") != NULL);
    strcpy(x.data, "d");
    cr_assert_eq(tic_experiment_check(&x, &err), TIC_EUSAGE);
    cr_assert(strstr(err.text, "out") != NULL);
    strcpy(x.out, "o");
    cr_assert_eq(tic_experiment_check(&x, &err), TIC_OK);
    x.pairs = 0;
    cr_assert_eq(tic_experiment_check(&x, &err), TIC_EUSAGE);
    x.pairs = 1;
    strcpy(x.methods, "sequential,orcale");
    cr_assert_eq(tic_experiment_check(&x, &err), TIC_EUSAGE);
    cr_assert(strstr(err.text, "oracle") != NULL, "%s", err.text);
    strcpy(x.methods, "oracle");
    strcpy(x.label_tree, "subtree");
    cr_assert_eq(tic_experiment_check(&x, &err), TIC_EUSAGE);
    cr_assert(strstr(err.text, "label-field") != NULL, "%s", err.text);
    strcpy(x.label_field, "label");
    cr_assert_eq(tic_experiment_check(&x, &err), TIC_OK);
    strcpy(x.granularity, "iid:4");
    cr_assert_eq(tic_experiment_check(&x, &err), TIC_OK);
    x.min_step = 100;
    cr_assert_eq(tic_experiment_check(&x, &err), TIC_EUSAGE,
                 "random steps are as long as they are");
    strcpy(x.granularity, "year");
    cr_assert_eq(tic_experiment_check(&x, &err), TIC_OK);
}
