/* ftfy.fix_text (version 6.3, default settings): mojibake, HTML references and the small repairs of
 * single characters, repeated on each line until nothing changes.
 *
 * Lone surrogates, which ftfy also repairs, cannot occur: UTF-8 has none. */
#include "data/text.h"
#include <utf8proc.h>

/* ---- repairs that look at one character ---------------------------------------------------- */

static const struct ligature {
    uint32_t rune;
    uint32_t parts[3];
} LIGATURES[] = {
    {0x0132, {'I', 'J'}},      {0x0133, {'i', 'j'}},      {0x0149, {0x2BC, 'n'}},
    {0x01C4, {'D', 0x17D}},    {0x01C5, {'D', 0x17E}},    {0x01C6, {'d', 0x17E}},
    {0x01C7, {'L', 'J'}},      {0x01C8, {'L', 'j'}},      {0x01C9, {'l', 'j'}},
    {0x01CA, {'N', 'J'}},      {0x01CB, {'N', 'j'}},      {0x01CC, {'n', 'j'}},
    {0x01F1, {'D', 'Z'}},      {0x01F2, {'D', 'z'}},      {0x01F3, {'d', 'z'}},
    {0xFB00, {'f', 'f'}},      {0xFB01, {'f', 'i'}},      {0xFB02, {'f', 'l'}},
    {0xFB03, {'f', 'f', 'i'}}, {0xFB04, {'f', 'f', 'l'}}, {0xFB05, {0x17F, 't'}},
    {0xFB06, {'s', 't'}},
};

/* A Latin ligature or digraph in its letters; returns their number, 0 when it is none. */
static int split_ligature(uint32_t rune, uint32_t parts[3]) {
    if (rune < LIGATURES[0].rune || rune > 0xFB06)
        return 0;
    for (size_t i = 0; i < sizeof LIGATURES / sizeof *LIGATURES; i++) {
        if (LIGATURES[i].rune != rune)
            continue;
        int count = 0;
        while (count < 3 && LIGATURES[i].parts[count]) {
            parts[count] = LIGATURES[i].parts[count];
            count++;
        }
        return count;
    }
    return 0;
}

/* A fullwidth or halfwidth form in its usual width; returns the number of characters. */
enum { WIDTH_PARTS = 4 };
static int usual_width(uint32_t rune, uint32_t parts[WIDTH_PARTS]) {
    int last_class = UTF8PROC_BOUNDCLASS_START;
    utf8proc_int32_t wide[WIDTH_PARTS];
    parts[0] = rune == 0x3000 ? ' ' : rune;
    if (rune < 0xFF01 || rune > 0xFFEF)
        return 1;
    int count = (int)utf8proc_decompose_char((utf8proc_int32_t)rune, wide, WIDTH_PARTS,
                                             UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, &last_class);
    for (int i = 0; i < count; i++)
        parts[i] = (uint32_t)wide[i];
    return count;
}

static uint32_t straight_quote(uint32_t rune) {
    if (rune == 0x02BC || (rune >= 0x2018 && rune <= 0x201B))
        return '\'';
    return rune >= 0x201C && rune <= 0x201F ? '"' : rune;
}

static uint32_t unix_newline(uint32_t rune) {
    return rune == '\r' || rune == 0x2028 || rune == 0x2029 || rune == 0x85 ? '\n' : rune;
}

static bool unwanted_control(uint32_t rune) {
    return rune <= 0x08 || rune == 0x0B || (rune >= 0x0E && rune <= 0x1F) || rune == 0x7F ||
           (rune >= 0x206A && rune <= 0x206F) || rune == 0xFEFF ||
           (rune >= 0xFFF9 && rune <= 0xFFFC);
}

/* ---- repairs that look at several ---------------------------------------------------------- */

/* The length of an ANSI escape like "\033[1;31m" at text, 0 when there is none. */
static size_t terminal_escape(const uint32_t *text, size_t count) {
    size_t i = 2;
    if (count < 3 || text[0] != 0x1B || text[1] != '[')
        return 0;
    while (i < count &&
           (text[i] == ';' || utf8proc_category((utf8proc_int32_t)text[i]) == UTF8PROC_CATEGORY_ND))
        i++;
    return i < count && text[i] < 0x80 && tic_rune_letter(text[i]) ? i + 1 : 0;
}

/* Ligatures, widths, quotes and line breaks, in this order. */
static tic_status replace_characters(tic_runes *out, const tic_runes *text, tic_error *err) {
    for (size_t i = 0; i < text->count; i++) {
        if (text->at[i] == '\r' && i + 1 < text->count && text->at[i + 1] == '\n')
            continue;
        uint32_t letters[3] = {text->at[i]}, parts[WIDTH_PARTS];
        int count = split_ligature(text->at[i], letters);
        for (int l = 0; l < (count ? count : 1); l++) {
            int width = usual_width(letters[l], parts);
            for (int p = 0; p < width; p++)
                TIC_TRY(tic_runes_push(out, unix_newline(straight_quote(parts[p])), err));
        }
    }
    return TIC_OK;
}

static void remove_characters(tic_runes *text) {
    size_t kept = 0;
    for (size_t i = 0; i < text->count;) {
        size_t escape = terminal_escape(text->at + i, text->count - i);
        if (escape)
            i += escape;
        else
            text->at[kept++] = text->at[i++];
    }
    text->count = kept;
    kept = 0;
    for (size_t i = 0; i < text->count; i++)
        if (!unwanted_control(text->at[i]))
            text->at[kept++] = text->at[i];
    text->count = kept;
}

/* ---- all of them --------------------------------------------------------------------------- */

static tic_status fix_once(tic_runes *out, const tic_runes *line, bool unescape, tic_error *err) {
    tic_runes text = {0};
    tic_status status = unescape ? tic_html_repair(&text, line->at, line->count, err)
                                 : tic_runes_append(&text, line->at, line->count, err);
    if (status == TIC_OK)
        status = tic_mojibake_fix(&text, err);
    if (status == TIC_OK) {
        tic_fix_c1(&text);
        out->count = 0;
        status = replace_characters(out, &text, err);
    }
    tic_runes_free(&text);
    TIC_TRY(status);
    remove_characters(out);
    return tic_text_compose(out, err);
}

static tic_status fix_line(tic_runes *line, bool unescape, tic_error *err) {
    tic_runes next = {0};
    tic_status status;
    while ((status = fix_once(&next, line, unescape, err)) == TIC_OK &&
           !tic_runes_equal(&next, line))
        tic_runes_swap(&next, line);
    tic_runes_free(&next);
    return status;
}

/* Nothing in it that a repair would change: printable ASCII without references, and newlines. */
static bool is_plain(const tic_runes *text) {
    for (size_t i = 0; i < text->count; i++)
        if (text->at[i] >= 0x7F || text->at[i] == '&' ||
            (text->at[i] < 0x20 && text->at[i] != '\n' && text->at[i] != '\t'))
            return false;
    return true;
}

tic_status tic_text_fix(tic_runes *text, tic_error *err) {
    enum { LONGEST_LINE = 1000000 }; /* longer ones are fixed in pieces */
    tic_runes out = {0}, line = {0};
    tic_status status = TIC_OK;
    bool unescape = true; /* until there is a '<': then it is HTML */
    if (is_plain(text))
        return TIC_OK;
    for (size_t i = 0, end; i < text->count && status == TIC_OK; i = end) {
        for (end = i; end < text->count && end - i < LONGEST_LINE; end++) {
            unescape &= text->at[end] != '<';
            if (text->at[end] == '\n') {
                end++;
                break;
            }
        }
        line.count = 0;
        status = tic_runes_append(&line, text->at + i, end - i, err);
        if (status == TIC_OK)
            status = fix_line(&line, unescape, err);
        if (status == TIC_OK)
            status = tic_runes_append(&out, line.at, line.count, err);
    }
    if (status == TIC_OK)
        tic_runes_swap(text, &out);
    tic_runes_free(&line);
    tic_runes_free(&out);
    return status;
}
