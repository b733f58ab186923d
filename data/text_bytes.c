/* Bytes that would be UTF-8 but for one that was changed on the way: a no-break space that became a
 * space, and bytes that were lost (ftfy's restore_byte_a0 and replace_lossy_sequences). */
#include "data/text.h"
#include <string.h>

enum { BLANK = 0x20, LOST = 0x1A /* what a lossy encoding writes for U+FFFD */ };

static bool in_range(uint8_t byte, int low, int high) {
    return byte >= low && byte <= high;
}
static bool tail(uint8_t byte) {
    return in_range(byte, 0x80, 0xBF);
}
/* Continuation bytes that plausibly stand beside a blank in a three-byte sequence. */
static bool likely_tail(uint8_t byte) {
    return tail(byte) && byte != 0x85 && byte != 0xA0;
}

/* The length of a sequence at `b` that lacks one 0xA0, having a blank in its place; 0: none. Which
 * lead bytes count is ftfy's choice: those that make likely characters. */
static size_t blank_sequence(const uint8_t *b, size_t size) {
    uint8_t lead = b[0];
    if (size >= 2 && lead >= 0xC2 && lead <= 0xD9 && memchr("\xC2\xC3\xC5\xCE\xD0\xD9", lead, 6) &&
        b[1] == BLANK)
        return 2;
    if (size >= 3 && (lead == 0xE2 || lead == 0xE3) && b[1] == BLANK && likely_tail(b[2]))
        return 3;
    if (size >= 3 && in_range(lead, 0xE0, 0xE3) && likely_tail(b[1]) && b[2] == BLANK)
        return 3;
    if (size >= 4 && lead == 0xF0) {
        int blanks = (b[1] == BLANK) + (b[2] == BLANK) + (b[3] == BLANK);
        int tails = tail(b[1]) + tail(b[2]) + tail(b[3]);
        return blanks == 1 && tails == 2 ? 4 : 0;
    }
    return 0;
}

bool tic_utf8_has_blank(const uint8_t *bytes, size_t size) {
    for (size_t i = 0; i < size; i++)
        if (blank_sequence(bytes + i, size - i))
            return true;
    return false;
}

/* Whether what follows a lead byte 0xC3 and a blank makes it the beginning of a word, as in the
 * Portuguese "àquele", instead of the word "à". */
static bool begins_word(const uint8_t *rest, size_t size) {
    static const char *const GOES_ON[] = {" ", "quele", "quela", "quilo", "s "};
    for (size_t i = 0; i < sizeof GOES_ON / sizeof *GOES_ON; i++) {
        size_t length = strlen(GOES_ON[i]);
        if (size >= length && memcmp(rest, GOES_ON[i], length) == 0)
            return true;
    }
    return false;
}

size_t tic_utf8_restore_a0(const uint8_t *bytes, size_t size, uint8_t *out) {
    size_t written = 0;
    for (size_t i = 0; i < size;) {
        size_t length = blank_sequence(bytes + i, size - i);
        if (length == 0) {
            out[written++] = bytes[i++];
            continue;
        }
        bool word = bytes[i] == 0xC3 && !begins_word(bytes + i + 2, size - i - 2);
        for (size_t end = i + length; i < end; i++)
            out[written++] = bytes[i] == BLANK ? 0xA0 : bytes[i];
        if (word) /* "à" stands alone: its blank was one */
            out[written++] = BLANK;
    }
    return written;
}

/* The length of a two-surrogate sequence (CESU-8) with a byte lost, or 0. */
static size_t lost_pair(const uint8_t *b, size_t size) {
    if (size < 6 || b[0] != 0xED || !in_range(b[1], 0xA0, 0xAF) || b[3] != 0xED ||
        !in_range(b[4], 0xB0, 0xBF))
        return 0;
    bool gone2 = b[2] == LOST || b[2] == '?', gone5 = b[5] == LOST || b[5] == '?';
    return (gone2 && (gone5 || tail(b[5]))) || (gone5 && tail(b[2])) ? 6 : 0;
}

/* The length of a sequence that lost bytes, 0 when there is none. One '?' may stand for a byte. */
static size_t lost_sequence(const uint8_t *b, size_t size) {
    uint8_t lead = b[0];
    if (lead == LOST)
        return 1;
    if (size >= 2 && in_range(lead, 0xC2, 0xDF))
        return b[1] == LOST || (lead <= 0xC3 && b[1] == '?') ? 2 : 0;
    if (lost_pair(b, size))
        return 6;
    size_t length = in_range(lead, 0xE0, 0xEF) ? 3 : in_range(lead, 0xF0, 0xF4) ? 4 : 0;
    if (length == 0 || size < length)
        return 0;
    int lost = 0, marks = 0;
    for (size_t i = 1; i < length; i++) {
        lost += b[i] == LOST;
        marks += b[i] == '?';
        if (b[i] != LOST && b[i] != '?' && !tail(b[i]))
            return 0;
    }
    return marks <= 1 && lost + marks > 0 ? length : 0;
}

size_t tic_utf8_mark_lost(const uint8_t *bytes, size_t size, uint8_t *out) {
    size_t written = 0;
    for (size_t i = 0; i < size;) {
        size_t length = lost_sequence(bytes + i, size - i);
        if (length == 0) {
            out[written++] = bytes[i++];
            continue;
        }
        memcpy(out + written, "\xEF\xBF\xBD", 3);
        written += 3;
        i += length;
    }
    return written;
}
