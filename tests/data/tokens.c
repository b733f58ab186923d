/* Ids equal to OpenCLIP's on the golden list, with CLIP's own vocabulary. That file is not ours to
 * keep here; where it is absent this is a skip (exit 77), and tokenizer.c still compares the
 * cleaned texts. */
#include "data/data.h"
#include "tests/data/golden.h"
#include <criterion/criterion.h>
#include <stdlib.h>
#include <unistd.h>

enum { CONTEXT = 77 };

static bool same_ids(const json_t *want, const int32_t *ids, int count) {
    if (json_array_size(want) != (size_t)count)
        return false;
    for (int i = 0; i < count; i++)
        if (json_integer_value(json_array_get(want, (size_t)i)) != ids[i])
            return false;
    return true;
}

Test(tokens, equal_open_clip) {
    tic_error err;
    tic_vocab *vocab;
    cr_assert(tic_vocab_load(&vocab, CLIP_VOCABULARY, &err) == TIC_OK, "%s", err.text);
    cr_assert(tic_vocab_size(vocab) == 49408);
    golden_list list = golden_open();
    golden_row row;
    int rows = 0;
    while (golden_next(&list, &row)) {
        int32_t ids[CONTEXT];
        int count;
        cr_assert(tic_tokenize(vocab, row.caption, CONTEXT, ids, &count, &err) == TIC_OK);
        cr_expect(same_ids(row.ids, ids, count), "line %d: %s", list.line, row.caption);
        rows++;
    }
    cr_assert(rows >= 300);
    golden_close(&list);
    tic_vocab_free(vocab);
}

Test(tokens, clip_vocabulary_survives_a_round_trip) {
    tic_error err;
    tic_vocab *vocab, *again;
    char path[] = "clip-vocab-XXXXXX";
    int file = mkstemp(path);
    cr_assert(file >= 0);
    close(file);
    cr_assert(tic_vocab_load(&vocab, CLIP_VOCABULARY, &err) == TIC_OK, "%s", err.text);
    cr_assert(tic_vocab_save(vocab, path, &err) == TIC_OK, "%s", err.text);
    cr_assert(tic_vocab_load(&again, path, &err) == TIC_OK, "%s", err.text);
    cr_assert(tic_vocab_size(again) == tic_vocab_size(vocab));
    for (int id = 0; id < tic_vocab_size(vocab); id++)
        cr_assert_str_eq(tic_vocab_piece(again, id), tic_vocab_piece(vocab, id));
    tic_vocab_free(vocab);
    tic_vocab_free(again);
    unlink(path);
}

int main(int argc, char **argv) {
    if (access(CLIP_VOCABULARY, R_OK) != 0) {
        printf("skipped: CLIP's vocabulary is not at %s\n", CLIP_VOCABULARY);
        return 77;
    }
    struct criterion_test_set *tests = criterion_initialize();
    int result = 0;
    if (criterion_handle_args(argc, argv, true))
        result = !criterion_run_all_tests(tests);
    criterion_finalize(tests);
    return result;
}
