/* Inside data/: captions from raw bytes to the words that byte-pair encoding sees.
 *
 * What is reproduced is OpenCLIP's default cleaning: ftfy.fix_text, html.unescape twice, strip,
 * white space collapsed, lower. Text is held as Unicode code points ("runes"). Python's rules are
 * the reference throughout; "white space" is what str.isspace says unless stated otherwise.
 *
 * Every function here that can fail does so only for lack of memory (TIC_ERESOURCE). */
#ifndef TIC_DATA_TEXT_H
#define TIC_DATA_TEXT_H

#include "kernels/base/base.h"

/* ---- runes --------------------------------------------------------------------------------- */

typedef struct tic_runes { /* a growable text; zeroed it is empty; freed with tic_runes_free */
    uint32_t *at;
    size_t count, capacity;
} tic_runes;
enum { TIC_RUNE_LOST = 0xFFFD }; /* what stands for bytes that could not be read */

void tic_runes_free(tic_runes *text);
tic_status tic_runes_push(tic_runes *text, uint32_t rune, tic_error *err);
tic_status tic_runes_append(tic_runes *text, const uint32_t *runes, size_t count, tic_error *err);
/* Appends valid UTF-8 that ends with a NUL. */
tic_status tic_runes_append_utf8(tic_runes *text, const char *utf8, tic_error *err);
bool tic_runes_equal(const tic_runes *a, const tic_runes *b);
void tic_runes_swap(tic_runes *a, tic_runes *b);
/* Appends bytes as UTF-8, U+FFFD for each maximal part that is none (Python's 'replace'). */
tic_status tic_runes_decode(tic_runes *text, const uint8_t *bytes, size_t size, tic_error *err);
/* The same, but *valid tells whether all was UTF-8; reading stops where it was not. With
 * `variants`, Java's and CESU-8's forms are read too. */
tic_status tic_runes_decode_strict(tic_runes *text, const uint8_t *bytes, size_t size,
                                   bool variants, bool *valid, tic_error *err);
/* Writes 1 .. 4 bytes, returns how many. */
int tic_rune_encode(uint32_t rune, uint8_t bytes[4]);

bool tic_rune_space(uint32_t rune);  /* str.isspace */
bool tic_rune_letter(uint32_t rune); /* \p{L} */
bool tic_rune_number(uint32_t rune); /* \p{N} */

/* ---- tables -------------------------------------------------------------------------------- */

typedef struct tic_entity { /* an HTML character reference, sorted by name in strcmp's order */
    const char *name;       /* without '&', with ';' where it is part of the name */
    const char *text;       /* UTF-8 */
    bool standard;          /* HTML 5 knows it */
    bool repaired;          /* tic_html_repair reads it */
} tic_entity;
extern const size_t tic_entity_count;
extern const tic_entity tic_entities[];

enum { TIC_ENCODINGS = 10, TIC_WINDOWS_1252 = 1 /* its place */ };
typedef struct tic_encoding { /* of one byte; 0x00 .. 0x7F are ASCII */
    bool lossy;               /* byte 0x1A stands for U+FFFD */
    bool macroman;
    uint16_t upper[128]; /* what 0x80 .. 0xFF stand for */
} tic_encoding;
extern const tic_encoding tic_encodings[TIC_ENCODINGS];

typedef enum tic_case_kind { TIC_CASED = 1, TIC_CASE_IGNORABLE } tic_case_kind;
typedef struct tic_case_range { /* Unicode 3.13: what decides a final sigma */
    uint32_t first, last;
    tic_case_kind kind;
} tic_case_range;
extern const size_t tic_case_range_count;
extern const tic_case_range tic_case_ranges[];

/* ---- steps of cleaning --------------------------------------------------------------------- */

/* html.unescape: appends text with its references resolved to *out. */
tic_status tic_html_unescape(tic_runes *out, const uint32_t *text, size_t count, tic_error *err);
/* ftfy's unescape_html: only references that end with ';', some in capitals too. */
tic_status tic_html_repair(tic_runes *out, const uint32_t *text, size_t count, tic_error *err);

/* Whether the text holds a sequence that is hardly anything but UTF-8 read in a wrong encoding. */
bool tic_mojibake_likely(const uint32_t *text, size_t count);
/* The next stretch at or after `from` that looks like UTF-8 read in a one-byte encoding; false when
 * there is none. */
bool tic_mojibake_stretch(const uint32_t *text, size_t count, size_t from, size_t *begin,
                          size_t *end);
/* Undoes wrong decodings in place, as often as there is one to undo (ftfy's fix_encoding). */
tic_status tic_mojibake_fix(tic_runes *text, tic_error *err);
/* The two repairs of bytes that are nearly UTF-8; they write at most 3 bytes for 2, and 3 for 1. */
bool tic_utf8_has_blank(const uint8_t *bytes, size_t size);
size_t tic_utf8_restore_a0(const uint8_t *bytes, size_t size, uint8_t *out);
size_t tic_utf8_mark_lost(const uint8_t *bytes, size_t size, uint8_t *out);
/* C1 controls become what Windows-1252 has at their place. */
void tic_fix_c1(tic_runes *text);

/* Normalisation form C, in place. */
tic_status tic_text_compose(tic_runes *text, tic_error *err);
/* ftfy.fix_text, in place. */
tic_status tic_text_fix(tic_runes *text, tic_error *err);
/* str.lower, in place. */
tic_status tic_text_lower(tic_runes *text, tic_error *err);
/* The whole cleaning; *out (which may hold an older text) becomes the result. */
tic_status tic_text_clean(tic_runes *out, const char *utf8, tic_error *err);

/* ---- words --------------------------------------------------------------------------------- */

typedef enum tic_word_kind { TIC_WORD, TIC_WORD_START, TIC_WORD_END } tic_word_kind;
/* The next match of CLIP's pattern at or after *at in a cleaned text; false at the end. START and
 * END are the literals "<start_of_text>" and "<end_of_text>", which stand for their ids. */
bool tic_word_next(const tic_runes *text, size_t *at, size_t *begin, size_t *end,
                   tic_word_kind *kind);

#endif
