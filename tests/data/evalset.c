/* Evaluation sets and classes.json: loaded whole, or refused with the place of the fault. */
#include "tests/data/support.h"
#include <criterion/criterion.h>
#include <string.h>

enum { SIZE = 16, PICTURES = 5 };

static void add_item(archive *tar, int i, const char *suffix, const char *text) {
    char name[64];
    encoded jpeg = make_jpeg(24, 20, (unsigned)i);
    snprintf(name, sizeof name, "s%04d.jpg", i);
    add_member(tar, name, jpeg.bytes, jpeg.size);
    tic_free(jpeg.bytes);
    snprintf(name, sizeof name, "s%04d.%s", i, suffix);
    if (text)
        add_text(tar, name, text);
}

/* A classification set of two shards; `label` is that of the last sample. */
static void write_classification(const char *folder, const char *label) {
    archive first = {0}, second = {0};
    write_text(folder, "dataset_type.txt", "zeroshot_classification\n");
    write_text(folder, "classnames.txt", "cup\nplate\n\nspoon");
    write_text(folder, "zeroshot_classification_templates.txt", "a photo of a {c}.\r\na {c}.\r\n");
    write_text(folder, "test/nshards.txt", "2\n");
    for (int i = 0; i < PICTURES; i++)
        add_item(i < 3 ? &first : &second, i, "cls",
                 i < PICTURES - 1 ? (i % 2 ? "1" : "2\n") : label);
    end_archive(&first), end_archive(&second);
    save_archive(&first, folder, "test/0.tar"), save_archive(&second, folder, "test/1.tar");
    free_archive(&first), free_archive(&second);
}

static void expect_picture(const uint8_t *pixels, int seed) {
    encoded jpeg = make_jpeg(24, 20, (unsigned)seed);
    tic_image image;
    tic_reject reason;
    uint8_t want[SIZE * SIZE * 3];
    cr_assert(tic_jpeg_decode(&image, jpeg.bytes, jpeg.size, SIZE, &reason, NULL) == TIC_OK);
    cr_assert(tic_preprocess_eval(&image, SIZE, want, NULL) == TIC_OK);
    cr_expect(memcmp(pixels + (size_t)seed * sizeof want, want, sizeof want) == 0);
    tic_free(image.pixels), tic_free(jpeg.bytes);
}

Test(evalset, classification) {
    char folder[TEST_PATH];
    tic_evalset *set;
    tic_error err = {0};
    make_folder(folder);
    write_classification(folder, "0");
    cr_assert(tic_evalset_load(&set, folder, SIZE, &err) == TIC_OK, "%s", err.text);
    cr_expect(!set->retrieval && set->pictures == PICTURES);
    cr_expect(strcmp(set->name, strrchr(folder, '/') + 1) == 0);
    cr_assert(set->class_count == 3 && set->template_count == 2);
    cr_expect(strcmp(set->classes[2], "spoon") == 0);
    cr_expect(strcmp(set->templates[0], "a photo of a {c}.") == 0);
    static const int32_t labels[PICTURES] = {2, 1, 2, 1, 0};
    cr_expect(memcmp(set->labels, labels, sizeof labels) == 0);
    for (int i = 0; i < PICTURES; i++)
        expect_picture(set->pixels, i);
    tic_evalset_free(set);
    char path[TEST_PATH + 32]; /* without its type, with a slash at the end */
    snprintf(path, sizeof path, "%s/dataset_type.txt", folder);
    cr_assert(remove(path) == 0);
    snprintf(path, sizeof path, "%s/", folder);
    cr_assert(tic_evalset_load(&set, path, SIZE, &err) == TIC_OK, "%s", err.text);
    cr_expect(!set->retrieval && strcmp(set->name, strrchr(folder, '/') + 1) == 0);
    tic_evalset_free(set);
    remove_folder(folder);
}

Test(evalset, retrieval) {
    static const char *const texts[] = {"one\n", "two a\ntwo b\n", "\nthree\n\n"};
    char folder[TEST_PATH];
    archive tar = {0};
    tic_evalset *set;
    tic_error err = {0};
    make_folder(folder);
    write_text(folder, "test/nshards.txt", "1");
    for (int i = 0; i < 3; i++)
        add_item(&tar, i, "txt", texts[i]);
    end_archive(&tar);
    save_archive(&tar, folder, "test/0.tar");
    cr_assert(tic_evalset_load(&set, folder, SIZE, &err) == TIC_OK, "%s", err.text);
    cr_expect(set->retrieval && set->pictures == 3);
    cr_assert(set->caption_count == 4);
    static const char *const captions[] = {"one", "two a", "two b", "three"};
    static const int32_t owners[] = {0, 1, 1, 2};
    for (int i = 0; i < 4; i++)
        cr_expect(strcmp(set->captions[i], captions[i]) == 0 &&
                  set->caption_picture[i] == owners[i]);
    tic_evalset_free(set);
    free_archive(&tar);
    remove_folder(folder);
}

static void expect_refused(const char *folder, const char *text) {
    tic_evalset *set;
    tic_error err = {0};
    cr_expect(tic_evalset_load(&set, folder, SIZE, &err) == TIC_EINPUT, "%s", text);
    cr_expect(set == NULL && strstr(err.text, text), "%s, not %s", err.text, text);
}

/* Each fault in a set that is otherwise sound. */
Test(evalset, faults) {
    char folder[TEST_PATH];
    make_folder(folder);
    expect_refused(folder, "test/nshards.txt: no such file");
    static const char *const labels[] = {"3", "-1", "cup", "", "1 2"};
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++) {
        write_classification(folder, labels[i]);
        expect_refused(folder, "sample s0004: its .cls is not the number of a class");
    }
    write_classification(folder, NULL);
    expect_refused(folder, "sample s0004: no class (.cls)");
    write_classification(folder, "0");
    write_text(folder, "dataset_type.txt", "detection");
    expect_refused(folder, "\"detection\"");
    write_classification(folder, "0");
    write_text(folder, "classnames.txt", "");
    expect_refused(folder, "classification needs classnames.txt");
    write_classification(folder, "0");
    write_text(folder, "zeroshot_classification_templates.txt", "a photo");
    expect_refused(folder, "\"a photo\" has no {c}");
    write_classification(folder, "0");
    write_text(folder, "test/nshards.txt", "two");
    expect_refused(folder, "nshards.txt: not a number");
    write_text(folder, "test/nshards.txt", "3");
    expect_refused(folder, "test/2.tar: No such file");
    write_classification(folder, "0");
    write_text(folder, "test/1.tar", "");
    expect_refused(folder, "test/1.tar@0: the file is empty; an evaluation set must be whole");
    archive tar = {0};
    add_text(&tar, "a.jpg", "<html>"), add_text(&tar, "a.cls", "0"), end_archive(&tar);
    save_archive(&tar, folder, "test/1.tar");
    expect_refused(folder, "test/1.tar@0: sample a: not a JPEG that decodes: not-image");
    free_archive(&tar);
    remove_folder(folder);
}

/* ---- classes.json ---------------------------------------------------------------------------- */

Test(classes, loaded) {
    char folder[TEST_PATH];
    tic_classes *classes;
    tic_error err = {0};
    make_folder(folder);
    cr_expect(tic_classes_load(&classes, folder, &err) == TIC_OK && classes == NULL);
    write_text(folder, "classes.json",
               "{\"field\": \"label\", \"templates\": [\"a {c}.\", \"the {c}\"], \"classes\": ["
               "{\"label\": \"cup\", \"name\": \"tea cup\", \"subtree\": \"kitchen\"},"
               "{\"label\": \"car\"}]}");
    cr_assert(tic_classes_load(&classes, folder, &err) == TIC_OK, "%s", err.text);
    cr_expect(strcmp(classes->field, "label") == 0);
    cr_assert(classes->count == 2 && classes->template_count == 2);
    cr_expect(strcmp(classes->templates[1], "the {c}") == 0);
    cr_expect(strcmp(classes->names[0], "tea cup") == 0);
    cr_expect(strcmp(classes->subtrees[0], "kitchen") == 0);
    cr_expect(strcmp(classes->labels[1], "car") == 0);
    cr_expect(strcmp(classes->names[1], "car") == 0 && classes->subtrees[1][0] == 0);
    tic_classes_free(classes);
    remove_folder(folder);
}

Test(classes, faults) {
    static const char *const cases[][2] = {
        {"", "not json"},
        {"{\"field\": ", "line 1"},
        {"[]", "field must be a text"},
        {"{\"field\": 3}", "field must be a text"},
        {"{\"field\": \"f\"}", "templates must be a list"},
        {"{\"field\": \"f\", \"templates\": []}", "templates must be a list"},
        {"{\"field\": \"f\", \"templates\": [\"a\"]}", "templates[0]"},
        {"{\"field\": \"f\", \"templates\": [\"{c}\", 1]}", "templates[1]"},
        {"{\"field\": \"f\", \"templates\": [\"{c}\"]}", "classes must be a list"},
        {"{\"field\": \"f\", \"templates\": [\"{c}\"], \"classes\": [{\"label\": \"a\"}]}",
         "classes must be a list of at least two"},
        {"{\"field\": \"f\", \"templates\": [\"{c}\"], \"classes\": [{\"label\": \"a\"}, {}]}",
         "classes[1].label must be a text"},
        {"{\"field\": \"f\", \"templates\": [\"{c}\"], \"classes\": [{\"label\": \"a\"}, "
         "{\"label\": \"b\", \"name\": 1}]}",
         "classes[1].name must be a text"},
        {"{\"field\": \"f\", \"templates\": [\"{c}\"], \"classes\": [{\"label\": \"a\"}, "
         "{\"label\": \"a\"}]}",
         "classes[0] and classes[1] are both a"},
    };
    char folder[TEST_PATH];
    make_folder(folder);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tic_classes *classes;
        tic_error err = {0};
        write_text(folder, "classes.json", cases[i][0]);
        cr_expect(tic_classes_load(&classes, folder, &err) == TIC_EINPUT, "%s", cases[i][0]);
        cr_expect(classes == NULL && strstr(err.text, "classes.json: ") &&
                      strstr(err.text, cases[i][1]),
                  "%s, not %s", err.text, cases[i][1]);
    }
    remove_folder(folder);
}
