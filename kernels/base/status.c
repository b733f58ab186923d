/* Filling in a caller's tic_error. */
#include "kernels/base/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One line, whatever a file name or a foreign message brought along. */
static void keep_one_line(char *text) {
    for (; *text != '\0'; text++)
        if (*text == '\n' || *text == '\r')
            *text = ' ';
}

tic_status tic_fail(tic_error *err, tic_status status, const char *format, ...) {
    if (err == NULL)
        return status;
    char text[TIC_ERROR_TEXT]; /* apart: an argument may be the old err->text */
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    keep_one_line(text);
    memcpy(err->text, text, sizeof text);
    err->status = status;
    return status;
}

tic_status tic_fail_in(tic_error *err, const char *format, ...) {
    if (err == NULL)
        return TIC_EINTERNAL; /* nobody holds the status: the caller should have kept it */
    char text[TIC_ERROR_TEXT];
    va_list args;
    va_start(args, format);
    int used = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (used > 0 && (size_t)used + 3 < sizeof text) { /* else the prefix alone fills the line */
        memcpy(text + used, ": ", 2);
        size_t room = sizeof text - (size_t)used - 3, length = strnlen(err->text, room);
        memcpy(text + used + 2, err->text, length);
        text[used + 2 + (int)length] = '\0';
    }
    keep_one_line(text);
    memcpy(err->text, text, sizeof text);
    return err->status;
}
