/* Growable texts of code points, and UTF-8 in Python's three ways of reading it. */
#include "data/text.h"
#include <string.h>
#include <utf8proc.h>

void tic_runes_free(tic_runes *text) {
    tic_free(text->at);
    *text = (tic_runes){0};
}

static tic_status reserve(tic_runes *text, size_t more, tic_error *err) {
    size_t need = text->count + more;
    if (need <= text->capacity)
        return TIC_OK;
    size_t capacity = text->capacity ? 2 * text->capacity : 64;
    if (capacity < need)
        capacity = need;
    TIC_TRY(tic_grow(&text->at, text->count, capacity, sizeof *text->at, err));
    text->capacity = capacity;
    return TIC_OK;
}

tic_status tic_runes_push(tic_runes *text, uint32_t rune, tic_error *err) {
    return tic_runes_append(text, &rune, 1, err);
}

tic_status tic_runes_append(tic_runes *text, const uint32_t *runes, size_t count, tic_error *err) {
    TIC_TRY(reserve(text, count, err));
    if (count) /* memcpy of nothing from NULL is undefined */
        memcpy(text->at + text->count, runes, count * sizeof *runes);
    text->count += count;
    return TIC_OK;
}

bool tic_runes_equal(const tic_runes *a, const tic_runes *b) {
    return a->count == b->count &&
           (a->count == 0 || memcmp(a->at, b->at, a->count * sizeof *a->at) == 0);
}

void tic_runes_swap(tic_runes *a, tic_runes *b) {
    tic_runes old = *a;
    *a = *b;
    *b = old;
}

/* Reads one character. Returns the bytes used; when they are no character, *rune is U+FFFD and they
 * are the maximal part that could have begun one (Unicode 3.9, as Python replaces). */
static size_t decode_one(const uint8_t *bytes, size_t size, uint32_t *rune, bool *valid) {
    uint8_t lead = bytes[0];
    *rune = lead;
    *valid = lead < 0x80;
    if (*valid)
        return 1;
    *rune = TIC_RUNE_LOST;
    if (lead < 0xC2 || lead > 0xF4)
        return 1;
    size_t length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
    uint32_t code = lead & (0x7F >> length);
    /* The second byte's range excludes overlong forms, surrogates and what is above U+10FFFF. */
    uint8_t low = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
    uint8_t high = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
    for (size_t i = 1; i < length; i++) {
        if (i == size || bytes[i] < low || bytes[i] > high)
            return i;
        code = code << 6 | (bytes[i] & 0x3F);
        low = 0x80;
        high = 0xBF;
    }
    *rune = code;
    *valid = true;
    return length;
}

static bool tail(uint8_t byte) {
    return (byte & 0xC0) == 0x80;
}

/* Java's two-byte NUL and CESU-8's surrogate pairs. Returns the bytes used, 0 when it is neither.
 * A newline that ends the text is taken for the last byte of either, as ftfy's codec does (its
 * patterns end with `$`, which also matches before a final newline). */
static size_t decode_variant(const uint8_t *bytes, size_t size, uint32_t *rune) {
    if (bytes[0] == 0xC0 && size >= 2 && (bytes[1] == 0x80 || (size == 2 && bytes[1] == '\n'))) {
        *rune = 0;
        return 2;
    }
    if (bytes[0] == 0xED && size >= 6 && bytes[1] >= 0xA0 && bytes[1] <= 0xAF && tail(bytes[2]) &&
        bytes[3] == 0xED && bytes[4] >= 0xB0 && bytes[4] <= 0xBF &&
        (tail(bytes[5]) || (size == 6 && bytes[5] == '\n'))) {
        *rune = 0x10000 + (((bytes[1] & 0x0Fu) << 16) | ((bytes[2] & 0x3Fu) << 10) |
                           ((bytes[4] & 0x0Fu) << 6) | (bytes[5] & 0x3Fu));
        return 6;
    }
    return 0;
}

tic_status tic_runes_decode(tic_runes *text, const uint8_t *bytes, size_t size, tic_error *err) {
    TIC_TRY(reserve(text, size, err));
    for (size_t i = 0; i < size;) {
        bool valid;
        i += decode_one(bytes + i, size - i, &text->at[text->count++], &valid);
    }
    return TIC_OK;
}

tic_status tic_runes_decode_strict(tic_runes *text, const uint8_t *bytes, size_t size,
                                   bool variants, bool *valid, tic_error *err) {
    TIC_TRY(reserve(text, size, err));
    *valid = true;
    for (size_t i = 0; i < size && *valid;) {
        uint32_t rune;
        size_t used = variants ? decode_variant(bytes + i, size - i, &rune) : 0;
        if (used == 0)
            used = decode_one(bytes + i, size - i, &rune, valid);
        text->at[text->count++] = rune;
        i += used;
    }
    return TIC_OK;
}

tic_status tic_runes_append_utf8(tic_runes *text, const char *utf8, tic_error *err) {
    return tic_runes_decode(text, (const uint8_t *)utf8, strlen(utf8), err);
}

int tic_rune_encode(uint32_t rune, uint8_t bytes[4]) {
    return (int)utf8proc_encode_char((utf8proc_int32_t)rune, bytes);
}

bool tic_rune_space(uint32_t rune) {
    return (rune >= 0x09 && rune <= 0x0D) || (rune >= 0x1C && rune <= 0x20) || rune == 0x85 ||
           rune == 0xA0 || rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200A) || rune == 0x2028 ||
           rune == 0x2029 || rune == 0x202F || rune == 0x205F || rune == 0x3000;
}

bool tic_rune_letter(uint32_t rune) {
    if (rune < 0x80)
        return (rune | 0x20) >= 'a' && (rune | 0x20) <= 'z';
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)rune);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

bool tic_rune_number(uint32_t rune) {
    if (rune < 0x80)
        return rune >= '0' && rune <= '9';
    utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)rune);
    return category >= UTF8PROC_CATEGORY_ND && category <= UTF8PROC_CATEGORY_NO;
}
