/* Tables on a terminal: cells are collected first, so that every column is as wide as its widest
 * cell. */
#include "cli/cli.h"
#include <stdarg.h>
#include <string.h>

/* Columns a UTF-8 text takes: its code points (accents and ± are one each). */
static size_t width_of(const char *text) {
    size_t width = 0;
    for (; *text != '\0'; text++)
        width += ((unsigned char)*text & 0xC0) != 0x80;
    return width;
}

static void add_cell(tic_table *table, const char *text, size_t length) {
    char *grown = table->text;
    if (table->failure.status != TIC_OK)
        return;
    if (tic_grow(&grown, table->used, table->used + length + 1, 1, &table->failure) != TIC_OK)
        return;
    table->text = grown;
    memcpy(table->text + table->used, text, length);
    table->used += length + 1; /* tic_grow zeroed the NUL */
    table->cells++;
}

/* Adds the tab-separated cells of one line. */
static int add_cells(tic_table *table, const char *line) {
    int count = 0;
    for (;; line++) {
        size_t length = strcspn(line, "\t");
        add_cell(table, line, length);
        count++;
        line += length;
        if (*line == '\0')
            return count;
    }
}

void tic_table_begin(tic_table *table, const char *heads) {
    *table = (tic_table){.columns = 0};
    for (;; heads++) {
        size_t length = strcspn(heads, "\t");
        table->right[table->columns++] = heads[0] == '>';
        add_cell(table, heads + 1, length - 1);
        heads += length;
        if (*heads == '\0')
            return;
    }
}

void tic_table_row(tic_table *table, const char *format, ...) {
    char line[2048];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    int count = add_cells(table, line);
    if (count > table->columns && table->failure.status == TIC_OK)
        tic_fail(&table->failure, TIC_EINTERNAL, "a table row has %d cells, not %d: %s", count,
                 table->columns, line);
    for (; count < table->columns; count++)
        add_cell(table, "", 0);
}

static void print_cells(const tic_table *table, const size_t *widths, FILE *file) {
    const char *cell = table->text;
    for (size_t i = 0; i < table->cells; i++, cell += strlen(cell) + 1) {
        int column = (int)(i % (size_t)table->columns);
        int pad = (int)(widths[column] - width_of(cell));
        bool last = column + 1 == table->columns;
        fprintf(file, "%s%*s%s", column > 0 ? "  " : "", table->right[column] ? pad : 0, "", cell);
        if (last)
            fputc('\n', file);
        else if (!table->right[column])
            fprintf(file, "%*s", pad, "");
    }
}

tic_status tic_table_end(tic_table *table, FILE *file, tic_error *err) {
    size_t widths[32] = {0};
    tic_status status = table->failure.status;
    if (status == TIC_OK) {
        const char *cell = table->text;
        for (size_t i = 0; i < table->cells; i++, cell += strlen(cell) + 1) {
            size_t column = i % (size_t)table->columns, width = width_of(cell);
            widths[column] = width > widths[column] ? width : widths[column];
        }
        print_cells(table, widths, file);
    } else {
        tic_fail(err, status, "%s", table->failure.text);
    }
    tic_free(table->text);
    *table = (tic_table){.columns = 0};
    return status;
}
