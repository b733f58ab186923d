/* Cleaning, words and merging of captions. Ids of CLIP's own vocabulary are compared in tokens.c.
 */
#include "data/vocab.h"
#include "tests/data/golden.h"
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CONTEXT = 77, SOT = 514, EOT = 515 }; /* of the vocabulary below: two merges */

static void write_file(const char *path, const char *text) {
    tic_error err;
    cr_assert(tic_file_write(path, text, strlen(text), &err) == TIC_OK, "%s", err.text);
}

/* Merges "a b" (512), "ab a</w>" (513). */
static tic_vocab *small_vocab(void) {
    tic_vocab *vocab;
    tic_error err;
    char path[] = "small-vocab-XXXXXX";
    int file = mkstemp(path);
    cr_assert(file >= 0);
    close(file);
    write_file(path, "#version\na b\nab a</w>");
    cr_assert(tic_vocab_load(&vocab, path, &err) == TIC_OK, "%s", err.text);
    unlink(path);
    return vocab;
}

static int byte_id(char c) { /* '!' is the first byte character */
    return c - '!';
}

static void expect_ids(const char *text, int context, const int32_t *want, int wanted) {
    tic_vocab *vocab = small_vocab();
    int32_t ids[CONTEXT];
    int count = -1;
    tic_error err;
    cr_assert(tic_tokenize(vocab, text, context, ids, &count, &err) == TIC_OK);
    cr_expect(count == wanted, "\"%s\": %d ids", text, count);
    for (int i = 0; i < wanted && i < count; i++)
        cr_expect(ids[i] == want[i], "\"%s\": id %d is %d", text, i, ids[i]);
    tic_vocab_free(vocab);
}
#define EXPECT_IDS(text, context, ...)                                                             \
    expect_ids(text, context, (int32_t[]){__VA_ARGS__},                                            \
               (int)(sizeof((int32_t[]){__VA_ARGS__}) / sizeof(int32_t)))

Test(clean, golden_texts) {
    golden_list list = golden_open();
    golden_row row;
    tic_error err;
    tic_runes text = {0}, want = {0};
    int rows = 0;
    for (; golden_next(&list, &row); rows++) {
        want.count = 0;
        cr_assert(tic_runes_append_utf8(&want, row.clean, &err) == TIC_OK);
        cr_assert(tic_text_clean(&text, row.caption, &err) == TIC_OK);
        cr_expect(tic_runes_equal(&text, &want), "line %d: %s", list.line, row.caption);
    }
    cr_assert(rows >= 300);
    tic_runes_free(&text);
    tic_runes_free(&want);
    golden_close(&list);
}

Test(tokenizer, merges_the_earliest_pair_first) {
    EXPECT_IDS("", CONTEXT, SOT, EOT);
    EXPECT_IDS("a", CONTEXT, SOT, 256 + byte_id('a'), EOT);
    EXPECT_IDS("ABA", CONTEXT, SOT, 513, EOT);
    EXPECT_IDS("abab", CONTEXT, SOT, 512, byte_id('a'), 256 + byte_id('b'), EOT);
    EXPECT_IDS("aba aba", CONTEXT, SOT, 513, 513, EOT);
    EXPECT_IDS("aaba", CONTEXT, SOT, byte_id('a'), 513, EOT);
}

Test(tokenizer, literals_of_the_reserved_pieces_are_ids) {
    EXPECT_IDS("aba <END_OF_TEXT> <start_of_text>", CONTEXT, SOT, 513, EOT, SOT, EOT);
}

Test(tokenizer, cuts_to_the_context_with_the_end_last) {
    EXPECT_IDS("aba aba", 4, SOT, 513, 513, EOT);
    EXPECT_IDS("aba aba", 3, SOT, 513, EOT);
    EXPECT_IDS("aba aba", 2, SOT, EOT);
    EXPECT_IDS("aba aba", 1, EOT);
    EXPECT_IDS("abaa", 3, SOT, 512, EOT);
}

/* "<end_of_text>" in a caption: CLIP pools at the first EOT, so a text tower reads no further. */
Test(tokenizer, captions_end_at_their_first_end_of_text) {
    static const char *const texts[] = {"aba <end_of_text> b", "aba", "<end_of_text>",
                                        "aba<end_of_text><end_of_text>"};
    static const int whole[] = {5, 3, 3, 5}, cut[] = {3, 3, 2, 3};
    tic_vocab *vocab = small_vocab();
    tic_error err;
    for (int i = 0; i < 4; i++) {
        int32_t ids[CONTEXT], caption[CONTEXT];
        int count, cut_count;
        cr_assert(tic_tokenize(vocab, texts[i], CONTEXT, ids, &count, &err) == TIC_OK);
        cr_assert(tic_tokenize_caption(vocab, texts[i], CONTEXT, caption, &cut_count, &err) ==
                  TIC_OK);
        cr_expect(count == whole[i] && cut_count == cut[i], "\"%s\": %d, %d", texts[i], count,
                  cut_count);
        cr_expect(memcmp(ids, caption, (size_t)cut_count * sizeof *ids) == 0);
        for (int k = 0; k < cut_count; k++)
            cr_expect((caption[k] == EOT) == (k == cut_count - 1));
    }
    tic_vocab_free(vocab);
}

Test(tokenizer, refuses_a_context_without_room) {
    tic_vocab *vocab = small_vocab();
    tic_error err;
    int32_t id;
    int count;
    cr_assert(tic_tokenize(vocab, "a", 0, &id, &count, &err) == TIC_EUSAGE);
    tic_vocab_free(vocab);
}

/* A word of a mebibyte, which passes over the word would take hours for. */
Test(tokenizer, very_long_words_take_no_square_time, .timeout = 60) {
    enum { LONG = 1 << 20 };
    tic_vocab *vocab = small_vocab();
    tic_error err;
    int32_t ids[CONTEXT];
    int count;
    char *text = malloc(LONG + 1);
    for (int i = 0; i < LONG; i++)
        text[i] = i % 2 ? 'b' : 'a';
    text[LONG] = 0;
    cr_assert(tic_tokenize(vocab, text, CONTEXT, ids, &count, &err) == TIC_OK);
    cr_expect(count == CONTEXT && ids[1] == 512 && ids[75] == 512 && ids[76] == EOT);
    free(text);
    tic_vocab_free(vocab);
}

/* As deep as a caption can be long; and as many marks on one letter. The limit stands for linear
 * time: square time took seconds for each. */
Test(clean, hostile_captions_take_no_square_time, .timeout = 60) {
    enum { REPEATS = 1 << 17 };
    static const char *const PARTS[][2] = {{"&", "amp;"}, {"&", "#38;"}};
    tic_runes text = {0};
    tic_error err;
    char *caption = malloc(4 * REPEATS + 2);
    for (int c = 0; c < 2; c++) {
        char *at = stpcpy(caption, PARTS[c][0]);
        for (int i = 0; i < REPEATS; i++)
            at = stpcpy(at, PARTS[c][1]);
        cr_assert(tic_text_clean(&text, caption, &err) == TIC_OK);
        cr_expect(text.count == 1 && text.at[0] == '&');
    }
    char *at = stpcpy(caption, "a");
    for (int i = 0; i < REPEATS; i++) /* acute above, dot below: the dots go first */
        at = stpcpy(at, "\u0301\u0323");
    cr_assert(tic_text_clean(&text, caption, &err) == TIC_OK);
    cr_expect(text.count == 2 * REPEATS && text.at[0] == 0x1EA1); /* a with dot below */
    cr_expect(text.at[1] == 0x323 && text.at[text.count - 1] == 0x301);
    free(caption);
    tic_runes_free(&text);
}

/* ---- threads ------------------------------------------------------------------------------- */

typedef struct job {
    const tic_vocab *vocab;
    int32_t ids[CONTEXT];
    int count;
    bool failed;
} job;

static void *tokenize_often(void *user) {
    job *mine = user;
    tic_error err;
    for (int i = 0; i < 2000; i++)
        mine->failed |= tic_tokenize(mine->vocab, "Aba cafÃ© &amp; ΑΣ abab", CONTEXT, mine->ids,
                                     &mine->count, &err) != TIC_OK;
    return NULL;
}

Test(tokenizer, many_threads_agree) {
    enum { THREADS = 4 };
    tic_vocab *vocab = small_vocab();
    job jobs[THREADS] = {0};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        jobs[i].vocab = vocab;
        cr_assert(pthread_create(&threads[i], NULL, tokenize_often, &jobs[i]) == 0);
    }
    for (int i = 0; i < THREADS; i++)
        cr_assert(pthread_join(threads[i], NULL) == 0);
    for (int i = 0; i < THREADS; i++) {
        cr_expect(!jobs[i].failed && jobs[i].count == jobs[0].count);
        cr_expect_arr_eq(jobs[i].ids, jobs[0].ids, (size_t)jobs[0].count * sizeof(int32_t));
    }
    tic_vocab_free(vocab);
}
