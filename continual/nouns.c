/* The words of captions that shift is measured by (reference/tic-clip.md, Shift analysis):
 * WordNet's nouns where its list is given, else what is left without function words. */
#include "shift.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LETTERS = 48, LIST_BYTES = 64 << 20 };

struct tic_nouns {
    char *bytes;       /* the file, words NUL-terminated; NULL: the list below excludes */
    const char **word; /* sorted */
    size_t count;
};

/* Function words of English, and what captions say of themselves. Between blanks. WordNet has some
 * of them as nouns too ("there"; "I", which is iodine). */
static const char stop_words[] =
    " the and for are but not you all any can had her was one our out has him his how its may new "
    "now old see two way who did get let put say she too use that this with have from they been "
    "were what when your them then than some into just like over also more most only very much "
    "many such here there where which while about after again above below under between both each "
    "few other same these those their theirs would could should because before being doing during "
    "himself herself itself myself yourself ourselves themselves three four five six seven eight "
    "nine ten will shall must might does off per via near behind beside beneath next onto upon "
    "along across around against toward towards through within without among since until yet nor "
    "why whom whose every either neither another own still even ever never always often made make "
    "makes got going goes went come came take took taken give gave given photo picture image shot ";

/* ---- the list -------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static bool is_letter(char c) {
    return isalpha((unsigned char)c) || (unsigned char)c >= 0x80;
}

/* The first field of a line, in lower case; false for the licence, and for what is not one word. */
static bool first_field(char *line) {
    size_t length = strcspn(line, " \t\r");
    if (length == 0)
        return false;
    line[length] = '\0';
    for (char *at = line; *at != '\0'; at++) {
        if (!is_letter(*at))
            return false;
        *at = (char)tolower((unsigned char)*at);
    }
    return true;
}

static tic_status read_list(tic_nouns *nouns, const char *path, tic_error *err) {
    size_t size, capacity = 0;
    TIC_TRY(tic_file_read(path, LIST_BYTES, &nouns->bytes, &size, err));
    for (char *line = nouns->bytes; line != NULL;) {
        char *end = strchr(line, '\n');
        if (end != NULL)
            *end = '\0';
        if (first_field(line)) {
            TIC_TRY(tic_reserve_one(&nouns->word, nouns->count, &capacity, sizeof(char *), err));
            nouns->word[nouns->count++] = line;
        }
        line = end != NULL ? end + 1 : NULL;
    }
    if (nouns->count == 0)
        return tic_fail(err, TIC_EINPUT, "%s: no word in it", path);
    qsort(nouns->word, nouns->count, sizeof(char *), by_text);
    return TIC_OK;
}

tic_status tic_nouns_load(tic_nouns **out, const char *path, tic_error *err) {
    TIC_TRY(tic_alloc(out, 1, sizeof **out, err));
    tic_status status = path != NULL ? read_list(*out, path, err) : TIC_OK;
    if (status != TIC_OK) {
        tic_nouns_free(*out);
        *out = NULL;
    }
    return status;
}

void tic_nouns_free(tic_nouns *nouns) {
    if (nouns == NULL)
        return;
    tic_free(nouns->bytes);
    tic_free(nouns->word);
    tic_free(nouns);
}

/* ---- words of a caption ---------------------------------------------------------------------- */

static bool listed(const tic_nouns *nouns, const char *word) {
    return bsearch(&word, nouns->word, nouns->count, sizeof(char *), by_text) != NULL;
}

/* WordNet's detachment rules for nouns: a plural ending and what stands for it. */
static bool singular(const tic_nouns *nouns, char word[LETTERS + 2]) {
    static const char *const rules[][2] = {{"s", ""},      {"ses", "s"},   {"xes", "x"},
                                           {"zes", "z"},   {"ches", "ch"}, {"shes", "sh"},
                                           {"men", "man"}, {"ies", "y"}};
    const size_t length = strlen(word);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const size_t ending = strlen(rules[i][0]);
        char other[LETTERS + 8];
        if (length < ending || strcmp(word + length - ending, rules[i][0]) != 0)
            continue;
        snprintf(other, sizeof other, "%.*s%s", (int)(length - ending), word, rules[i][1]);
        if (listed(nouns, other)) {
            strcpy(word, other);
            return true;
        }
    }
    return false;
}

static bool counts(const tic_nouns *nouns, char word[LETTERS + 2]) {
    char between[LETTERS + 4];
    snprintf(between, sizeof between, " %s ", word);
    if (strlen(word) < 3 || strstr(stop_words, between) != NULL)
        return false;
    return nouns->bytes == NULL || listed(nouns, word) || singular(nouns, word);
}

json_t *tic_nouns_of(const tic_nouns *nouns, const char *caption, int limit) {
    json_t *words = json_object();
    for (const char *at = caption; *at != '\0' && (int)json_object_size(words) < limit;) {
        char word[LETTERS + 2];
        size_t length = 0;
        while (*at != '\0' && !is_letter(*at))
            at++;
        for (; is_letter(*at); at++, length++)
            if (length < LETTERS)
                word[length] = (char)tolower((unsigned char)*at);
        word[length < LETTERS ? length : LETTERS] = '\0';
        /* Longer ones are no words. */
        if (length > 0 && length <= LETTERS && counts(nouns, word))
            json_object_set_new(words, word, json_true());
    }
    return words;
}

/* ---- total variation ------------------------------------------------------------------------- */

static double total(const json_t *counted) {
    double sum = 0;
    const char *word;
    json_t *n;
    json_object_foreach((json_t *)counted, word, n) sum += json_number_value(n);
    return sum;
}

double tic_total_variation(const json_t *p, const json_t *q) {
    const double all_p = total(p), all_q = total(q);
    double sum = 0;
    const char *word;
    json_t *n;
    if (all_p == 0 || all_q == 0)
        return NAN;
    json_object_foreach((json_t *)p, word, n) sum +=
        fabs(json_number_value(n) / all_p - json_number_value(json_object_get(q, word)) / all_q);
    json_object_foreach((json_t *)q, word, n) if (json_object_get(p, word) == NULL) sum +=
        json_number_value(n) / all_q;
    return sum / 2;
}
