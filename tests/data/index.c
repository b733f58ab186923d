/* The index: what is a pair, what is rejected and why, duplicates, any number of threads, and its
 * file. */
#include "tests/data/support.h"
#include <criterion/criterion.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static const tic_index_options plain = {.threads = 1};

/* ---- reasons -------------------------------------------------------------------------------- */

/* One sample of which a reason makes no pair, made of these members. */
typedef struct faulty {
    const char *key;
    tic_reject reason;
    const char *image, *text, *json; /* NULL: not there; image "good": a JPEG */
    const char *suffix;              /* of the picture, NULL: jpg */
} faulty;

static const char time_only[] = "{\"timestamp\": 1500000000}";
static const faulty faults[] = {
    {"unpaired-picture", TIC_REJECT_UNPAIRED, NULL, "some words here", time_only, NULL},
    {"unpaired-caption", TIC_REJECT_UNPAIRED, "good", NULL, time_only, NULL},
    {"unpaired-empty", TIC_REJECT_UNPAIRED, "good", " \n", time_only, NULL},
    {"json-missing", TIC_REJECT_NO_JSON, "good", "some words here", NULL, NULL},
    {"json-broken", TIC_REJECT_NO_JSON, "good", "some words here", "{\"timestamp\": 15", NULL},
    {"json-list", TIC_REJECT_NO_JSON, "good", "some words here", "[1]", NULL},
    {"time-missing", TIC_REJECT_NO_TIME, "good", "some words here", "{}", NULL},
    {"time-nan", TIC_REJECT_NO_TIME, "good", "some words here", "{\"timestamp\": NaN}", NULL},
    {"time-early", TIC_REJECT_NO_TIME, "good", "some words here", "{\"timestamp\": 5}", NULL},
    {"html", TIC_REJECT_NOT_IMAGE, "<html>404</html>", "some words here", time_only, NULL},
    {"empty", TIC_REJECT_NOT_IMAGE, "", "some words here", time_only, NULL},
    {"png", TIC_REJECT_NOT_IMAGE, "\x89PNG\r\n", "some words here", time_only, "png"},
    {"webp", TIC_REJECT_NOT_IMAGE, "RIFF", "some words here", time_only, "WEBP"},
    {"corrupt", TIC_REJECT_CORRUPT, "\xff\xd8\xff\xe0 not much", "some words here", time_only,
     NULL},
    {"text-latin1", TIC_REJECT_BAD_TEXT, "good", "caf\xe9 in town", time_only, NULL},
};

static void add_faulty(archive *tar, const faulty *f) {
    char name[64];
    encoded jpeg = make_jpeg(16, 16, 7);
    if (f->image && strcmp(f->image, "good") == 0) {
        snprintf(name, sizeof name, "%s.jpg", f->key);
        add_member(tar, name, jpeg.bytes, jpeg.size);
    } else if (f->image) {
        snprintf(name, sizeof name, "%s.%s", f->key, f->suffix ? f->suffix : "jpg");
        add_text(tar, name, f->image);
    }
    tic_free(jpeg.bytes);
    snprintf(name, sizeof name, "%s.txt", f->key);
    if (f->text)
        add_text(tar, name, f->text);
    snprintf(name, sizeof name, "%s.json", f->key);
    if (f->json)
        add_text(tar, name, f->json);
}

/* Every fault in a shard of its own folder: its reason, its key, its place. */
Test(index, reasons) {
    enum { COUNT = sizeof faults / sizeof *faults };
    char folder[TEST_PATH];
    archive tar = {0};
    uint64_t at[COUNT], by_reason[TIC_REJECT_COUNT] = {0};
    make_folder(folder);
    for (int i = 0; i < COUNT; i++) {
        at[i] = tar.size;
        add_faulty(&tar, &faults[i]);
        by_reason[faults[i].reason]++;
    }
    add_sample(&tar, "good", 1, NULL, 1500000000);
    add_text(&tar, "README.md", "belongs to no sample");
    end_archive(&tar);
    save_archive(&tar, folder, "0.tar");
    tic_index *index = must_index(folder, &plain);
    const tic_rejected *list;
    cr_expect(tic_index_size(index) == 1);
    cr_assert(tic_index_rejects(index, &list) == COUNT + 1); /* README is unpaired */
    for (int i = 0; i < COUNT; i++) {
        cr_expect(list[i].reason == faults[i].reason, "%s: %s", faults[i].key,
                  tic_reject_name(list[i].reason));
        cr_expect(list[i].at == at[i] && strcmp(list[i].key, faults[i].key) == 0);
    }
    by_reason[TIC_REJECT_UNPAIRED]++;
    for (int r = 0; r < TIC_REJECT_COUNT; r++)
        cr_expect(tic_index_rejected(index, (tic_reject)r) == by_reason[r], "%s",
                  tic_reject_name((tic_reject)r));
    tic_index_free(index);
    free_archive(&tar);
    remove_folder(folder);
}

Test(index, filter_reasons) {
    char folder[TEST_PATH], *text;
    archive tar = {0};
    tic_error err = {0};
    make_folder(folder);
    add_sample(&tar, "0", 1, "two words", 1500000000);
    add_sample(&tar, "1", 2, "ein roter Hund auf einer Wiese", 1500000000);
    add_sample(&tar, "2", 3, "  a small dog on the beach\n", 1500000000);
    encoded wide = make_jpeg(97, 32, 1);
    add_member(&tar, "3.JPEG", wide.bytes, wide.size);
    add_text(&tar, "3.json", "{\"timestamp\": 1500000000, \"caption\": \"a very long dog\"}");
    tic_free(wide.bytes);
    end_archive(&tar);
    save_archive(&tar, folder, "0.tar");
    tic_index *all = must_index(folder, &plain);
    cr_expect(tic_index_size(all) == 4);
    tic_index_options options = {.threads = 1, .filter = true, .min_side = 24};
    tic_index *some = must_index(folder, &options);
    cr_assert(tic_index_size(some) == 1);
    cr_expect(tic_index_rejected(some, TIC_REJECT_FEW_WORDS) == 1);
    cr_expect(tic_index_rejected(some, TIC_REJECT_NOT_ENGLISH) == 1);
    cr_expect(tic_index_rejected(some, TIC_REJECT_SHAPE) == 1);
    cr_assert(tic_index_caption(some, 0, &text, &err) == TIC_OK, "%s", err.text);
    cr_expect(strcmp(text, "a small dog on the beach") == 0, "%s", text);
    tic_free(text);
    options.min_side = 25;
    tic_index *none = must_index(folder, &options);
    cr_expect(tic_index_size(none) == 0 && tic_index_rejected(none, TIC_REJECT_SHAPE) == 2);
    tic_index_free(all), tic_index_free(some), tic_index_free(none);
    free_archive(&tar);
    remove_folder(folder);
}

/* ---- identity, duplicates ------------------------------------------------------------------- */

static void add_with_uid(archive *tar, const char *key, unsigned seed, const char *caption,
                         const char *uid, long long time) {
    char name[64], json[256];
    encoded jpeg = make_jpeg(16, 16, seed);
    snprintf(name, sizeof name, "%s.jpg", key);
    add_member(tar, name, jpeg.bytes, jpeg.size);
    tic_free(jpeg.bytes);
    snprintf(name, sizeof name, "%s.json", key);
    snprintf(json, sizeof json, "{\"uid\": %s, \"timestamp\": %lld, \"caption\": \"%s\"}", uid,
             time, caption);
    add_text(tar, name, json);
}

Test(index, identities) {
    char folder[TEST_PATH];
    archive tar = {0};
    make_folder(folder);
    add_with_uid(&tar, "a", 1, "one", "\"0123456789abcdefFEDCBA9876543210\"", 1500000000);
    add_with_uid(&tar, "b", 2, "two", "\"some name\"", 1500000000);
    add_with_uid(&tar, "c", 3, "three", "12345", 1500000000);
    add_with_uid(&tar, "d", 4, "four", "null", 1500000000);
    end_archive(&tar);
    save_archive(&tar, folder, "0.tar");
    tic_index *index = must_index(folder, &plain);
    const tic_pair *pairs = tic_index_pairs(index);
    int found = 0;
    cr_assert(tic_index_size(index) == 4);
    for (size_t i = 0; i < 4; i++) {
        tic_id id = pairs[i].id;
        cr_expect(i == 0 || tic_id_compare(pairs[i - 1].id, id) < 0);
        if (id.hi == 0x0123456789abcdefu && id.lo == 0xfedcba9876543210u)
            found |= 1;
        if (tic_id_compare(id, tic_id_of("some name", 9)) == 0)
            found |= 2;
        if (tic_id_compare(id, tic_id_of("12345", 5)) == 0)
            found |= 4;
        if (tic_id_compare(id, pairs[i].content) == 0)
            found |= 8;
    }
    cr_expect(found == 15, "%d", found);
    tic_index_free(index);
    free_archive(&tar);
    remove_folder(folder);
}

/* Copies by content and by identity, over two shards: the earliest stays, then the first in file
 * order. */
Test(index, duplicates) {
    char folder[TEST_PATH];
    archive first = {0}, second = {0};
    make_folder(folder);
    add_with_uid(&first, "late", 1, "same", "\"x\"", 1500000900);
    add_with_uid(&first, "tie-1", 2, "tie", "\"t1\"", 1500000000);
    add_with_uid(&first, "same-uid-late", 3, "three", "\"u\"", 1500000001);
    end_archive(&first);
    add_with_uid(&second, "early", 1, "same", "\"y\"", 1500000100);
    add_with_uid(&second, "tie-2", 2, "tie  ", "\"t2\"", 1500000000);
    add_with_uid(&second, "same-uid-early", 4, "four", "\"u\"", 1500000000);
    add_with_uid(&second, "other-caption", 1, "not the same", "\"z\"", 1500000100);
    end_archive(&second);
    save_archive(&first, folder, "0.tar");
    save_archive(&second, folder, "1.tar");
    tic_index *index = must_index(folder, &plain);
    const tic_rejected *list;
    cr_expect(tic_index_size(index) == 4);
    cr_assert(tic_index_rejects(index, &list) == 3);
    cr_expect(strcmp(list[0].key, "late") == 0 && list[0].reason == TIC_REJECT_DUPLICATE);
    cr_expect(strcmp(list[1].key, "same-uid-late") == 0 && list[1].shard == 0);
    cr_expect(strcmp(list[2].key, "tie-2") == 0 && list[2].shard == 1);
    tic_index_free(index);
    free_archive(&first), free_archive(&second);
    remove_folder(folder);
}

/* ---- keys ----------------------------------------------------------------------------------- */

static void expect_refused(const archive *tar, const char *text) {
    char folder[TEST_PATH];
    tic_index *index = NULL;
    tic_error err = {0};
    make_folder(folder);
    save_archive(tar, folder, "0.tar");
    cr_expect(tic_index_build(&index, folder, &plain, &err) == TIC_EINPUT);
    cr_expect(index == NULL && strstr(err.text, text), "%s, not %s", err.text, text);
    remove_folder(folder);
}

Test(index, keys) {
    char where[64];
    archive interleaved = {0}, twice = {0}, folders = {0};
    add_text(&interleaved, "a.txt", "one"), add_text(&interleaved, "b.txt", "two");
    snprintf(where, sizeof where, "0.tar@%zu: key a came before", interleaved.size);
    add_text(&interleaved, "a.json", "{}"), end_archive(&interleaved);
    expect_refused(&interleaved, where);
    add_text(&twice, "a.txt", "one");
    snprintf(where, sizeof where, "0.tar@%zu: sample a has a second .TXT", twice.size);
    add_text(&twice, "a.TXT", "two"), end_archive(&twice);
    expect_refused(&twice, where);
    /* The folder is part of the key. */
    add_sample(&folders, "x/0", 1, NULL, 1500000000),
        add_sample(&folders, "y/0", 2, NULL, 1500000000);
    end_archive(&folders);
    char folder[TEST_PATH];
    make_folder(folder);
    save_archive(&folders, folder, "0.tar");
    tic_index *index = must_index(folder, &plain);
    cr_expect(tic_index_size(index) == 2);
    tic_index_free(index);
    remove_folder(folder);
    free_archive(&interleaved), free_archive(&twice), free_archive(&folders);
}

Test(index, folders) {
    char folder[TEST_PATH];
    tic_index *index;
    tic_error err = {0};
    make_folder(folder);
    cr_expect(tic_index_build(&index, folder, &plain, &err) == TIC_EINPUT);
    cr_expect(strstr(err.text, "no shard"), "%s", err.text);
    write_text(folder, "0.tar", "");
    cr_expect(tic_index_build(&index, folder, &plain, &err) == TIC_EINPUT);
    cr_expect(strstr(err.text, "0.tar@0: the file is empty"), "%s", err.text);
    remove_folder(folder);
    cr_expect(tic_index_build(&index, folder, &plain, &err) == TIC_EINPUT);
    cr_expect(strstr(err.text, "No such file"), "%s", err.text);
}

/* ---- threads -------------------------------------------------------------------------------- */

static void expect_same(const tic_index *a, const tic_index *b) {
    const tic_rejected *ra, *rb;
    size_t rejects = tic_index_rejects(a, &ra);
    cr_assert(tic_index_size(a) == tic_index_size(b));
    cr_assert(tic_index_rejects(b, &rb) == rejects);
    cr_expect(
        memcmp(tic_index_pairs(a), tic_index_pairs(b), tic_index_size(a) * sizeof(tic_pair)) == 0);
    cr_expect(memcmp(ra, rb, rejects * sizeof *ra) == 0);
    cr_expect(tic_id_compare(tic_index_hash(a), tic_index_hash(b)) == 0);
}

/* Several shards with all faults and duplicates in each. */
static void write_mixture(const char *folder) {
    for (int s = 0; s < 3; s++) {
        archive tar = {0};
        char name[32];
        for (int i = 0; i < 150; i++) {
            char key[32];
            snprintf(key, sizeof key, "%d-%d", s, i);
            add_sample(&tar, key, (unsigned)(i % 100), i % 100 < 50 ? "a copy of a copy" : NULL,
                       1500000000 + (i * 7919 + s * 104729) % 5000);
        }
        for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
            add_faulty(&tar, &faults[i]);
        end_archive(&tar);
        snprintf(name, sizeof name, "%d.tar", s);
        save_archive(&tar, folder, name);
        free_archive(&tar);
    }
}

Test(index, threads) {
    char folder[TEST_PATH];
    make_folder(folder);
    write_mixture(folder);
    tic_index_options options = {.threads = 1};
    tic_index *one = must_index(folder, &options);
    cr_expect(tic_index_rejected(one, TIC_REJECT_DUPLICATE) > 100);
    for (options.threads = 2; options.threads <= 4; options.threads++) {
        tic_index *more = must_index(folder, &options);
        expect_same(one, more);
        tic_index_free(more);
    }
    tic_index_free(one);
    remove_folder(folder);
}

/* Errors are the same for any number of threads, too: that of the first shard in order. */
Test(index, threads_and_errors) {
    char folder[TEST_PATH], first[TIC_ERROR_TEXT] = "";
    make_folder(folder);
    for (int s = 0; s < 6; s++) {
        archive tar = {0};
        char name[32];
        add_text(&tar, "a.txt", "one"), add_text(&tar, s == 0 ? "a.json" : "a.txt", "{}");
        end_archive(&tar);
        snprintf(name, sizeof name, "%d.tar", s);
        save_archive(&tar, folder, name);
        free_archive(&tar);
    }
    for (int round = 0; round < 40; round++) {
        tic_index_options options = {.threads = 1 + round % 4};
        tic_index *index;
        tic_error err = {0};
        cr_assert(tic_index_build(&index, folder, &options, &err) == TIC_EINPUT);
        cr_expect(strstr(err.text, "1.tar@"), "%s", err.text);
        cr_expect(first[0] == 0 || strcmp(first, err.text) == 0, "%s, then %s", first, err.text);
        memcpy(first, err.text, sizeof first);
    }
    remove_folder(folder);
}

/* ---- file ------------------------------------------------------------------------------------ */

static tic_index *load(const char *path, const char *folder, const tic_index_options *options) {
    tic_index *index = NULL;
    tic_error err = {0};
    cr_assert(tic_index_load(&index, path, folder, options, &err) == TIC_OK, "%s", err.text);
    return index;
}

Test(index, saved) {
    char folder[TEST_PATH], path[2 * TEST_PATH], *text;
    tic_error err = {0};
    make_folder(folder);
    write_mixture(folder);
    snprintf(path, sizeof path, "%s/index", folder);
    cr_expect(load(path, folder, &plain) == NULL); /* not there yet */
    tic_index *made = must_index(folder, &plain);
    cr_assert(tic_index_save(made, path, &err) == TIC_OK, "%s", err.text);
    tic_index *loaded = load(path, folder, &plain);
    cr_assert(loaded != NULL);
    expect_same(made, loaded);
    for (int r = 0; r < TIC_REJECT_COUNT; r++)
        cr_expect(tic_index_rejected(made, (tic_reject)r) ==
                  tic_index_rejected(loaded, (tic_reject)r));
    cr_assert(tic_index_field(loaded, 3, "timestamp", &text, &err) == TIC_OK, "%s", err.text);
    cr_expect(atoll(text) == tic_index_pairs(loaded)[3].time);
    tic_free(text);
    cr_assert(tic_index_field(loaded, 3, "key", &text, &err) == TIC_OK && text != NULL);
    tic_free(text);
    cr_assert(tic_index_field(loaded, 3, "nothing", &text, &err) == TIC_OK && text == NULL);
    tic_index_free(made), tic_index_free(loaded);
    remove_folder(folder);
}

Test(index, stale) {
    char folder[TEST_PATH], path[2 * TEST_PATH], shard[2 * TEST_PATH], *text;
    tic_error err = {0};
    make_folder(folder);
    write_mixture(folder);
    snprintf(path, sizeof path, "%s/index", folder);
    snprintf(shard, sizeof shard, "%s/1.tar", folder);
    tic_index *made = must_index(folder, &plain);
    cr_assert(tic_index_save(made, path, &err) == TIC_OK, "%s", err.text);
    cr_expect(load(path, folder, &(tic_index_options){.filter = true}) == NULL);
    cr_expect(load(path, folder, &(tic_index_options){.max_bad = 1}) == NULL);
    tic_index *other_threads = load(path, folder, &(tic_index_options){.threads = 3});
    cr_expect(other_threads != NULL);
    tic_index_free(other_threads);
    struct timespec times[2] = {{.tv_sec = 1000}, {.tv_sec = 1000}};
    cr_assert(utimensat(AT_FDCWD, shard, times, 0) == 0);
    cr_expect(load(path, folder, &plain) == NULL);
    uint32_t there = 0; /* a pair of the shard that changed */
    while (tic_index_pairs(made)[there].shard != 1)
        there++;
    cr_expect(tic_index_caption(made, there, &text, &err) == TIC_EINPUT);
    cr_expect(strstr(err.text, "1.tar") && strstr(err.text, "changed"), "%s", err.text);
    cr_assert(remove(shard) == 0);
    cr_expect(load(path, folder, &plain) == NULL);
    tic_index_free(made);
    remove_folder(folder);
}

/* Any byte changed, any length cut: made again, never believed. */
Test(index, damaged_file) {
    char folder[TEST_PATH], path[2 * TEST_PATH];
    tic_error err = {0};
    size_t size;
    make_folder(folder);
    write_days(folder, 4);
    snprintf(path, sizeof path, "%s/index", folder);
    tic_index *made = must_index(folder, &plain);
    cr_assert(tic_index_save(made, path, &err) == TIC_OK, "%s", err.text);
    char *bytes = read_whole(path, &size);
    for (size_t i = 0; i < size; i += 5) {
        bytes[i] ^= 0x10;
        write_file(folder, "index", bytes, size);
        cr_expect(load(path, folder, &plain) == NULL, "byte %zu", i);
        bytes[i] ^= 0x10;
        write_file(folder, "index", bytes, i);
        cr_expect(load(path, folder, &plain) == NULL, "cut at %zu", i);
    }
    write_file(folder, "index", bytes, size);
    tic_index *again = load(path, folder, &plain);
    cr_expect(again != NULL);
    tic_index_free(made), tic_index_free(again);
    tic_free(bytes);
    remove_folder(folder);
}
