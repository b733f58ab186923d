/* The golden list of captions (tests/golden/make_tokens.py), a row at a time. */
#ifndef TIC_TESTS_DATA_GOLDEN_H
#define TIC_TESTS_DATA_GOLDEN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

typedef struct golden_list {
    FILE *file;
    int line;
    char *text; /* of the line, then of the caption's bytes */
    size_t room;
    json_t *object;
    char bytes[256];
} golden_list;
typedef struct golden_row { /* borrowed until the next row */
    const char *caption;    /* raw bytes */
    const char *clean;      /* UTF-8 */
    const json_t *ids;
} golden_row;

golden_list golden_open(void);
bool golden_next(golden_list *list, golden_row *row);
void golden_close(golden_list *list);

#endif
