/* Archives: every way to cut one, names of every kind, damage in the middle, what is refused. */
#include "tests/data/support.h"
#include <criterion/criterion.h>
#include <string.h>

enum { SAMPLES = 4 };

/* An archive of SAMPLES samples; ends[i] is where sample i ends. */
static archive small_archive(size_t ends[SAMPLES]) {
    archive tar = {0};
    for (int i = 0; i < SAMPLES; i++) {
        char key[16];
        snprintf(key, sizeof key, "%03d", i);
        add_sample(&tar, key, (unsigned)i, NULL, 1500000000 + i);
        ends[i] = tar.size;
    }
    end_archive(&tar);
    return tar;
}

/* Where the contents of the archive's last member before `end` really end, without padding. */
static size_t unpadded(const archive *tar, size_t end) {
    while (tar->bytes[end - 1] == 0)
        end--;
    return end;
}

static void check_cut(const archive *tar, const size_t ends[SAMPLES], size_t cut) {
    char folder[TEST_PATH];
    archive part = {.bytes = tar->bytes, .size = cut};
    size_t whole = 0;
    tic_error err = {0};
    tic_index *index = NULL;
    make_folder(folder);
    save_archive(&part, folder, "a.tar");
    while (whole < SAMPLES && cut >= unpadded(tar, ends[whole]))
        whole++;
    bool sound = cut >= ends[SAMPLES - 1] + 512; /* one block of zeros is an end marker */
    tic_index_options options = {.threads = 1};
    tic_status status = tic_index_build(&index, folder, &options, &err);
    if (sound) {
        cr_expect(status == TIC_OK, "cut at %zu: %s", cut, err.text);
    } else {
        cr_expect(status == TIC_EINPUT, "cut at %zu", cut);
        cr_expect(strstr(err.text, "a.tar@") && strstr(err.text, "--max-bad"), "%s", err.text);
        options.max_bad = SAMPLES;
        index = must_index(folder, &options);
        cr_expect(tic_index_rejected(index, TIC_REJECT_LOST) == 1, "cut at %zu", cut);
    }
    cr_expect(tic_index_size(index) == whole, "cut at %zu: %zu of %zu", cut, tic_index_size(index),
              whole);
    tic_index_free(index);
    remove_folder(folder);
}

Test(tar, every_cut) {
    size_t ends[SAMPLES];
    archive tar = small_archive(ends);
    for (size_t cut = 0; cut <= tar.size; cut += 512) {
        check_cut(&tar, ends, cut);
        if (cut + 100 < tar.size)
            check_cut(&tar, ends, cut + 100); /* in a header, a body, the padding */
    }
    free_archive(&tar);
}

static tic_status index_archive(const archive *tar, uint64_t max_bad, tic_index **index,
                                tic_error *err) {
    char folder[TEST_PATH];
    make_folder(folder);
    save_archive(tar, folder, "000003.tar");
    tic_index_options options = {.threads = 1, .max_bad = max_bad};
    tic_status status = tic_index_build(index, folder, &options, err);
    remove_folder(folder);
    return status;
}

/* A header in the middle no longer sums up: what is before it is used, what is after it counted. */
Test(tar, damaged_header) {
    size_t ends[SAMPLES];
    archive tar = small_archive(ends);
    tic_index *index = NULL;
    tic_error err = {0};
    char where[64];
    tar.bytes[ends[0]] ^= 1;
    cr_assert(index_archive(&tar, 2, &index, &err) == TIC_EINPUT);
    snprintf(where, sizeof where, "000003.tar@%zu: member header checksum mismatch; at least 3 ",
             ends[0]);
    cr_expect(strstr(err.text, where), "%s", err.text);
    cr_assert(index_archive(&tar, 3, &index, &err) == TIC_OK);
    cr_expect(tic_index_size(index) == 1);
    const tic_rejected *list;
    cr_assert(tic_index_rejects(index, &list) == 3);
    cr_expect(list[0].reason == TIC_REJECT_LOST && strcmp(list[0].key, "001") == 0);
    cr_expect(strcmp(list[2].key, "003") == 0 && list[2].at == ends[2]);
    tic_index_free(index);
    free_archive(&tar);
}

/* A wiped block in the middle looks like an end marker, and is none. */
Test(tar, wiped_block) {
    size_t ends[SAMPLES];
    archive tar = small_archive(ends);
    tic_index *index = NULL;
    tic_error err = {0};
    memset(tar.bytes + ends[1], 0, 512);
    cr_assert(index_archive(&tar, 0, &index, &err) == TIC_EINPUT);
    cr_expect(strstr(err.text, "data after the end marker; at least 2 pairs"), "%s", err.text);
    free_archive(&tar);
}

static void expect_names(const archive *tar, const char *const *names, int count) {
    char folder[TEST_PATH];
    make_folder(folder);
    save_archive(tar, folder, "a.tar");
    tic_shard *shards;
    int shard_count, file;
    tic_error err = {0};
    cr_assert(tic_shards_list(&shards, &shard_count, folder, &err) == TIC_OK);
    cr_assert(tic_shard_open(&file, &shards[0], &err) == TIC_OK);
    tic_tar reader = {.file = file, .size = shards[0].size};
    static tic_member member;
    for (int i = 0; i < count; i++) {
        cr_assert(tic_tar_next(&reader, &member) == TIC_TAR_MEMBER, "%d: %s", i, reader.why);
        cr_expect(strcmp(member.name, names[i]) == 0, "%s, not %s", member.name, names[i]);
        cr_expect(member.size == 3 && memcmp(tar->bytes + member.at, "abc", 3) == 0);
    }
    cr_expect(tic_tar_next(&reader, &member) == TIC_TAR_END);
    tic_shards_free(shards, shard_count);
    remove_folder(folder);
}

static void add_pax(archive *tar, const char *key, const char *value) {
    char record[1024];
    int body = (int)(strlen(key) + strlen(value)) + 3, length = body;
    while (snprintf(record, sizeof record, "%d %s=%s\n", length, key, value) != length)
        length++;
    add_typed(tar, "pax", 'x', record, (size_t)length);
}

Test(tar, long_names) {
    char gnu[201], pax[301];
    archive tar = {0};
    memset(gnu, 'g', 196), strcpy(gnu + 196, ".txt");
    memset(pax, 'p', 296), strcpy(pax + 296, ".txt");
    add_typed(&tar, "folder/", '5', NULL, 0);
    add_typed(&tar, "././@LongLink", 'L', gnu, sizeof gnu);
    add_member(&tar, "short", "abc", 3);
    add_typed(&tar, "global", 'g', "18 comment=nothing\n", 19);
    add_pax(&tar, "mtime", "1.5");
    add_pax(&tar, "path", pax);
    add_member(&tar, "short", "abc", 3);
    add_member(&tar, "plain.txt", "abc", 3);
    size_t header = tar.size;
    add_member(&tar, "base.txt", "abc", 3);
    /* The same member below a ustar prefix; the checksum grows by the prefix's letters. */
    strcpy(tar.bytes + header + 345, "some/where");
    unsigned sum = 0;
    memset(tar.bytes + header + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += (unsigned char)tar.bytes[header + i];
    snprintf(tar.bytes + header + 148, 8, "%06o", sum);
    end_archive(&tar);
    expect_names(&tar, (const char *[]){gnu, pax, "plain.txt", "some/where/base.txt"}, 4);
    free_archive(&tar);
}

Test(tar, refused_members) {
    static const char types[] = {'1', '2', '3', '4', '6', 'S', 'M'};
    for (size_t i = 0; i <= sizeof types; i++) {
        archive tar = {0};
        tic_index *index = NULL;
        tic_error err = {0};
        add_sample(&tar, "000", 1, NULL, 1500000000);
        char where[32];
        snprintf(where, sizeof where, "@%zu:", tar.size + (i == sizeof types ? 1024 : 0));
        if (i == sizeof types) {
            add_pax(&tar, "GNU.sparse.major", "1");
            add_member(&tar, "001.jpg", "abc", 3);
        } else {
            add_typed(&tar, "001.jpg", types[i], NULL, 0);
        }
        end_archive(&tar);
        cr_expect(index_archive(&tar, 100, &index, &err) == TIC_EINPUT, "type %zu", i);
        cr_expect(strstr(err.text, where), "type %zu: %s, not %s", i, err.text, where);
        free_archive(&tar);
    }
}

/* Extension headers that lie: never a crash, always damage. */
Test(tar, senseless_extensions) {
    static const char *const records[] = {
        "9999999 path=a\n", "0 path=a\n", "x", "12 path=abc", "99999999999999999999 path=a\n",
        "8 path\n"};
    for (size_t i = 0; i < sizeof records / sizeof *records; i++) {
        archive tar = {0};
        tic_index *index = NULL;
        tic_error err = {0};
        add_typed(&tar, "pax", 'x', records[i], strlen(records[i]));
        add_text(&tar, "a.txt", "text");
        end_archive(&tar);
        cr_expect(index_archive(&tar, 0, &index, &err) == TIC_EINPUT, "%s", records[i]);
        cr_expect(strstr(err.text, "000003.tar@0: an extension header"), "%s", err.text);
        free_archive(&tar);
    }
}

Test(tar, sizes_beyond_the_file) {
    archive tar = {0};
    tic_index *index = NULL;
    tic_error err = {0};
    add_sample(&tar, "000", 1, NULL, 1500000000);
    size_t at = tar.size;
    add_pax(&tar, "size", "18446744073709551615");
    add_text(&tar, "a.txt", "text");
    end_archive(&tar);
    cr_assert(index_archive(&tar, 1, &index, &err) == TIC_OK, "%s", err.text);
    cr_expect(tic_index_size(index) == 1);
    tic_index_free(index);
    cr_assert(index_archive(&tar, 0, &index, &err) == TIC_EINPUT);
    char where[64];
    snprintf(where, sizeof where, "@%zu: the file ends inside this member", at + 1024);
    cr_expect(strstr(err.text, where), "%s", err.text);
    free_archive(&tar);
}
