/* HTML character references: Python's html.unescape, and ftfy's narrower reading of them. */
#include "data/text.h"
#include <stdlib.h>
#include <string.h>

/* `name` need not end with a NUL. NULL when there is no such reference. */
static const tic_entity *find_entity(const char *name, size_t length) {
    size_t low = 0, high = tic_entity_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        const char *candidate = tic_entities[middle].name;
        int order = strncmp(candidate, name, length);
        if (order == 0 && candidate[length])
            order = 1;
        if (order == 0)
            return &tic_entities[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static int digit_of(uint32_t rune, int base) {
    int digit = -1;
    if (rune >= '0' && rune <= '9')
        digit = (int)rune - '0';
    else if ((rune | 0x20) >= 'a' && (rune | 0x20) <= 'f')
        digit = (int)(rune | 0x20) - 'a' + 10;
    return digit < base ? digit : -1;
}

/* What HTML 5 makes of the number of a reference; false: of nothing. */
static bool number_to_rune(uint32_t number, uint32_t *rune) {
    *rune = number;
    if (number == 0 || number > 0x10FFFF || (number >= 0xD800 && number <= 0xDFFF))
        *rune = TIC_RUNE_LOST;
    else if (number >= 0x80 && number <= 0x9F)
        *rune = tic_encodings[TIC_WINDOWS_1252].upper[number - 0x80];
    else if (number == 0x0D || number == 0x09 || number == 0x0A || number == 0x0C)
        return true;
    else if (number < 0x20 || number == 0x7F || (number >= 0xFDD0 && number <= 0xFDEF) ||
             (number & 0xFFFE) == 0xFFFE)
        return false;
    return true;
}

/* "#38;", "#x26": the part of a reference after its '&'. Returns the length, 0 when it is none. */
static size_t read_number(const uint32_t *text, size_t count, uint32_t *number) {
    if (count < 2 || text[0] != '#')
        return 0;
    int base = (text[1] | 0x20) == 'x' ? 16 : 10;
    size_t start = base == 16 ? 2 : 1, i = start;
    for (*number = 0; i < count && digit_of(text[i], base) >= 0; i++)
        if (*number <= 0x10FFFF) /* beyond, it stays beyond */
            *number = *number * (uint32_t)base + (uint32_t)digit_of(text[i], base);
    if (i == start)
        return 0;
    return i < count && text[i] == ';' ? i + 1 : i;
}

/* The longest run that can name a reference, as ASCII; what is not ASCII ends no name but is in no
 * name either, so that it becomes a byte no name has. */
enum { NAME_LIMIT = 32 };
static size_t read_name(const uint32_t *text, size_t count, char name[NAME_LIMIT + 1]) {
    size_t length = 0;
    while (length < count && length < NAME_LIMIT &&
           !strchr("\t\n\f <&#;", (int)(text[length] < 0x80 ? text[length] : 0x7F))) {
        name[length] = (char)(text[length] < 0x80 ? text[length] : 0x7F);
        length++;
    }
    if (length && length < count && text[length] == ';')
        name[length++] = ';';
    return length;
}

/* Resolves a named reference by its longest known beginning, at least two characters long. Returns
 * how much of the name was used, 0 when nothing was. */
static size_t resolve_name(tic_runes *out, const char *name, size_t length, tic_error *err,
                           tic_status *status) {
    for (size_t part = length; part > 1; part--) {
        const tic_entity *entity = find_entity(name, part);
        if (entity && entity->standard) {
            *status = tic_runes_append_utf8(out, entity->text, err);
            return part;
        }
    }
    return 0;
}

tic_status tic_html_unescape(tic_runes *out, const uint32_t *text, size_t count, tic_error *err) {
    for (size_t i = 0; i < count;) {
        size_t used = 0;
        if (text[i] == '&') {
            uint32_t number, rune;
            char name[NAME_LIMIT + 1];
            tic_status status = TIC_OK;
            const uint32_t *rest = text + i + 1;
            size_t left = count - i - 1;
            if ((used = read_number(rest, left, &number)) > 0) {
                if (number_to_rune(number, &rune))
                    status = tic_runes_push(out, rune, err);
            } else {
                used = resolve_name(out, name, read_name(rest, left, name), err, &status);
            }
            TIC_TRY(status);
        }
        if (used == 0)
            TIC_TRY(tic_runes_push(out, text[i], err));
        i += 1 + used;
    }
    return TIC_OK;
}

/* The length of "name;" or "#...;" at text, what may follow an '&'; 0 when there is none: at most
 * 24 ASCII letters and digits. */
static size_t closed_body(const uint32_t *text, size_t count) {
    size_t start = count > 0 && text[0] == '#', i = start;
    while (i < count && i - start < 24 && text[i] < 0x80 &&
           (tic_rune_letter(text[i]) || tic_rune_number(text[i])))
        i++;
    return i > start && i < count && text[i] == ';' ? i + 1 : 0;
}

/* Appends what '&' and a closed body stand for; nothing known leaves them as they are. */
static tic_status repair_one(tic_runes *out, const uint32_t *body, size_t length, tic_error *err) {
    uint32_t number, rune;
    if (body[0] == '#') {
        /* all of it has to be a number, and not that of the semicolon */
        if (read_number(body, length, &number) == length && number != ';')
            return number_to_rune(number, &rune) ? tic_runes_push(out, rune, err) : TIC_OK;
    } else {
        char name[NAME_LIMIT + 1];
        const tic_entity *entity = find_entity(name, read_name(body, length, name));
        if (entity && entity->repaired)
            return tic_runes_append_utf8(out, entity->text, err);
    }
    TIC_TRY(tic_runes_push(out, '&', err));
    return tic_runes_append(out, body, length, err);
}

/* The length of a body that stands for '&' itself, so that what follows is one in turn; or 0. */
static size_t ampersand_body(const uint32_t *text, size_t count) {
    size_t length = closed_body(text, count);
    uint32_t number = 0;
    char name[NAME_LIMIT + 1];
    if (length && text[0] == '#')
        return read_number(text, length, &number) == length && number == '&' ? length : 0;
    const tic_entity *entity = length ? find_entity(name, read_name(text, length, name)) : NULL;
    return entity && entity->repaired && strcmp(entity->text, "&") == 0 ? length : 0;
}

/* "&amp;amp;amp;...": each pass over the text resolves one level, which for thousands of them would
 * take square time. All but the innermost few are skipped at once; the text is the same after as
 * many passes as there are levels. */
static size_t skip_levels(const uint32_t *text, size_t count) {
    enum { KEPT = 8 };
    size_t inner = 0, outer = 0, length;
    for (int level = 0; (length = ampersand_body(text + inner, count - inner)) > 0; level++) {
        inner += length;
        if (level >= KEPT)
            outer += ampersand_body(text + outer, count - outer);
    }
    return outer;
}

tic_status tic_html_repair(tic_runes *out, const uint32_t *text, size_t count, tic_error *err) {
    for (size_t i = 0; i < count;) {
        uint32_t rune = text[i++];
        if (rune == '&')
            i += skip_levels(text + i, count - i);
        size_t length = rune == '&' ? closed_body(text + i, count - i) : 0;
        if (length)
            TIC_TRY(repair_one(out, text + i, length, err));
        else
            TIC_TRY(tic_runes_push(out, rune, err));
        i += length;
    }
    return TIC_OK;
}
