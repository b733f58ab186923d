/* Undoing mojibake: text that is UTF-8 read in a one-byte encoding is written back in it and read
 * as UTF-8 (ftfy's fix_encoding, with its defaults). */
#include "data/text.h"

/* The byte for a character, -1 when the encoding has none. */
static int encode_rune(const tic_encoding *encoding, uint32_t rune) {
    if (encoding->lossy && rune == TIC_RUNE_LOST)
        return 0x1A;
    if (rune < 0x80)
        return encoding->lossy && rune == 0x1A ? -1 : (int)rune;
    for (int i = 0; i < 128; i++)
        if (encoding->upper[i] == rune)
            return 0x80 + i;
    return -1;
}

static bool encode(const tic_encoding *encoding, const tic_runes *text, uint8_t *bytes) {
    for (size_t i = 0; i < text->count; i++) {
        int byte = encode_rune(encoding, text->at[i]);
        if (byte < 0)
            return false;
        bytes[i] = (uint8_t)byte;
    }
    return true;
}

/* Reads bytes that came from `encoding` as UTF-8 after the repairs. `bytes` has room for twice
 * `size` and `spare` for six times, see try_encodings. */
static tic_status read_as_utf8(tic_runes *out, const tic_encoding *encoding, uint8_t *bytes,
                               size_t size, uint8_t *spare, bool *valid, tic_error *err) {
    /* in MacRoman an en dash before a space would look like such a sequence */
    if (!encoding->macroman && tic_utf8_has_blank(bytes, size)) {
        size = tic_utf8_restore_a0(bytes, size, spare);
        for (size_t i = 0; i < size; i++)
            bytes[i] = spare[i];
    }
    const uint8_t *source = bytes;
    if (encoding->lossy) {
        size = tic_utf8_mark_lost(bytes, size, spare);
        source = spare;
    }
    bool variants = false;
    for (size_t i = 0; i < size; i++)
        variants |= source[i] == 0xED || source[i] == 0xC0;
    out->count = 0;
    return tic_runes_decode_strict(out, source, size, variants, valid, err);
}

/* Tries the encodings in order; *fixed tells whether one of them gave UTF-8. */
static tic_status try_encodings(tic_runes *out, const tic_runes *text, bool *fixed,
                                tic_error *err) {
    uint8_t *bytes = NULL, *spare = NULL;
    /* Restoring 0xA0 lengthens by half at most, marking what was lost by three. */
    tic_status status = tic_alloc(&bytes, text->count, 2, err);
    if (status == TIC_OK)
        status = tic_alloc(&spare, text->count, 6, err);
    *fixed = false;
    for (int e = 0; e < TIC_ENCODINGS && !*fixed && status == TIC_OK; e++)
        if (encode(&tic_encodings[e], text, bytes))
            status = read_as_utf8(out, &tic_encodings[e], bytes, text->count, spare, fixed, err);
    tic_free(bytes);
    tic_free(spare);
    return status;
}

/* Fixes in isolation the stretches that look like mojibake, in text that as a whole is not. Each is
 * shorter than the text, so that this ends. */
static tic_status fix_stretches(tic_runes *out, const tic_runes *text, tic_error *err) {
    size_t at = 0, begin, end;
    out->count = 0;
    while (tic_mojibake_stretch(text->at, text->count, at, &begin, &end)) {
        tic_runes part = {0};
        tic_status status = tic_runes_append(out, text->at + at, begin - at, err);
        if (status == TIC_OK)
            status = tic_runes_append(&part, text->at + begin, end - begin, err);
        if (status == TIC_OK && part.count < text->count &&
            tic_mojibake_likely(part.at, part.count))
            status = tic_mojibake_fix(&part, err);
        if (status == TIC_OK)
            status = tic_runes_append(out, part.at, part.count, err);
        tic_runes_free(&part);
        TIC_TRY(status);
        at = end;
    }
    return tic_runes_append(out, text->at + at, text->count - at, err);
}

static bool is_c1(uint32_t rune) {
    return rune >= 0x80 && rune <= 0x9F;
}

void tic_fix_c1(tic_runes *text) {
    for (size_t i = 0; i < text->count; i++)
        if (is_c1(text->at[i]))
            text->at[i] = tic_encodings[TIC_WINDOWS_1252].upper[text->at[i] - 0x80];
}

static bool ascii(const tic_runes *text) {
    for (size_t i = 0; i < text->count; i++)
        if (text->at[i] >= 0x80)
            return false;
    return true;
}

/* One wrong decoding; *out is what the text becomes. */
static tic_status fix_once(tic_runes *out, const tic_runes *text, tic_error *err) {
    out->count = 0;
    if (ascii(text) || !tic_mojibake_likely(text->at, text->count))
        return tic_runes_append(out, text->at, text->count, err);
    bool fixed;
    TIC_TRY(try_encodings(out, text, &fixed, err));
    if (fixed)
        return TIC_OK;
    TIC_TRY(fix_stretches(out, text, err));
    /* What is left is at most Windows-1252 that was read as Latin-1. */
    if (tic_runes_equal(out, text))
        tic_fix_c1(out);
    return TIC_OK;
}

tic_status tic_mojibake_fix(tic_runes *text, tic_error *err) {
    tic_runes next = {0};
    tic_status status = fix_once(&next, text, err);
    while (status == TIC_OK && !tic_runes_equal(&next, text)) {
        tic_runes_swap(&next, text);
        status = fix_once(&next, text, err);
    }
    tic_runes_free(&next);
    return status;
}
