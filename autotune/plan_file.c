/* Plan files: text that loads whole or not at all.
 *
 *   ticlip plan 1
 *   machine <fingerprint>
 *   <plan line> ...
 *   sha256 <hash of every byte before this line>
 */
#include "autotune/room.h"

#include <stdio.h>
#include <string.h>

static const char magic[] = "ticlip plan 1\n";
static const char machine_word[] = "machine ", hash_word[] = "sha256 ";
enum { PLAN_FILE_LIMIT = 4 << 20 };

typedef struct text {
    char *bytes;
    size_t size, capacity;
} text;

static tic_status text_add(text *t, const char *word, const char *line, tic_error *err) {
    size_t need = strlen(word) + strlen(line) + 2;
    if (t->size + need > t->capacity) {
        size_t wider = (t->size + need) * 2;
        TIC_TRY(tic_grow(&t->bytes, t->capacity, wider, 1, err));
        t->capacity = wider;
    }
    t->size += (size_t)snprintf(t->bytes + t->size, need, "%s%s\n", word, line);
    return TIC_OK;
}

static tic_status compose(const tic_plan *plan, const char *fingerprint, text *t, tic_error *err) {
    TIC_TRY(text_add(t, "ticlip plan 1", "", err));
    TIC_TRY(text_add(t, machine_word, fingerprint, err));
    for (int i = 0; i < tic_plan_lines(plan); i++)
        TIC_TRY(text_add(t, "", tic_plan_line(plan, i), err));
    char hex[65];
    tic_sha256_text(t->bytes, t->size, hex);
    return text_add(t, hash_word, hex, err);
}

tic_status tic_plan_save(const tic_plan *plan, const char *fingerprint, const char *path,
                         tic_error *err) {
    text t = {0};
    tic_status status = compose(plan, fingerprint, &t, err);
    if (status == TIC_OK)
        status = tic_file_write(path, t.bytes, t.size, err);
    tic_free(t.bytes);
    return status;
}

/* Cuts the next line off *rest; NULL when there is none that ends with a newline. */
static char *next_line(char **rest) {
    char *line = *rest, *end = strchr(line, '\n');
    if (end == NULL)
        return NULL;
    *end = '\0';
    *rest = end + 1;
    return line;
}

/* Checks magic and hash; on success *body is what stands between them, NUL-terminated. */
static tic_status check_frame(const char *path, char *bytes, size_t size, char **body,
                              tic_error *err) {
    if (size < strlen(magic) || memcmp(bytes, magic, strlen(magic)) != 0)
        return tic_fail(err, TIC_EINPUT, "%s:1: not a ticlip plan of version 1", path);
    size_t tail = strlen(hash_word) + 64 + 1;
    if (size < strlen(magic) + tail || memchr(bytes, 0, size) != NULL ||
        memcmp(bytes + size - tail, hash_word, strlen(hash_word)) != 0 || bytes[size - 1] != '\n')
        return tic_fail(err, TIC_EINPUT, "%s: cut off: its last line is not a sha256", path);
    char hex[65];
    tic_sha256_text(bytes, size - tail, hex);
    if (memcmp(hex, bytes + size - 65, 64) != 0)
        return tic_fail(err, TIC_EINPUT, "%s: altered: its sha256 does not match its lines", path);
    bytes[size - tail] = '\0';
    *body = bytes + strlen(magic);
    return TIC_OK;
}

static tic_status read_lines(const char *path, char *body, const char *fingerprint, tic_plan *plan,
                             tic_error *err) {
    char *machine = next_line(&body), difference[TIC_FINGERPRINT_TEXT];
    if (machine == NULL || strncmp(machine, machine_word, strlen(machine_word)) != 0)
        return tic_fail(err, TIC_EINPUT, "%s:2: expected `machine <fingerprint>`", path);
    machine += strlen(machine_word);
    const char *whose =
        fingerprint == NULL ? NULL : tic_fingerprint_differs(machine, fingerprint, difference);
    if (whose != NULL)
        return tic_fail(err, TIC_EINPUT, "%s:2: %s: %s", path, whose, difference);
    int number = 3;
    for (char *line; (line = next_line(&body)) != NULL; number++) {
        if (tic_plan_add(plan, line, err) != TIC_OK)
            return tic_fail_in(err, "%s:%d", path, number);
    }
    return TIC_OK;
}

tic_status tic_plan_load(tic_plan **out, const char *path, const char *fingerprint,
                         tic_error *err) {
    char *bytes = NULL, *body = NULL;
    size_t size = 0;
    tic_plan *plan = NULL;
    *out = NULL;
    TIC_TRY(tic_file_read(path, PLAN_FILE_LIMIT, &bytes, &size, err));
    tic_status status = check_frame(path, bytes, size, &body, err);
    if (status == TIC_OK)
        status = tic_plan_new(&plan, err);
    if (status == TIC_OK)
        status = read_lines(path, body, fingerprint, plan, err);
    tic_free(bytes);
    if (status == TIC_OK)
        *out = plan;
    else
        tic_plan_free(plan);
    return status;
}
