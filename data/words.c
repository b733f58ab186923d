/* The words of a cleaned caption: CLIP's pattern, ignoring case,
 *
 *   <start_of_text>|<end_of_text>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
 *
 * as the Python package `regex` matches it. */
#include "data/text.h"
#include <string.h>

/* Ignoring case, the only characters beyond ASCII that match one of the literals' letters are those
 * that str.lower leaves and that fold to it: the long s. */
static bool literal_at(const tic_runes *text, size_t at, const char *literal) {
    size_t length = strlen(literal);
    if (text->count - at < length)
        return false;
    for (size_t i = 0; i < length; i++) {
        uint32_t rune = text->at[at + i];
        if (rune != (uint32_t)literal[i] && !(rune == 0x17F && literal[i] == 's'))
            return false;
    }
    return true;
}

/* The length of a contraction at `at`, 0 when there is none. */
static size_t contraction(const tic_runes *text, size_t at) {
    static const char *const FORMS[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    if (text->at[at] != '\'')
        return 0;
    for (size_t i = 0; i < sizeof FORMS / sizeof *FORMS; i++)
        if (literal_at(text, at, FORMS[i]))
            return strlen(FORMS[i]);
    return 0;
}

/* Between words. The combining iota subscript is in no word: ignoring case, `regex` sees it as a
 * form of the letter iota in the last set, and not as one in the first. */
static bool separates(uint32_t rune) {
    return tic_rune_space(rune) || rune == 0x345;
}

static bool is_letter(uint32_t rune) {
    return tic_rune_letter(rune);
}
static bool is_sign(uint32_t rune) {
    return !separates(rune) && !tic_rune_letter(rune) && !tic_rune_number(rune);
}

static size_t run_length(const tic_runes *text, size_t at, bool (*belongs)(uint32_t)) {
    size_t i = at;
    while (i < text->count && belongs(text->at[i]))
        i++;
    return i - at;
}

/* The literal's token is the id only when it is spelt so, without a long s. */
static size_t special(const tic_runes *text, size_t at, tic_word_kind *kind) {
    static const struct {
        const char *literal;
        tic_word_kind kind;
    } SPECIAL[] = {{"<start_of_text>", TIC_WORD_START}, {"<end_of_text>", TIC_WORD_END}};
    for (size_t s = 0; s < 2; s++) {
        if (text->at[at] != '<' || !literal_at(text, at, SPECIAL[s].literal))
            continue;
        size_t length = strlen(SPECIAL[s].literal);
        *kind = SPECIAL[s].kind;
        for (size_t i = 0; i < length; i++)
            if (text->at[at + i] >= 0x80)
                *kind = TIC_WORD;
        return length;
    }
    return 0;
}

bool tic_word_next(const tic_runes *text, size_t *at, size_t *begin, size_t *end,
                   tic_word_kind *kind) {
    size_t i = *at;
    while (i < text->count && separates(text->at[i]))
        i++;
    *at = i;
    if (i == text->count)
        return false;
    *kind = TIC_WORD;
    size_t length = special(text, i, kind);
    if (length == 0)
        length = contraction(text, i);
    if (length == 0)
        length = run_length(text, i, is_letter);
    if (length == 0 && tic_rune_number(text->at[i]))
        length = 1;
    if (length == 0)
        length = run_length(text, i, is_sign);
    *begin = i;
    *end = *at = i + length;
    return true;
}
