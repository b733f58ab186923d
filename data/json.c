/* Json of untrusted samples through jansson, within limits of size and depth. */
#include "data/room.h"
#include <string.h>

/* Python writes NaN and Infinity where json has no word for them. An empty string of the same
 * length is neither a time nor a caption, so the sample is judged by its other fields. */
static size_t blank_word(char *at, size_t left) {
    static const char *const words[] = {"NaN", "-Infinity", "Infinity"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        size_t n = strlen(words[i]);
        if (n <= left && memcmp(at, words[i], n) == 0) {
            memset(at, ' ', n);
            at[0] = at[1] = '"';
            return n;
        }
    }
    return 1;
}

/* Walks over the text outside strings; false when it is nested too deeply. */
static bool prepare(char *bytes, size_t size) {
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < size;) {
        char c = bytes[i];
        if (quoted) {
            quoted = c != '"';
            i += c == '\\' ? 2 : 1;
            continue;
        }
        if (c == '"')
            quoted = true;
        else if ((c == '{' || c == '[') && ++depth > TIC_JSON_DEPTH)
            return false;
        else if (c == '}' || c == ']')
            depth--;
        i += c == 'N' || c == 'I' || c == '-' ? blank_word(bytes + i, size - i) : 1;
    }
    return true;
}

json_t *tic_json_parse(char *bytes, size_t size, char why[160]) {
    json_error_t error = {.text = "nested too deeply"};
    json_t *json = NULL;
    if (size > TIC_JSON_BYTES)
        snprintf(error.text, sizeof error.text, "longer than %d bytes", TIC_JSON_BYTES);
    else if (prepare(bytes, size))
        json = json_loadb(bytes, size, 0, &error);
    if (!json && why)
        snprintf(why, 160, "line %d: %.140s", error.line > 0 ? error.line : 1, error.text);
    return json;
}
