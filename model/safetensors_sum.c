/* A checksum of a safetensors file's contents, kept in its own metadata: damage to a file that no
 * other file has a hash of. It is quick (a multiplication for 8 bytes) and no proof against intent.
 */
#include "room.h"

#include <stdio.h>
#include <string.h>

static const char sum_key[] = "checksum";

/* Both operations can be undone: one word that differs gives another sum. */
static uint64_t add_word(uint64_t sum, uint64_t word) {
    sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ sum >> 32;
}

/* The length first, so that zeros at the end count. */
static uint64_t add_bytes(uint64_t sum, const void *bytes, size_t count) {
    const unsigned char *at = bytes;
    uint64_t word;
    sum = add_word(sum, count);
    for (; count >= sizeof word; count -= sizeof word, at += sizeof word) {
        memcpy(&word, at, sizeof word);
        sum = add_word(sum, word);
    }
    word = 0;
    memcpy(&word, at, count);
    return add_word(sum, word);
}

static uint64_t text_sum(const char *key, const char *value) {
    return add_bytes(add_bytes(1, key, strlen(key)), value, strlen(value));
}

static uint64_t array_sum(const tic_array *array) {
    uint64_t sum = add_bytes(2, array->name, strlen(array->name));
    sum = add_bytes(sum, array->dtype, strlen(array->dtype));
    sum = add_bytes(sum, array->shape, (size_t)array->rank * sizeof array->shape[0]);
    return add_bytes(sum, array->data, array->bytes);
}

tic_status tic_safetensors_write_summed(const char *path, const tic_array *arrays, int count,
                                        const char *const *metadata, tic_error *err) {
    int texts = 0;
    uint64_t sum = 0; /* of all parts, whatever their order */
    char hex[17];
    const char **more;
    for (; metadata && metadata[texts]; texts += 2)
        sum += text_sum(metadata[texts], metadata[texts + 1]);
    for (int i = 0; i < count; i++)
        sum += array_sum(&arrays[i]);
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)sum);
    TIC_TRY(tic_alloc(&more, (size_t)texts + 3, sizeof *more, err));
    for (int i = 0; i < texts; i++)
        more[i] = metadata[i];
    more[texts] = sum_key;
    more[texts + 1] = hex;
    const tic_status status = tic_safetensors_write(path, arrays, count, more, err);
    tic_free(more);
    return status;
}

tic_status tic_safetensors_open_summed(tic_safetensors **out, const char *path, tic_error *err) {
    const char *key, *value;
    uint64_t sum = 0;
    char hex[17];
    TIC_TRY(tic_safetensors_open(out, path, err));
    for (int i = 0; (key = tic_safetensors_metadata_at(*out, i, &value)) != NULL; i++)
        if (strcmp(key, sum_key) != 0)
            sum += text_sum(key, value);
    for (int i = 0; i < tic_safetensors_count(*out); i++)
        sum += array_sum(tic_safetensors_get(*out, i));
    snprintf(hex, sizeof hex, "%016llx", (unsigned long long)sum);
    const char *told = tic_safetensors_metadata(*out, sum_key);
    if (told != NULL && strcmp(told, hex) == 0)
        return TIC_OK;
    const tic_status status =
        told == NULL ? tic_fail(err, TIC_EINPUT, "%s: it has no checksum", path)
                     : tic_fail(err, TIC_EINPUT,
                                "%s: damaged: its contents have the checksum %s, it says %.20s",
                                path, hex, told);
    tic_safetensors_close(*out);
    *out = NULL;
    return status;
}
