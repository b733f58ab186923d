/* Growing lists of strings. */
#include "data/room.h"
#include <string.h>

tic_status tic_strings_add(tic_strings *strings, const char *text, tic_error *err) {
    TIC_TRY(tic_reserve_one(&strings->list, strings->count, &strings->capacity,
                            sizeof *strings->list, err));
    TIC_TRY(tic_strdup(&strings->list[strings->count], text, err));
    strings->count++;
    return TIC_OK;
}

void tic_strings_free(char **list, size_t count) {
    for (size_t i = 0; i < count; i++)
        tic_free(list[i]);
    tic_free(list);
}

tic_status tic_strings_add_lines(tic_strings *strings, char *text, tic_error *err) {
    char *rest = text;
    for (char *line; (line = strsep(&rest, "\n"));) {
        line = tic_caption_trim(line);
        if (line[0])
            TIC_TRY(tic_strings_add(strings, line, err));
    }
    return TIC_OK;
}
