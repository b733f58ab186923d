/* Which sequences of characters betray mojibake: UTF-8 that was read in a one-byte encoding.
 *
 * The heuristic is ftfy 6's (Robyn Speer, "ftfy", Apache-2.0; its badness.py and chardata.py): the
 * few hundred characters that such text consists of fall into classes, and some neighbourhoods of
 * classes hardly occur in anything that was meant. */
#include "data/text.h"
#include <uchar.h>

enum { /* classes, as a mask */
       COMMON = 1 << 0,
       C1 = 1 << 1,  /* controls U+0080 .. U+009F */
       BAD = 1 << 2, /* hardly used but in mojibake */
       LAW = 1 << 3, /* pilcrow, section */
       MONEY = 1 << 4,
       OPEN = 1 << 5,  /* punctuation that starts something */
       CLOSE = 1 << 6, /* or ends it */
       NUMERIC = 1 << 7,
       FACE = 1 << 8,          /* letters that emoticons are made of */
       UPPER = 1 << 9,         /* accented capitals */
       LOWER = 1 << 10,        /* accented small letters */
       UPPER_COMMON = 1 << 11, /* Greek and Cyrillic */
       LOWER_COMMON = 1 << 12,
       BOX = 1 << 13,       /* box drawing */
       LEAD2 = 1 << 14,     /* may be the lead byte of a two-byte sequence, */
       LEAD3 = 1 << 15,     /* of three, */
       LEAD4 = 1 << 16,     /* of four, */
       TAIL = 1 << 17,      /* or a continuation byte; a space may, for byte 0xA0 */
       TAIL_ONLY = 1 << 18, /* and stands for little else beside mojibake */
       INNER = TAIL | TAIL_ONLY,
       /* not from the table: */
       SPACE = 1 << 19,
       WORD = 1 << 20,     /* letter, number or underscore */
       AZ_SMALL = 1 << 21, /* a .. z */
       AZ = 1 << 22,       /* a .. z, A .. Z */
       NOT_AZ = 1 << 23,
       NOT_NEWLINE = 1 << 24,
};

typedef struct class_row {
    uint16_t first, last;
    uint32_t classes;
} class_row;
static const class_row CLASSES[] = {
    {0x0020, 0x0020, TAIL},
    {0x0080, 0x009F, C1 | INNER},
    {0x00A0, 0x00A0, COMMON | INNER},
    {0x00A1, 0x00A1, OPEN | INNER},
    {0x00A2, 0x00A3, MONEY | INNER},
    {0x00A4, 0x00A4, BAD | INNER},
    {0x00A5, 0x00A5, MONEY | INNER},
    {0x00A6, 0x00A6, BAD | INNER},
    {0x00A7, 0x00A7, LAW | INNER},
    {0x00A8, 0x00A8, BAD | INNER},
    {0x00A9, 0x00A9, OPEN | INNER},
    {0x00AA, 0x00AA, BAD | INNER},
    {0x00AB, 0x00AB, OPEN | INNER},
    {0x00AC, 0x00AC, BAD | INNER},
    {0x00AD, 0x00AD, COMMON | INNER},
    {0x00AE, 0x00AE, CLOSE | INNER},
    {0x00AF, 0x00AF, BAD | INNER},
    {0x00B0, 0x00B0, FACE | INNER},
    {0x00B1, 0x00B3, NUMERIC | INNER},
    {0x00B4, 0x00B4, COMMON | INNER},
    {0x00B5, 0x00B5, NUMERIC | INNER},
    {0x00B6, 0x00B6, LAW | INNER},
    {0x00B7, 0x00B7, COMMON | INNER},
    {0x00B8, 0x00B8, BAD | INNER},
    {0x00B9, 0x00B9, NUMERIC | INNER},
    {0x00BA, 0x00BA, BAD | INNER},
    {0x00BB, 0x00BB, CLOSE | INNER},
    {0x00BC, 0x00BE, NUMERIC | INNER},
    {0x00BF, 0x00BF, OPEN | INNER},
    {0x00C0, 0x00C1, UPPER},
    {0x00C2, 0x00C5, UPPER | LEAD2},
    {0x00C6, 0x00C6, UPPER | LEAD2 | INNER},
    {0x00C7, 0x00D1, UPPER | LEAD2},
    {0x00D2, 0x00D6, FACE | LEAD2},
    {0x00D7, 0x00D7, NUMERIC | LEAD2},
    {0x00D8, 0x00D8, UPPER | LEAD2 | INNER},
    {0x00D9, 0x00DB, FACE | LEAD2},
    {0x00DC, 0x00DC, FACE | UPPER | LEAD2},
    {0x00DD, 0x00DD, UPPER | LEAD2},
    {0x00DE, 0x00DE, UPPER_COMMON | LEAD2},
    {0x00DF, 0x00DF, LOWER | LEAD2},
    {0x00E0, 0x00E5, LOWER | LEAD3},
    {0x00E6, 0x00E6, LOWER | LEAD3 | INNER},
    {0x00E7, 0x00EF, LOWER | LEAD3},
    {0x00F0, 0x00F0, LOWER | LEAD4},
    {0x00F1, 0x00F1, LOWER},
    {0x00F2, 0x00F2, FACE},
    {0x00F3, 0x00F3, FACE | LEAD4},
    {0x00F4, 0x00F6, FACE},
    {0x00F7, 0x00F7, NUMERIC},
    {0x00F8, 0x00F8, FACE | INNER},
    {0x00F9, 0x00FB, FACE},
    {0x00FC, 0x00FC, FACE | LOWER},
    {0x0100, 0x0100, UPPER | LEAD2},
    {0x0101, 0x0101, LOWER | LEAD3},
    {0x0102, 0x0102, UPPER | LEAD2},
    {0x0103, 0x0103, LOWER | LEAD3},
    {0x0104, 0x0104, UPPER | INNER},
    {0x0105, 0x0105, LOWER | LEAD3 | INNER},
    {0x0106, 0x0106, UPPER | LEAD2},
    {0x0107, 0x0107, LOWER | LEAD3},
    {0x010C, 0x010C, UPPER | LEAD2},
    {0x010D, 0x010D, LOWER | LEAD3},
    {0x010E, 0x010E, UPPER | LEAD2},
    {0x010F, 0x010F, LOWER | LEAD3},
    {0x0110, 0x0110, UPPER | LEAD2},
    {0x0111, 0x0111, LOWER | LEAD4},
    {0x0112, 0x0112, UPPER | LEAD2},
    {0x0113, 0x0113, LOWER | LEAD3},
    {0x0116, 0x0116, UPPER | LEAD2},
    {0x0117, 0x0117, LOWER | LEAD3},
    {0x0118, 0x0118, UPPER | LEAD2},
    {0x0119, 0x0119, LOWER | LEAD3},
    {0x011A, 0x011A, UPPER | LEAD2},
    {0x011B, 0x011B, LOWER | LEAD3},
    {0x011E, 0x011E, UPPER | LEAD2},
    {0x011F, 0x011F, LOWER | LEAD4},
    {0x0122, 0x0122, UPPER | LEAD2},
    {0x0123, 0x0123, LOWER | LEAD3},
    {0x012A, 0x012A, UPPER | LEAD2},
    {0x012B, 0x012B, LOWER | LEAD3},
    {0x012F, 0x012F, LOWER | LEAD3},
    {0x0130, 0x0130, UPPER | LEAD2},
    {0x0136, 0x0136, UPPER | LEAD2},
    {0x0137, 0x0137, LOWER | LEAD3},
    {0x0139, 0x0139, UPPER | LEAD2},
    {0x013A, 0x013A, LOWER | LEAD3},
    {0x013B, 0x013B, UPPER | LEAD2},
    {0x013C, 0x013C, LOWER | LEAD3},
    {0x013D, 0x013D, UPPER | INNER},
    {0x013E, 0x013E, LOWER | INNER},
    {0x0141, 0x0141, UPPER | LEAD2 | INNER},
    {0x0142, 0x0142, LOWER | INNER},
    {0x0143, 0x0143, UPPER | LEAD2},
    {0x0145, 0x0145, UPPER | LEAD2},
    {0x0147, 0x0147, UPPER | LEAD2},
    {0x014C, 0x014C, FACE | LEAD2},
    {0x0150, 0x0150, FACE | LEAD2},
    {0x0152, 0x0152, UPPER | INNER},
    {0x0153, 0x0153, LOWER | INNER},
    {0x0155, 0x0155, LOWER | LEAD3},
    {0x0156, 0x0157, INNER},
    {0x0158, 0x0158, UPPER | LEAD2},
    {0x015A, 0x015A, UPPER | LEAD2 | INNER},
    {0x015B, 0x015B, LOWER | INNER},
    {0x015E, 0x015E, UPPER | LEAD2 | INNER},
    {0x015F, 0x015F, LOWER | INNER},
    {0x0160, 0x0160, UPPER | LEAD2 | INNER},
    {0x0161, 0x0161, LOWER | LEAD4 | INNER},
    {0x0162, 0x0162, UPPER | LEAD2},
    {0x0164, 0x0164, UPPER | INNER},
    {0x0165, 0x0165, LOWER | INNER},
    {0x016A, 0x016A, FACE | LEAD2},
    {0x016E, 0x016E, UPPER | LEAD2},
    {0x0170, 0x0170, UPPER | LEAD2},
    {0x0172, 0x0172, FACE | LEAD2},
    {0x0178, 0x0178, UPPER | INNER},
    {0x0179, 0x0179, UPPER | LEAD2 | INNER},
    {0x017A, 0x017A, LOWER | LEAD3 | INNER},
    {0x017B, 0x017B, UPPER | LEAD2 | INNER},
    {0x017C, 0x017C, LOWER | INNER},
    {0x017D, 0x017D, UPPER | LEAD2 | INNER},
    {0x017E, 0x017E, LOWER | INNER},
    {0x0192, 0x0192, BAD | INNER},
    {0x02C6, 0x02C7, BAD | INNER},
    {0x02D8, 0x02D8, BAD | INNER},
    {0x02DB, 0x02DC, BAD | INNER},
    {0x02DD, 0x02DD, CLOSE | INNER},
    {0x0384, 0x0385, OPEN | INNER},
    {0x0386, 0x0386, UPPER_COMMON | INNER},
    {0x0388, 0x038A, UPPER_COMMON | INNER},
    {0x038C, 0x038C, UPPER_COMMON | INNER},
    {0x038E, 0x038F, UPPER_COMMON | INNER},
    {0x0391, 0x0391, UPPER_COMMON},
    {0x0392, 0x03A1, UPPER_COMMON | LEAD2},
    {0x03A2, 0x03A2, UPPER_COMMON},
    {0x03A3, 0x03AB, UPPER_COMMON | LEAD2},
    {0x03AC, 0x03AF, LOWER_COMMON | LEAD2},
    {0x03B0, 0x03BF, LOWER_COMMON | LEAD3},
    {0x03C0, 0x03C0, LOWER_COMMON | LEAD4},
    {0x03C1, 0x03C2, LOWER_COMMON},
    {0x03C3, 0x03C3, LOWER_COMMON | LEAD4},
    {0x03C4, 0x03C9, LOWER_COMMON},
    {0x0401, 0x040C, UPPER_COMMON | INNER},
    {0x040D, 0x040D, UPPER_COMMON},
    {0x040E, 0x040F, UPPER_COMMON | INNER},
    {0x0410, 0x0411, UPPER_COMMON},
    {0x0412, 0x042F, UPPER_COMMON | LEAD2},
    {0x0430, 0x043F, LOWER_COMMON | LEAD3},
    {0x0440, 0x0440, LOWER_COMMON | LEAD4},
    {0x0441, 0x0442, LOWER_COMMON},
    {0x0443, 0x0443, LOWER_COMMON | LEAD4},
    {0x0444, 0x0450, LOWER_COMMON},
    {0x0451, 0x045C, LOWER_COMMON | INNER},
    {0x045D, 0x045D, LOWER_COMMON},
    {0x045E, 0x045F, LOWER_COMMON | INNER},
    {0x0490, 0x0490, UPPER | INNER},
    {0x0491, 0x0491, LOWER | INNER},
    {0x2013, 0x2015, COMMON | TAIL},
    {0x2018, 0x2018, OPEN | TAIL},
    {0x2019, 0x2019, COMMON | TAIL},
    {0x201A, 0x201A, OPEN | TAIL},
    {0x201C, 0x201C, OPEN | TAIL},
    {0x201D, 0x201D, CLOSE | TAIL},
    {0x201E, 0x201E, OPEN | TAIL},
    {0x2020, 0x2021, BAD | INNER},
    {0x2022, 0x2022, OPEN | TAIL},
    {0x2026, 0x2026, COMMON | TAIL},
    {0x2030, 0x2030, BAD | INNER},
    {0x2039, 0x2039, OPEN | INNER},
    {0x203A, 0x203A, CLOSE | INNER},
    {0x2044, 0x2044, NUMERIC},
    {0x20A7, 0x20A7, MONEY},
    {0x20AC, 0x20AC, MONEY | INNER},
    {0x2116, 0x2116, NUMERIC | INNER},
    {0x2122, 0x2122, CLOSE | INNER},
    {0x2202, 0x2202, NUMERIC},
    {0x2206, 0x2206, NUMERIC},
    {0x220F, 0x220F, NUMERIC},
    {0x2211, 0x2211, NUMERIC},
    {0x221A, 0x221A, NUMERIC},
    {0x221E, 0x221E, NUMERIC},
    {0x2229, 0x2229, NUMERIC},
    {0x222B, 0x222B, NUMERIC},
    {0x2248, 0x2248, NUMERIC},
    {0x2260, 0x2261, NUMERIC},
    {0x2264, 0x2265, NUMERIC},
    {0x2310, 0x2310, BAD},
    {0x2502, 0x2502, BOX},
    {0x250C, 0x250C, BOX},
    {0x2510, 0x2510, BOX},
    {0x2518, 0x2518, BOX},
    {0x251C, 0x251C, BOX},
    {0x2524, 0x2524, BOX},
    {0x252C, 0x252C, BOX},
    {0x253C, 0x253C, BOX},
    {0x2550, 0x256C, BOX},
    {0x2580, 0x2580, BOX},
    {0x2584, 0x2584, BOX},
    {0x2588, 0x2588, BOX},
    {0x258C, 0x258C, BOX},
    {0x2590, 0x2593, BOX},
    {0x25CA, 0x25CA, BAD},
    {0xF8FF, 0xF8FF, OPEN},
    {0xFB01, 0xFB02, LOWER},
    {0xFFFD, 0xFFFD, BAD},
};

static uint32_t table_classes(uint32_t rune) {
    size_t low = 0, high = sizeof CLASSES / sizeof *CLASSES;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (rune > CLASSES[middle].last)
            low = middle + 1;
        else if (rune < CLASSES[middle].first)
            high = middle;
        else
            return CLASSES[middle].classes;
    }
    return 0;
}

static uint32_t classes_of(uint32_t rune) {
    uint32_t classes = rune < 0x80 && rune != ' ' ? 0 : table_classes(rune);
    if (tic_rune_space(rune))
        classes |= SPACE;
    if (tic_rune_letter(rune) || tic_rune_number(rune) || rune == '_')
        classes |= WORD;
    if (rune >= 'a' && rune <= 'z')
        classes |= AZ_SMALL;
    classes |= rune < 0x80 && tic_rune_letter(rune) ? AZ : NOT_AZ;
    return rune == '\n' ? classes : classes | NOT_NEWLINE;
}

typedef struct set { /* a character of one of the classes, or one of those named */
    uint32_t classes;
    const char32_t *also;
} set;
enum { RULE_LENGTH = 7 };
typedef struct neighbours {
    int length;
    bool at_start; /* only at the beginning of the text */
    set sets[RULE_LENGTH];
} neighbours;

enum {
    ACCENTED = UPPER | LOWER,
    QUOTES = OPEN | CLOSE,
    SIGNS = ACCENTED | BOX | QUOTES | MONEY | NUMERIC | LAW,
    ARABIC = COMMON | MONEY | BAD | NUMERIC | OPEN,
    FOREIGN = C1 | BAD | QUOTES | MONEY,
};
#define RULE(n, ...)                                                                               \
    {                                                                                              \
        n, false, {                                                                                \
            __VA_ARGS__                                                                            \
        }                                                                                          \
    }
static const neighbours RULES[] = {
    RULE(1, {C1, U""}),
    RULE(2, {BAD | SIGNS, U""}, {BAD, U""}),
    RULE(3, {AZ, U""}, {LOWER_COMMON | UPPER_COMMON, U""}, {BAD, U""}),
    RULE(2, {BAD, U""}, {SIGNS, U""}),
    RULE(2, {LOWER | LOWER_COMMON | BOX | CLOSE | MONEY | NUMERIC, U""}, {UPPER, U""}),
    RULE(2, {BOX | CLOSE | MONEY | NUMERIC, U""}, {LOWER, U""}),
    RULE(2, {LOWER | BOX | CLOSE, U""}, {MONEY, U""}),
    RULE(3, {SPACE, U""}, {UPPER, U""}, {MONEY, U""}),
    RULE(2, {UPPER | BOX, U""}, {NUMERIC | LAW, U""}),
    RULE(3, {ACCENTED | BOX | MONEY | CLOSE, U""}, {OPEN, U""}, {NUMERIC, U""}),
    RULE(3, {ACCENTED | MONEY | NUMERIC | BOX | LAW, U""}, {CLOSE, U""}, {OPEN, U""}),
    RULE(2, {MONEY | NUMERIC | BOX, U""}, {OPEN, U""}),
    RULE(3, {AZ_SMALL, U""}, {UPPER, U""}, {OPEN | MONEY, U""}),
    RULE(2, {BOX, U""}, {FACE, U""}),
    RULE(2, {ACCENTED | MONEY | NUMERIC | QUOTES | LAW, U""}, {BOX, U""}),
    RULE(2, {BOX, U""}, {CLOSE, U""}),
    RULE(3, {ACCENTED, U""}, {QUOTES, U""}, {WORD, U""}),
    RULE(2, {0, U"Œœ"}, {NOT_AZ, U""}), /* the ligature before anything but a plain letter */
    RULE(2, {UPPER, U""}, {0, U"°"}),
    /* two characters of Windows-1252 */
    RULE(2, {0, U"ÂÃÎÐ"}, {QUOTES, U"€œŠš¢£Ÿž\u00a0\u00ad®©°·»–—´"}),
    RULE(2, {0, U"×"}, {0, U"²³"}),
    RULE(4, {0, U"ØÙ"}, {ARABIC, U"ŸŠ®°µ»"}, {0, U"ØÙ"}, {ARABIC, U"ŸŠ®°µ»"}),
    RULE(2, {0, U"à"}, {0, U"²µ¹¼½¾"}), /* South Asian scripts */
    /* MacRoman */
    RULE(2, {0, U"√"}, {0, U"±∂†≠®™´≤≥¥µø"}),
    RULE(2, {0, U"≈"}, {0, U"°¢"}),
    RULE(3, {0, U"‚"}, {0, U"Ä"}, {0, U"ìîïòôúùû†°¢π"}),
    RULE(3, {0, U"‚"}, {0, U"âó"}, {0, U"àä°ê"}),
    /* Windows-1251: U+2000 and up, then Latin-1 and Cyrillic */
    RULE(2, {0, U"в"}, {0, U"Ђ"}),
    RULE(3, {0, U"ВГРС"}, {FOREIGN, U"°µ"}, {0, U"ВГРС"}),
    RULE(7, {0, U"Г"}, {0, U"ў"}, {0, U"В"}, {0, U"Ђ"}, {0, U"В"}, {NOT_NEWLINE, U""}, {AZ, U" "}),
    /* à, á and the no-break space in Windows-1252; a letter that a space follows */
    RULE(2, {0, U"Ã"}, {0, U"\u00a0¡"}),
    RULE(3, {AZ_SMALL, U""}, {0, U"ÃÂ"}, {0, U" "}),
    RULE(4, {AZ_SMALL, U""}, {SPACE, U""}, {0, U"ÃÂ"}, {0, U" "}),
    {2, true, {{0, U"ÃÂ"}, {0, U" "}}},
    RULE(3, {AZ_SMALL | CLOSE, U".,?!"}, {0, U"Â"}, {QUOTES, U" "}),
    /* Windows-1253 */
    RULE(3, {0, U"β"}, {0, U"€"}, {0, U"™\u00a0Ά\u00ad®°"}),
    RULE(3, {0, U"ΒΓΞΟ"}, {FOREIGN, U"°"}, {0, U"ΒΓΞΟ"}),
    /* Windows-1257 */
    RULE(2, {0, U"ā"}, {0, U"€"}),
};
#undef RULE

static bool in_set(const set *allowed, uint32_t rune, uint32_t classes) {
    if (allowed->classes & classes)
        return true;
    for (const char32_t *also = allowed->also; *also; also++)
        if (*also == rune)
            return true;
    return false;
}

static bool rule_matches(const neighbours *rule, const uint32_t *text, size_t count) {
    if (count < (size_t)rule->length)
        return false;
    for (int i = 1; i < rule->length; i++)
        if (!in_set(&rule->sets[i], text[i], classes_of(text[i])))
            return false;
    return true;
}

bool tic_mojibake_likely(const uint32_t *text, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint32_t classes = classes_of(text[i]);
        for (size_t r = 0; r < sizeof RULES / sizeof *RULES; r++)
            if (in_set(&RULES[r].sets[0], text[i], classes) && (!RULES[r].at_start || i == 0) &&
                rule_matches(&RULES[r], text + i, count - i))
                return true;
    }
    return false;
}

/* The length of one sequence that looks like a character's UTF-8, 0 when there is none. The lead
 * classes have no character in common. */
static size_t sequence_length(const uint32_t *text, size_t count) {
    uint32_t lead = table_classes(text[0]);
    size_t length = lead & LEAD2 ? 2 : lead & LEAD3 ? 3 : lead & LEAD4 ? 4 : 0;
    if (length > count)
        return 0;
    for (size_t i = 1; i < length; i++)
        if (!(table_classes(text[i]) & TAIL))
            return 0;
    return length;
}

bool tic_mojibake_stretch(const uint32_t *text, size_t count, size_t from, size_t *begin,
                          size_t *end) {
    for (size_t i = from; i < count; i++) {
        /* within a longer garble, a part is better left alone */
        if (i > 0 && (table_classes(text[i - 1]) & TAIL_ONLY))
            continue;
        size_t used, at = i;
        while (at < count && (used = sequence_length(text + at, count - at)) > 0)
            at += used;
        if (at > i) {
            *begin = i;
            *end = at;
            return true;
        }
    }
    return false;
}
