/* OpenCLIP's default cleaning of a caption: repaired, HTML references resolved twice, white space
 * collapsed, small letters. */
#include "data/text.h"
#include <string.h>
#include <utf8proc.h>

/* ---- small letters ------------------------------------------------------------------------- */

static tic_case_kind case_kind(uint32_t rune) {
    size_t low = 0, high = tic_case_range_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (rune > tic_case_ranges[middle].last)
            low = middle + 1;
        else if (rune < tic_case_ranges[middle].first)
            high = middle;
        else
            return tic_case_ranges[middle].kind;
    }
    return 0;
}

/* Whether the sigma at `at` ends a word: cased letters before it and none after, looking past what
 * is ignored (Unicode 3.13, Final_Sigma). */
static bool final_sigma(const tic_runes *text, size_t at) {
    size_t i = at;
    tic_case_kind kind = 0;
    while (i > 0 && (kind = case_kind(text->at[i - 1])) == TIC_CASE_IGNORABLE)
        i--;
    if (i == 0 || kind != TIC_CASED)
        return false;
    i = at + 1;
    kind = 0;
    while (i < text->count && (kind = case_kind(text->at[i])) == TIC_CASE_IGNORABLE)
        i++;
    return i == text->count || kind != TIC_CASED;
}

tic_status tic_text_lower(tic_runes *text, tic_error *err) {
    enum { CAPITAL_SIGMA = 0x3A3, SIGMA = 0x3C3, FINAL_SIGMA = 0x3C2 };
    enum { CAPITAL_I_DOTTED = 0x130, DOT_ABOVE = 0x307 };
    tic_runes out = {0};
    tic_status status = TIC_OK;
    for (size_t i = 0; i < text->count && status == TIC_OK; i++) {
        uint32_t rune = text->at[i];
        if (rune < 0x80)
            rune |= rune >= 'A' && rune <= 'Z' ? 0x20 : 0;
        else if (rune == CAPITAL_SIGMA)
            rune = final_sigma(text, i) ? FINAL_SIGMA : SIGMA;
        else
            rune = (uint32_t)utf8proc_tolower((utf8proc_int32_t)rune);
        status = tic_runes_push(&out, rune, err);
        if (status == TIC_OK && text->at[i] == CAPITAL_I_DOTTED)
            status = tic_runes_push(&out, DOT_ABOVE, err);
    }
    if (status == TIC_OK)
        tic_runes_swap(text, &out);
    tic_runes_free(&out);
    return status;
}

/* ---- the whole ----------------------------------------------------------------------------- */

static tic_status unescape_twice(tic_runes *text, tic_error *err) {
    for (int pass = 0; pass < 2; pass++) {
        size_t i = 0;
        while (i < text->count && text->at[i] != '&')
            i++;
        if (i == text->count)
            return TIC_OK;
        tic_runes out = {0};
        tic_status status = tic_html_unescape(&out, text->at, text->count, err);
        if (status == TIC_OK)
            tic_runes_swap(text, &out);
        tic_runes_free(&out);
        TIC_TRY(status);
    }
    return TIC_OK;
}

/* One space for each run of white space between words, none at the ends. */
static void collapse_spaces(tic_runes *text) {
    size_t kept = 0;
    bool space = false;
    for (size_t i = 0; i < text->count; i++) {
        if (tic_rune_space(text->at[i])) {
            space = kept > 0;
            continue;
        }
        if (space)
            text->at[kept++] = ' ';
        space = false;
        text->at[kept++] = text->at[i];
    }
    text->count = kept;
}

tic_status tic_text_clean(tic_runes *out, const char *utf8, tic_error *err) {
    out->count = 0;
    TIC_TRY(tic_runes_append_utf8(out, utf8, err));
    TIC_TRY(tic_text_fix(out, err));
    TIC_TRY(unescape_twice(out, err));
    collapse_spaces(out);
    return tic_text_lower(out, err);
}
