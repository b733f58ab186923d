/* Subsets by words of the captions, and classes from a json field: tasks against a look at the
 * captions and fields themselves. */
#include "tests/continual/tiny.h"
#include <ctype.h>

static tic_error err;
static tic_experiment x;
static char folder[TIC_PATH];
static tic_session s;

static void open_session(void) {
    char world[TIC_PATH];
    make_test_folder(folder);
    tiny_experiment(&x, folder, "x");
    tiny_world(world, "full");
    set(&x, "data", world);
    cr_assert(tic_make_folder(x.out, &err) == TIC_OK);
    s = (tic_session){.x = &x};
    cr_assert(tic_config_find(&s.config, x.model, &err) == TIC_OK, "%s", err.text);
    cr_assert(tic_session_data(&s, &err) == TIC_OK, "%s", err.text);
    cr_assert(tic_session_vocab(&s, NULL, &err) == TIC_OK, "%s", err.text);
}
static void close_session(void) {
    tic_session_close(&s);
    remove_test_folder(folder);
}
TestSuite(subsets, .init = open_session, .fini = close_session, .timeout = 120);

static tic_tasks *tasks_with(const char *keywords, const char *field, const char *tree) {
    tic_tasks *tasks;
    tic_tasks_options options = {.image_size = 16,
                                 .context = 24,
                                 .threads = 1,
                                 .keywords = keywords,
                                 .label_field = field,
                                 .label_tree = tree};
    cr_assert(tic_tasks_load(&tasks, x.data, s.index, &s.steps, s.vocab, &options, &err) == TIC_OK,
              "%s", err.text);
    return tasks;
}

/* " a red cup. " has the words a, red and cup. */
static bool has_word(const char *text, const char *word) {
    char padded[4096], wanted[80];
    size_t n = 0;
    padded[n++] = ' ';
    for (; *text != '\0' && n + 2 < sizeof padded; text++)
        padded[n++] = isalnum((unsigned char)*text) || (unsigned char)*text >= 0x80
                          ? (char)tolower((unsigned char)*text)
                          : ' ';
    padded[n++] = ' ';
    padded[n] = '\0';
    snprintf(wanted, sizeof wanted, " %s ", word);
    return strstr(padded, wanted) != NULL;
}

Test(subsets, words_of_captions) {
    tic_tasks *tasks = tasks_with("lumina,PHOTO", "", "");
    int found[2] = {0, 0};
    cr_assert_eq(tasks->keywords, 2);
    for (int i = 0; i < tasks->steps; i++)
        for (int64_t k = 0; k < tasks->step[i].n; k++) {
            char *text;
            cr_assert(tic_index_caption(s.index, s.steps.step[i].eval[k], &text, &err) == TIC_OK);
            uint32_t bits = tasks->step[i].keyword[k];
            cr_assert_eq(bits & 1, has_word(text, "lumina"), "%s", text);
            cr_assert_eq(bits >> 1 & 1, has_word(text, "photo"), "%s", text);
            found[0] += bits & 1;
            found[1] += bits >> 1 & 1;
            tic_free(text);
        }
    cr_assert(found[0] > 0 && found[1] > 0, "words that never occur prove nothing");
    tic_tasks_free(tasks);
}

Test(subsets, classes_from_a_field) {
    tic_tasks *from_file = tasks_with("", "", ""), *from_field = tasks_with("", "label", "domain");
    const tic_classes *a = from_file->classes, *b = from_field->classes;
    cr_assert(a != NULL && b != NULL && b->count >= 2);
    for (int i = 1; i < b->count; i++)
        cr_assert(strcmp(b->labels[i - 1], b->labels[i]) < 0);
    for (int i = 0; i < from_file->steps; i++)
        for (int64_t k = 0; k < from_file->step[i].n; k++) {
            int one = from_file->step[i].label[k], other = from_field->step[i].label[k];
            cr_assert((one < 0) == (other < 0));
            cr_assert(one < 0 || strcmp(a->labels[one], b->labels[other]) == 0);
        }
    tic_tasks_free(from_file);
    tic_tasks_free(from_field);
}

Test(subsets, refusals) {
    tic_tasks *tasks;
    tic_tasks_options options = {.image_size = 16, .context = 24, .threads = 1};
    options.label_field = "nothing";
    cr_assert_eq(tic_tasks_load(&tasks, x.data, s.index, &s.steps, s.vocab, &options, &err),
                 TIC_EINPUT);
    cr_assert(strstr(err.text, "\"nothing\" has 0 values") != NULL, "%s", err.text);
    options.label_field = NULL;
    options.keywords = "a,,b";
    cr_assert_eq(tic_tasks_load(&tasks, x.data, s.index, &s.steps, s.vocab, &options, &err),
                 TIC_EUSAGE);
}
