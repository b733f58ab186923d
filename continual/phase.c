/* What a phase before training found (Fisher information, alignments), kept in the step's folder
 * while it trains, with what it cost and a checksum: a process that goes on reads it instead of
 * computing it again. */
#include "room.h"
#include <string.h>

tic_status tic_phase_write(const char *path, const float *values, size_t count,
                           const tic_spent *spent, tic_error *err) {
    tic_array array = {.name = "values",
                       .dtype = "F32",
                       .rank = 1,
                       .shape = {(int64_t)count},
                       .data = values,
                       .bytes = count * sizeof(float)};
    char *text = NULL;
    json_t *json = tic_spent_json(spent);
    tic_status status = tic_json_text(json, JSON_COMPACT, &text, err);
    const char *metadata[] = {"spent", text, NULL};
    if (status == TIC_OK)
        status = tic_safetensors_write_summed(path, &array, 1, metadata, err);
    json_decref(json);
    tic_free(text);
    return status;
}

tic_status tic_phase_read(const char *path, float *values, size_t count, tic_spent *spent,
                          tic_error *err) {
    tic_safetensors *file;
    tic_error why = {TIC_OK, ""};
    if (tic_safetensors_open_summed(&file, path, &why) != TIC_OK)
        return tic_fail(err, why.status, "%.500s; remove it to compute it again", why.text);
    const tic_array *array = tic_safetensors_find(file, "values");
    const char *text = tic_safetensors_metadata(file, "spent");
    json_t *json = json_loads(text != NULL ? text : "", 0, NULL);
    bool whole = array != NULL && strcmp(array->dtype, "F32") == 0 &&
                 array->bytes == count * sizeof(float) && tic_spent_read(json, spent);
    if (whole)
        memcpy(values, array->data, array->bytes);
    json_decref(json);
    tic_safetensors_close(file);
    return whole ? TIC_OK
                 : tic_fail(err, TIC_EINPUT, "%s: damaged; remove it to compute it again", path);
}
