/* The ledger of a run: a chain of json lines (room.h tells the format). */
#include "room.h"
#include <stdio.h>
#include <string.h>

static const char NO_LINE[] = "0000000000000000000000000000000000000000000000000000000000000000";

/* Takes one whole line into the ledger. */
static tic_status take_line(tic_ledger *ledger, const char *line, size_t length, tic_error *err) {
    json_error_t where;
    size_t seq = json_array_size(ledger->events);
    json_t *event = json_loadb(line, length, JSON_REJECT_DUPLICATES, &where);
    const char *prev = json_string_value(json_object_get(event, "prev"));
    const json_t *number = json_object_get(event, "seq");
    tic_status status = TIC_OK;
    if (event == NULL)
        status =
            tic_fail(err, TIC_EVERIFY, "%s:%zu: not json: %s", ledger->path, seq + 1, where.text);
    else if (json_string_value(json_object_get(event, "event")) == NULL ||
             !json_is_integer(number) || json_integer_value(number) != (json_int_t)seq ||
             prev == NULL || strcmp(prev, ledger->last) != 0)
        status = tic_fail(err, TIC_EVERIFY,
                          "%s:%zu: the chain is broken here: this line or the one before was "
                          "changed, dropped or put in",
                          ledger->path, seq + 1);
    else if (json_array_append(ledger->events, event) != 0)
        status = tic_fail(err, TIC_ERESOURCE, "no memory for the ledger");
    json_decref(event);
    if (status == TIC_OK)
        tic_sha256_text(line, length, ledger->last);
    return status;
}

tic_status tic_ledger_open(tic_ledger *ledger, const char *path, tic_error *err) {
    char *text = NULL;
    size_t size = 0;
    *ledger = (tic_ledger){.events = json_array()};
    snprintf(ledger->path, sizeof ledger->path, "%s", path);
    memcpy(ledger->last, NO_LINE, sizeof NO_LINE);
    if (ledger->events == NULL)
        return tic_fail(err, TIC_ERESOURCE, "no memory for the ledger");
    tic_status status = TIC_OK;
    if (tic_file_exists(path))
        status = tic_file_read(path, TIC_FILE_LIMIT, &text, &size, err);
    for (size_t at = 0; status == TIC_OK && at < size;) {
        const char *end = memchr(text + at, '\n', size - at);
        if (end == NULL)
            break; /* torn: the next append cuts it off */
        status = take_line(ledger, text + at, (size_t)(end - text) - at, err);
        at = (size_t)(end - text) + 1;
    }
    tic_free(text);
    if (status != TIC_OK)
        tic_ledger_close(ledger);
    return status;
}

void tic_ledger_close(tic_ledger *ledger) {
    json_decref(ledger->events);
    ledger->events = NULL;
}

/* The chain's keys first, then the event's own. */
static json_t *chained(const tic_ledger *ledger, json_t *event) {
    json_t *line = json_pack("{s:I, s:s, s:f}", "seq", (json_int_t)json_array_size(ledger->events),
                             "prev", ledger->last, "time", tic_wall_time());
    if (line != NULL && json_object_update(line, event) != 0) {
        json_decref(line);
        line = NULL;
    }
    return line;
}

tic_status tic_ledger_add(tic_ledger *ledger, json_t *event, tic_error *err) {
    json_t *line = event != NULL ? chained(ledger, event) : NULL;
    char *text = NULL;
    tic_status status;
    json_decref(event);
    if (line == NULL)
        return tic_fail(err, TIC_ERESOURCE, "no memory for an event of the ledger");
    status = tic_json_text(line, JSON_COMPACT, &text, err);
    if (status == TIC_OK)
        status = tic_file_append_line(ledger->path, text, err);
    if (status == TIC_OK && json_array_append(ledger->events, line) != 0)
        status = tic_fail(err, TIC_ERESOURCE, "no memory for the ledger");
    if (status == TIC_OK)
        tic_sha256_text(text, strlen(text), ledger->last);
    tic_free(text);
    json_decref(line);
    return status;
}

static bool is(const json_t *event, const char *key, const char *value) {
    const char *text = json_string_value(json_object_get(event, key));
    return value == NULL || (text != NULL && strcmp(text, value) == 0);
}

const json_t *tic_ledger_find(const tic_ledger *ledger, const char *event, const char *method,
                              const char *step) {
    for (size_t i = json_array_size(ledger->events); i-- > 0;) {
        const json_t *one = json_array_get(ledger->events, i);
        if (is(one, "event", event) && is(one, "method", method) && is(one, "step", step))
            return one;
    }
    return NULL;
}
