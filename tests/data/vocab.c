/* Vocabularies: training on captions, CLIP's file format both ways, and files that are none. */
#include "data/data.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { BASE = 512 };

/* ---- helpers ------------------------------------------------------------------------------- */

typedef struct captions {
    const char *const *texts;
    int count, at;
} captions;

static bool next_caption(void *user, const char **text) {
    captions *list = user;
    if (list->at == list->count)
        return false;
    *text = list->texts[list->at++];
    return true;
}

static tic_vocab *train(const char *const *texts, int count, int size) {
    captions list = {texts, count, 0};
    tic_vocab *vocab;
    tic_error err;
    cr_assert(tic_vocab_train(&vocab, next_caption, &list, size, &err) == TIC_OK, "%s", err.text);
    return vocab;
}

static char path[32];
static void make_path(void) {
    strcpy(path, "vocab-test-XXXXXX");
    int file = mkstemp(path);
    cr_assert(file >= 0);
    close(file);
}
static void remove_path(void) {
    unlink(path);
}
TestSuite(vocab, .init = make_path, .fini = remove_path);

static void write_bytes(const void *bytes, size_t size) {
    tic_error err;
    cr_assert(tic_file_write(path, bytes, size, &err) == TIC_OK, "%s", err.text);
}

static void expect_refused(const char *text, const char *cause) {
    tic_vocab *vocab = (tic_vocab *)path;
    tic_error err;
    write_bytes(text, strlen(text));
    cr_expect(tic_vocab_load(&vocab, path, &err) == TIC_EINPUT, "%s", text);
    cr_expect(vocab == NULL);
    cr_expect(strstr(err.text, cause), "%s", err.text);
    cr_expect(strstr(err.text, path), "%s", err.text);
}

/* ---- training ------------------------------------------------------------------------------ */

/* "low" 5 times, "lower" 2, "newest" 6, "widest" 3: Sennrich, Haddow and Birch's example. Counts of
 * neighbours: e s 9, s t</w> 9, w e 8, l o 7, o w</w> 5 ...; of es and st</w>, 'e' is smaller. Then
 * es t</w> has 9, l o 7, and of the sixes n e (ids 77, 68), e w (68, 86) and w est</w> (86, 513),
 * e w comes first. */
Test(vocab, merges_the_most_frequent_pair_and_the_smaller_ids_of_equals) {
    static const char *const TEXTS[] = {"low low low low low lower lower",
                                        "newest newest newest Newest NEWEST newest widest",
                                        "widest, widest"};
    static const char *const WANT[] = {"es", "est</w>", "lo", "ew", "new", "newest</w>"};
    enum { MERGES = 6 };
    tic_vocab *vocab = train(TEXTS, 3, BASE + MERGES + 2);
    cr_assert(tic_vocab_size(vocab) == BASE + MERGES + 2);
    for (int i = 0; i < MERGES; i++)
        cr_expect_str_eq(tic_vocab_piece(vocab, BASE + i), WANT[i]);
    cr_expect_str_eq(tic_vocab_piece(vocab, BASE + MERGES), "<start_of_text>");
    cr_expect_str_eq(tic_vocab_piece(vocab, BASE + MERGES + 1), "<end_of_text>");
    tic_vocab_free(vocab);
}

Test(vocab, stops_when_no_pair_occurs_twice) {
    static const char *const TEXTS[] = {"ab ab", "cd"};
    tic_vocab *vocab = train(TEXTS, 2, 1000);
    cr_expect(tic_vocab_size(vocab) == BASE + 1 + 2);
    cr_expect_str_eq(tic_vocab_piece(vocab, BASE), "ab</w>");
    tic_vocab_free(vocab);
}

Test(vocab, overlapping_pairs_are_merged_from_the_left) {
    static const char *const TEXTS[] = {"aaaaa aaaaa"}; /* a a 6 times, a a</w> twice */
    tic_vocab *vocab = train(TEXTS, 1, BASE + 3 + 2);
    cr_expect_str_eq(tic_vocab_piece(vocab, BASE), "aa");
    cr_expect_str_eq(tic_vocab_piece(vocab, BASE + 1), "aaa</w>"); /* ids (512, 320) ... */
    tic_vocab_free(vocab);
}

Test(vocab, does_not_depend_on_the_captions_order) {
    static const char *const A[] = {"red cube", "a red cup on a table", "green table", "tables"};
    static const char *const B[] = {"tables", "green table", "a red cup on a table", "red cube"};
    tic_vocab *a = train(A, 4, 540), *b = train(B, 4, 540);
    cr_assert(tic_vocab_size(a) == tic_vocab_size(b));
    for (int id = 0; id < tic_vocab_size(a); id++)
        cr_expect_str_eq(tic_vocab_piece(a, id), tic_vocab_piece(b, id));
    tic_vocab_free(a);
    tic_vocab_free(b);
}

Test(vocab, training_refuses_impossible_sizes) {
    tic_vocab *vocab;
    tic_error err;
    captions none = {NULL, 0, 0};
    cr_expect(tic_vocab_train(&vocab, next_caption, &none, 513, &err) == TIC_EUSAGE);
    cr_expect(tic_vocab_train(&vocab, next_caption, &none, 49409, &err) == TIC_EUSAGE);
    cr_assert(tic_vocab_train(&vocab, next_caption, &none, 49408, &err) == TIC_OK);
    cr_expect(tic_vocab_size(vocab) == BASE + 2);
    tic_vocab_free(vocab);
}

/* ---- files --------------------------------------------------------------------------------- */

Test(vocab, saves_the_same_bytes_and_loads_them) {
    static const char *const TEXTS[] = {"a photo of a café, a photo of a cafe", "photo 日本 日本"};
    tic_vocab *vocab = train(TEXTS, 2, 530), *again;
    tic_error err;
    char *first, *second;
    size_t first_size, second_size;
    cr_assert(tic_vocab_save(vocab, path, &err) == TIC_OK, "%s", err.text);
    cr_assert(tic_file_read(path, 1 << 20, &first, &first_size, &err) == TIC_OK);
    static const unsigned char GZIP[] = {0x1F, 0x8B, 8, 0, 0, 0, 0, 0}; /* no name, no time */
    cr_assert(first_size > sizeof GZIP);
    cr_expect_arr_eq(first, GZIP, sizeof GZIP);
    cr_assert(tic_vocab_load(&again, path, &err) == TIC_OK, "%s", err.text);
    cr_assert(tic_vocab_size(again) == tic_vocab_size(vocab));
    for (int id = 0; id < tic_vocab_size(vocab); id++)
        cr_expect_str_eq(tic_vocab_piece(again, id), tic_vocab_piece(vocab, id));
    cr_assert(tic_vocab_save(again, path, &err) == TIC_OK);
    cr_assert(tic_file_read(path, 1 << 20, &second, &second_size, &err) == TIC_OK);
    cr_assert(second_size == first_size);
    cr_expect_arr_eq(first, second, first_size);
    tic_free(first);
    tic_free(second);
    tic_vocab_free(vocab);
    tic_vocab_free(again);
}

/* OpenCLIP gives the empty line after a final newline an id when the file is short. */
Test(vocab, a_final_newline_counts_as_in_open_clip) {
    tic_vocab *vocab;
    tic_error err;
    write_bytes("#version\na b\n", 13);
    cr_assert(tic_vocab_load(&vocab, path, &err) == TIC_OK, "%s", err.text);
    cr_expect(tic_vocab_size(vocab) == BASE + 1 + 1 + 2);
    cr_expect_str_eq(tic_vocab_piece(vocab, BASE + 1), "");
    tic_vocab_free(vocab);
}

Test(vocab, refuses_what_is_no_vocabulary) {
    expect_refused("", "line 1");
    expect_refused("hello\na b", "line 1");
    expect_refused("#version\na b\na", "line 3: a merge needs two pieces");
    expect_refused("#version\na b\n\nc d", "line 3: a merge needs two pieces");
    expect_refused("#version\na b c", "line 2: more than two pieces");
    expect_refused("#version\na bc", "line 2: the second piece");
    expect_refused("#version\nab c\na b", "line 2: the first piece");
    expect_refused("#version\na \xff", "line 2: the second piece");
    expect_refused("#version\na b\nc d\na b", "line 4: its piece is there already");
    expect_refused("#version\na b\nb c\nab c\na bc", "line 5: its piece is there already");
}

Test(vocab, refuses_a_missing_file) {
    tic_vocab *vocab;
    tic_error err;
    cr_expect(tic_vocab_load(&vocab, "no-such-vocabulary", &err) == TIC_EINPUT);
    cr_expect(vocab == NULL && strstr(err.text, "no-such-vocabulary"));
}

static void expect_unpack_refused(const void *bytes, size_t size, const char *cause) {
    tic_vocab *vocab;
    tic_error err;
    write_bytes(bytes, size);
    cr_expect(tic_vocab_load(&vocab, path, &err) == TIC_EINPUT);
    cr_expect(strstr(err.text, cause), "%s", err.text);
}

Test(vocab, refuses_truncated_and_damaged_gzip) {
    static const char *const TEXTS[] = {"some words, some more words"};
    tic_vocab *vocab = train(TEXTS, 1, 520);
    tic_error err;
    char *bytes;
    size_t size;
    cr_assert(tic_vocab_save(vocab, path, &err) == TIC_OK);
    cr_assert(tic_file_read(path, 1 << 20, &bytes, &size, &err) == TIC_OK);
    for (size_t cut = 2; cut < size; cut++)
        expect_unpack_refused(bytes, cut, "truncated gzip data");
    bytes[size - 6] ^= 1; /* the checksum */
    expect_unpack_refused(bytes, size, "damaged gzip data");
    tic_free(bytes);
    tic_vocab_free(vocab);
}

Test(vocab, refuses_to_unpack_a_bomb) {
    enum { CHUNK = 1 << 20, CHUNKS = 65 };
    gzFile file = gzopen(path, "wb");
    char *zeros = calloc(1, CHUNK);
    for (int i = 0; i < CHUNKS; i++)
        cr_assert(gzwrite(file, zeros, CHUNK) == CHUNK);
    cr_assert(gzclose(file) == Z_OK);
    free(zeros);
    tic_vocab *vocab;
    tic_error err;
    cr_expect(tic_vocab_load(&vocab, path, &err) == TIC_EINPUT);
    cr_expect(strstr(err.text, "more than 67108864 bytes"), "%s", err.text);
}
