/* The generated data set: same bytes, sound archives, drift where it should be and nowhere else. */
#include "data/world/room.h"
#include <criterion/criterion.h>
#include <ftw.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 512, BLOCK = 512, SMALL = 200, STREAM = 40000, STEPS = 7 };

/* ---- folders -------------------------------------------------------------------------------- */

static void make_temporary(char path[PATH]) {
    const char *base = getenv("TMPDIR");
    snprintf(path, PATH, "%s/tic-world-XXXXXX", base ? base : P_tmpdir);
    cr_assert(mkdtemp(path) != NULL);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info, (void)kind, (void)where;
    return remove(path);
}

static void remove_tree(const char *path) {
    cr_expect(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static tic_status generate(const char *folder, uint64_t pairs, uint64_t seed, int threads,
                           tic_error *err) {
    const tic_world_options options = {
        .folder = folder, .pairs = pairs, .seed = seed, .threads = threads};
    return tic_world_generate(&options, err);
}

static void must_generate(const char *folder, uint64_t pairs, uint64_t seed, int threads) {
    tic_error err = {0};
    cr_assert(generate(folder, pairs, seed, threads, &err) == TIC_OK, "%s", err.text);
}

static char *read_file(const char *folder, const char *name, size_t *size) {
    char path[2 * PATH], *bytes = NULL;
    tic_error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cr_assert(tic_file_read(path, (size_t)1 << 30, &bytes, size, &err) == TIC_OK, "%s", err.text);
    return bytes;
}

/* All that a world of one shard consists of. */
static const char *const files[] = {
    "000000.tar",
    "classes.json",
    "world.json",
    "eval/static-classification/classnames.txt",
    "eval/static-classification/zeroshot_classification_templates.txt",
    "eval/static-classification/dataset_type.txt",
    "eval/static-classification/test/nshards.txt",
    "eval/static-classification/test/0.tar",
    "eval/static-classification-sketch/test/0.tar",
    "eval/static-classification-noise/test/0.tar",
    "eval/static-classification-night/test/0.tar",
    "eval/static-retrieval/dataset_type.txt",
    "eval/static-retrieval/test/0.tar",
};

static void hash_world(const char *folder, char text[65]) {
    tic_sha256 hash;
    uint8_t digest[32];
    tic_sha256_init(&hash);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        size_t size;
        char *bytes = read_file(folder, files[i], &size);
        tic_sha256_add(&hash, bytes, size);
        tic_free(bytes);
    }
    tic_sha256_end(&hash, digest);
    tic_sha256_hex(digest, text);
}

static void hash_of(uint64_t pairs, uint64_t seed, int threads, char text[65]) {
    char folder[PATH];
    make_temporary(folder);
    must_generate(folder, pairs, seed, threads);
    hash_world(folder, text);
    remove_tree(folder);
}

/* ---- same bytes ------------------------------------------------------------------------------*/

/* Made by this program; it changes whenever the world does, on purpose. libjpeg-turbo 2.1 wrote the
 * pictures. */
static const char golden[] = "598207e4b61fc9fac9cc8feac81ccd26bb8b9bd071458600b34d3655a5315f8d";

Test(world, same_bytes_on_every_machine) {
    char hash[65];
    hash_of(SMALL, 0, 2, hash);
    cr_assert_str_eq(hash, golden);
}

Test(world, same_bytes_for_any_number_of_threads) {
    char one[65], three[65], other[65];
    hash_of(40, 7, 1, one);
    hash_of(40, 7, 3, three);
    hash_of(40, 8, 3, other);
    cr_expect_str_eq(one, three);
    cr_expect_str_neq(one, other);
}

/* ---- archives --------------------------------------------------------------------------------*/

typedef struct member {
    char name[101];
    const char *content;
    size_t size;
} member;

/* A plain reader of ustar; returns false at the end marker. */
static bool next_member(const char *tar, size_t size, size_t *at, member *out) {
    cr_assert(*at + BLOCK <= size, "no end marker");
    const char *header = tar + *at;
    if (header[0] == 0)
        return false;
    unsigned sum = 0;
    for (int i = 0; i < BLOCK; i++)
        sum += i >= 148 && i < 156 ? ' ' : (unsigned char)header[i];
    cr_assert(memcmp(header + 257, "ustar\00000", 8) == 0);
    cr_assert(strtoul(header + 148, NULL, 8) == sum, "checksum");
    cr_assert(strtoul(header + 136, NULL, 8) == 0, "time of modification");
    memcpy(out->name, header, 100);
    out->name[100] = 0;
    out->size = strtoul(header + 124, NULL, 8);
    out->content = header + BLOCK;
    *at += BLOCK + (out->size + BLOCK - 1) / BLOCK * BLOCK;
    return true;
}

static void check_picture(const member *picture, const json_t *json) {
    tic_image image;
    tic_reject reason;
    tic_error err = {0};
    cr_assert(tic_jpeg_decode(&image, picture->content, picture->size, 0, &reason, &err) == TIC_OK,
              "%s", err.text);
    int side = image.width < image.height ? image.width : image.height;
    cr_expect(side == tic_world_parameter.size);
    cr_expect(image.width == json_integer_value(json_object_get(json, "width")));
    cr_expect(image.height == json_integer_value(json_object_get(json, "height")));
    tic_free(image.pixels);
}

static void check_json(const json_t *json, const member *text) {
    const char *caption = json_string_value(json_object_get(json, "caption"));
    cr_expect(strlen(caption) == text->size && memcmp(caption, text->content, text->size) == 0);
    const char *uid = json_string_value(json_object_get(json, "uid"));
    cr_expect(strlen(uid) == 32 && strspn(uid, "0123456789abcdef") == 32);
    long long time = json_integer_value(json_object_get(json, "timestamp"));
    cr_expect(time >= 1388534400 && time < 1672531200, "%lld", time); /* 2014 .. 2022 */
    cr_expect(json_integer_value(json_object_get(json, "crawl_timestamp")) > time);
    cr_expect(json_is_string(json_object_get(json, "domain")));
    const json_t *objects = json_object_get(json, "objects");
    cr_expect_str_eq(json_string_value(json_object_get(json, "label")),
                     json_string_value(json_object_get(json_array_get(objects, 0), "kind")));
}

Test(world, shards_hold_pictures_captions_and_json) {
    char folder[PATH], key[32];
    size_t size, at = 0;
    make_temporary(folder);
    must_generate(folder, SMALL, 0, 2);
    char *tar = read_file(folder, "000000.tar", &size);
    member part[3], end;
    for (int i = 0; i < SMALL; i++) {
        static const char *const extensions[] = {"jpg", "json", "txt"};
        for (int j = 0; j < 3; j++) {
            cr_assert(next_member(tar, size, &at, &part[j]));
            snprintf(key, sizeof key, "%09d.%s", i, extensions[j]);
            cr_assert_str_eq(part[j].name, key);
        }
        json_t *json = json_loadb(part[1].content, part[1].size, 0, NULL);
        cr_assert(json != NULL, "%.*s", (int)part[1].size, part[1].content);
        check_json(json, &part[2]);
        check_picture(&part[0], json);
        json_decref(json);
    }
    cr_expect(!next_member(tar, size, &at, &end));
    tic_free(tar);
    remove_tree(folder);
}

Test(world, class_labels_are_the_classes) {
    char folder[PATH];
    size_t size;
    make_temporary(folder);
    must_generate(folder, 1, 0, 1);
    char *text = read_file(folder, "classes.json", &size);
    json_t *json = json_loadb(text, size, 0, NULL);
    cr_assert(json != NULL);
    cr_expect_str_eq(json_string_value(json_object_get(json, "field")), "label");
    cr_expect(json_array_size(json_object_get(json, "templates")) == 5);
    const json_t *classes = json_object_get(json, "classes");
    cr_assert(json_array_size(classes) == TIC_WORLD_KINDS);
    for (size_t i = 0; i < TIC_WORLD_KINDS; i++) {
        const json_t *row = json_array_get(classes, i);
        cr_expect_str_eq(json_string_value(json_object_get(row, "label")), tic_world_kinds[i].name);
        cr_expect_str_eq(json_string_value(json_object_get(row, "subtree")),
                         tic_world_kinds[i].subtree);
    }
    json_decref(json);
    tic_free(text);
    remove_tree(folder);
}

Test(world, static_sets_have_a_target_for_each_picture) {
    char folder[PATH];
    size_t size, at = 0;
    int pictures = 0, most = 0;
    member target, picture, end;
    make_temporary(folder);
    must_generate(folder, 1, 0, 2);
    char *tar = read_file(folder, "eval/static-classification/test/0.tar", &size);
    for (; tar[at]; pictures++) {
        cr_assert(next_member(tar, size, &at, &target) && next_member(tar, size, &at, &picture));
        cr_expect(strncmp(target.name, picture.name, 7) == 0);
        cr_expect_str_eq(target.name + 7, "cls");
        int class = atoi(target.content);
        most = class > most ? class : most;
    }
    cr_expect(!next_member(tar, size, &at, &end));
    cr_expect(pictures == (most + 1) * tic_world_parameter.eval_per_class);
    tic_free(tar);

    char *names = read_file(folder, "eval/static-classification/classnames.txt", &size);
    int lines = 0;
    for (size_t i = 0; i < size; i++)
        lines += names[i] == '\n';
    cr_expect(lines == most + 1);
    tic_free(names);
    remove_tree(folder);
}

/* ---- the stream ------------------------------------------------------------------------------*/

static int step_of(int64_t time) {
    int step = (int)tic_world_clock(time); /* one unit of the clock is one step */
    cr_assert(step >= 0 && step < STEPS);
    return step;
}

static const tic_world_options stream = {.pairs = STREAM, .seed = 0, .size = 48};

/* Counts of kinds (first objects) by step, in the web and in the studio. */
static int web[STEPS][TIC_WORLD_KINDS], studio[STEPS][TIC_WORLD_KINDS];
static int in_web[STEPS], in_studio[STEPS];

static void count_kinds(void) {
    for (uint64_t i = 0; i < STREAM; i++) {
        tic_world_sample sample;
        tic_world_sample_at(&sample, &stream, i);
        int step = step_of(sample.time), kind = sample.scene.object[0].kind;
        (sample.scene.studio ? studio : web)[step][kind]++;
        (sample.scene.studio ? in_studio : in_web)[step]++;
    }
}

Test(world, steps_are_unequal_and_none_is_sparse) {
    count_kinds();
    int least = STREAM, most = 0;
    for (int step = 0; step < STEPS; step++) {
        int pairs = in_web[step] + in_studio[step];
        least = pairs < least ? pairs : least;
        most = pairs > most ? pairs : most;
    }
    cr_expect(least > 3500, "%d", least);
    cr_expect(most > least + least / 4, "%d %d", least, most);
}

/* The total variation between the kinds of two steps: 0 alike, 1 nothing in common. */
static double distance(int counts[STEPS][TIC_WORLD_KINDS], const int *sums, int a, int b) {
    double sum = 0;
    for (int kind = 0; kind < TIC_WORLD_KINDS; kind++) {
        double d = (double)counts[a][kind] / sums[a] - (double)counts[b][kind] / sums[b];
        sum += d < 0 ? -d : d;
    }
    return sum / 2;
}

Test(world, kinds_move_on_and_neighbours_stay_related) {
    count_kinds();
    for (int step = 0; step + 1 < STEPS; step++) {
        double near = distance(web, in_web, step, step + 1);
        cr_expect(near > 0.1 && near < 0.5, "%d: %g", step, near);
    }
    double far = distance(web, in_web, 0, STEPS - 1);
    cr_expect(far > 0.55, "%g", far);
    /* In the studio nothing moves: two samples of n from 34 equal classes differ by about
     * sqrt(34 / (pi n)), 0.13 for n = 600; three times that would be a drift. */
    double still = distance(studio, in_studio, 0, STEPS - 1);
    cr_expect(still < 0.2, "%g", still);
}

Test(world, the_keyword_appears_in_2020) {
    const int64_t year_2020 = 1577836800, april = 1585699200;
    int64_t first = INT64_MAX;
    int before = 0, after = 0;
    for (uint64_t i = 0; i < STREAM; i++) {
        tic_world_sample sample;
        tic_world_sample_at(&sample, &stream, i);
        bool said = strstr(sample.caption, tic_world_keyword) != NULL;
        bool shown = tic_world_has_keyword(&sample.scene);
        before += (said || shown) && sample.time < year_2020;
        after += shown;
        if (shown && sample.time < first)
            first = sample.time;
        cr_expect(!(sample.scene.studio && (said || shown)));
    }
    cr_expect(before == 0);
    cr_expect(after > 500, "%d", after);
    cr_expect(first < april, "%lld", (long long)first);
}

/* Share of captions that say `newer`, of those whose scene shows the kind, in a step. */
static double share_of_newer(int kind, int step) {
    int shown = 0, newer = 0;
    for (uint64_t i = 0; i < STREAM; i++) {
        tic_world_sample sample;
        tic_world_sample_at(&sample, &stream, i);
        if (step_of(sample.time) != step || sample.defect != TIC_WORLD_SOUND ||
            sample.scene.studio || sample.scene.object[0].kind != kind)
            continue;
        shown++;
        newer += strstr(sample.caption, tic_world_kinds[kind].newer) != NULL;
    }
    cr_assert(shown > 20);
    return (double)newer / shown;
}

Test(world, new_words_replace_old_ones) {
    const int disc = 0;
    cr_assert_str_eq(tic_world_kinds[disc].newer, "roundel");
    double early = share_of_newer(disc, 0), late = share_of_newer(disc, STEPS - 1);
    cr_expect(early == 0, "%g", early);
    cr_expect(late > 0.9, "%g", late); /* noise spoils 1 % of the words */
}

Test(world, the_same_word_changes_its_look) {
    int phone = 0, looks[STEPS][TIC_WORLD_LOOKS] = {0};
    while (strcmp(tic_world_kinds[phone].name, "phone") != 0)
        phone++;
    for (uint64_t i = 0; i < STREAM; i++) {
        tic_world_sample sample;
        tic_world_sample_at(&sample, &stream, i);
        const tic_world_object *object = &sample.scene.object[0];
        if (!sample.scene.studio && object->kind == phone)
            looks[step_of(sample.time)][object->look]++;
    }
    cr_expect(looks[0][0] > 0 && looks[0][1] == 0 && looks[0][2] == 0);
    cr_expect(looks[3][0] == 0 && looks[3][1] > 0);
    cr_expect(looks[6][0] == 0 && looks[6][1] == 0 && looks[6][2] > 0);
}

Test(world, palettes_and_quality_drift_outside_the_studio) {
    const int red = 0;
    double green[2][STEPS] = {{0}}, quality[2][STEPS] = {{0}};
    int reds[2][STEPS] = {{0}}, pictures[2][STEPS] = {{0}};
    for (uint64_t i = 0; i < STREAM; i++) {
        tic_world_sample sample;
        tic_world_sample_at(&sample, &stream, i);
        const tic_world_object *object = &sample.scene.object[0];
        int step = step_of(sample.time), calm = sample.scene.studio;
        quality[calm][step] += sample.scene.quality;
        pictures[calm][step]++;
        if (object->colour == red) {
            green[calm][step] += object->rgb.g;
            reds[calm][step]++;
        }
    }
    for (int calm = 0; calm < 2; calm++)
        for (int step = 0; step < STEPS; step++) {
            cr_assert(reds[calm][step] > 20);
            green[calm][step] /= reds[calm][step];
            quality[calm][step] /= pictures[calm][step];
        }
    /* From the middle, where its hue is 0, red moves on by 0.14 of the circle, towards yellow: its
     * green channel is then about 0.84 of full saturation. Quality gains 4.5 a step. */
    cr_expect(green[0][STEPS - 1] - green[0][STEPS / 2] > 100);
    cr_expect(quality[0][STEPS - 1] - quality[0][0] > 20);
    /* The studio's reds scatter by 0.012 turns (16 levels) either way around the same mean. */
    double off = green[1][STEPS - 1] - green[1][0];
    cr_expect(off > -8 && off < 8, "%g", off);
    cr_expect(quality[1][STEPS - 1] == quality[1][0]);
}

Test(world, captions_are_clean_text) {
    int terse = 0;
    for (uint64_t i = 0; i < STREAM; i++) {
        tic_world_sample sample;
        tic_world_sample_at(&sample, &stream, i);
        const char *text = sample.caption;
        size_t length = strlen(text);
        cr_assert(length > 0 && length < TIC_WORLD_CAPTION_BYTES / 2, "%s", text);
        cr_assert(!strpbrk(text, "\"\\{}\n\t"), "%s", text);
        cr_assert(!strstr(text, "  ") && !strstr(text, " ,") && !strstr(text, ",,"), "%s", text);
        cr_assert(text[0] != ' ' && text[length - 1] != ' ', "%s", text);
        terse += sample.defect == TIC_WORLD_SOUND && strchr(text, ' ') == strrchr(text, ' ');
    }
    cr_expect(terse < STREAM / 1000, "%d", terse); /* two words, when all else was left out */
}

Test(world, the_studio_says_the_same_words_for_all_time) {
    for (uint64_t i = 0; i < STREAM; i++) {
        tic_world_sample sample;
        tic_world_sample_at(&sample, &stream, i);
        if (!sample.scene.studio || sample.defect != TIC_WORLD_SOUND)
            continue;
        cr_expect(strstr(sample.caption, tic_world_kinds[sample.scene.object[0].kind].name) &&
                      strstr(sample.caption, tic_world_colours[sample.scene.object[0].colour].name),
                  "%s", sample.caption);
    }
}

Test(world, defects_have_their_shares) {
    const tic_world_parameters *p = &tic_world_parameter;
    const double shares[] = {[TIC_WORLD_MISMATCHED] = p->mismatched,
                             [TIC_WORLD_DUPLICATE] = p->duplicate,
                             [TIC_WORLD_FOREIGN] = p->foreign,
                             [TIC_WORLD_TOO_SHORT] = p->too_short};
    int counts[5] = {0};
    for (uint64_t i = 0; i < STREAM; i++) {
        tic_world_sample sample;
        tic_world_sample_at(&sample, &stream, i);
        counts[sample.defect]++;
        if (sample.defect == TIC_WORLD_FOREIGN)
            cr_expect_str_neq(sample.language, "en");
        if (sample.defect == TIC_WORLD_TOO_SHORT)
            cr_expect(strchr(sample.caption, ' ') == strrchr(sample.caption, ' '));
    }
    for (int i = TIC_WORLD_MISMATCHED; i <= TIC_WORLD_TOO_SHORT; i++) {
        /* Four standard deviations of the count, sqrt(n p): at most 0.02 of false alarm in all; a
         * duplicate of a duplicate (1.5 % of them) becomes a sound pair. */
        double expected = shares[i] * STREAM, off = counts[i] - expected;
        cr_expect(off * off < 16 * expected, "%d: %d, expected %g", i, counts[i], expected);
    }
}

Test(world, duplicates_are_later_copies) {
    const tic_world_options few = {.pairs = 2000, .seed = 3, .size = 48};
    int duplicates = 0;
    for (uint64_t i = 0; i < few.pairs; i++) {
        tic_world_sample copy, original;
        tic_world_sample_at(&copy, &few, i);
        if (copy.defect != TIC_WORLD_DUPLICATE)
            continue;
        duplicates++;
        tic_world_sample_at(&original, &few, copy.original);
        cr_expect(original.defect != TIC_WORLD_DUPLICATE);
        cr_expect_str_eq(copy.caption, original.caption);
        cr_expect(copy.time > original.time);
        cr_expect(tic_id_compare(copy.uid, original.uid) != 0);
        tic_world_bytes tar[2] = {0};
        tic_error err = {0};
        cr_assert(tic_world_put_record(&tar[0], (void *)&few, i, &err) == TIC_OK);
        cr_assert(tic_world_put_record(&tar[1], (void *)&few, copy.original, &err) == TIC_OK);
        size_t at[2] = {0};
        member picture[2];
        for (int k = 0; k < 2; k++)
            cr_assert(next_member((char *)tar[k].at, tar[k].used, &at[k], &picture[k]));
        cr_expect(picture[0].size == picture[1].size &&
                  memcmp(picture[0].content, picture[1].content, picture[0].size) == 0);
        tic_free(tar[0].at);
        tic_free(tar[1].at);
    }
    cr_expect(duplicates > 10, "%d", duplicates);
}

/* ---- folders that are refused or finished
 * ------------------------------------------------------*/

Test(world, refuses_a_folder_that_holds_something_else) {
    char folder[PATH], path[2 * PATH];
    tic_error err = {0};
    make_temporary(folder);
    snprintf(path, sizeof path, "%s/thesis.txt", folder);
    cr_assert(tic_file_write(path, "mine", 4, &err) == TIC_OK);
    cr_expect(generate(folder, 5, 0, 1, &err) == TIC_EUSAGE);
    cr_expect(strstr(err.text, folder) != NULL, "%s", err.text);
    snprintf(path, sizeof path, "%s/000000.tar", folder);
    cr_expect(!tic_file_exists(path));
    remove_tree(folder);
}

Test(world, leaves_a_complete_world_alone) {
    char folder[PATH], path[2 * PATH];
    tic_error err = {0};
    make_temporary(folder);
    must_generate(folder, 5, 0, 1);
    snprintf(path, sizeof path, "%s/000000.tar", folder);
    cr_assert(tic_file_write(path, "", 0, &err) == TIC_OK); /* would be rewritten if touched */
    must_generate(folder, 5, 0, 1);
    size_t size;
    tic_free(read_file(folder, "000000.tar", &size));
    cr_expect(size == 0);
    cr_expect(generate(folder, 6, 0, 1, &err) == TIC_EUSAGE);
    cr_expect(strstr(err.text, "another world") != NULL, "%s", err.text);
    remove_tree(folder);
}

Test(world, replaces_what_an_interrupted_generation_left) {
    static const char mark[] = "{\"generator\": \"ticlip world\", \"version\": 1, \"seed\": 9, "
                               "\"pairs\": 99999, \"size\": 48, \"state\": \"writing\"}\n";
    static const char *const left[] = {"000000.tar", "000003.tar", "000004.tar.tmp.77"};
    char folder[PATH], path[2 * PATH], clean[65], hash[65];
    tic_error err = {0};
    make_temporary(folder);
    snprintf(path, sizeof path, "%s/world.json", folder);
    cr_assert(tic_file_write(path, mark, sizeof mark - 1, &err) == TIC_OK);
    for (int i = 0; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, left[i]);
        cr_assert(tic_file_write(path, "rest", 4, &err) == TIC_OK);
    }
    must_generate(folder, 40, 7, 2);
    for (int i = 1; i < 3; i++) {
        snprintf(path, sizeof path, "%s/%s", folder, left[i]);
        cr_expect(!tic_file_exists(path), "%s", left[i]);
    }
    hash_world(folder, hash);
    hash_of(40, 7, 1, clean);
    cr_expect_str_eq(hash, clean);
    remove_tree(folder);
}

Test(world, refuses_a_folder_that_another_process_writes) {
    char folder[PATH], path[2 * PATH];
    tic_error err = {0};
    int lock;
    make_temporary(folder);
    snprintf(path, sizeof path, "%s/world.lock", folder);
    cr_assert(tic_lock(path, &lock, &err) == TIC_OK);
    cr_expect(generate(folder, 5, 0, 1, &err) == TIC_ERESOURCE);
    tic_unlock(lock);
    must_generate(folder, 5, 0, 1);
    cr_expect(!tic_file_exists(path));
    remove_tree(folder);
}

Test(world, refuses_sizes_that_cannot_be) {
    tic_error err = {0};
    const tic_world_options options = {.folder = "never-made", .pairs = 1, .size = 3};
    cr_expect(tic_world_generate(&options, &err) == TIC_EUSAGE);
    cr_expect(!tic_file_exists("never-made"));
}
