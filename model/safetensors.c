/* Writes safetensors: 8 bytes of header length (little-endian), a json header padded with spaces to
 * 8 bytes, then the tensors' bytes without holes, in the order of the header. */
#include "room.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static json_t *header_metadata(const char *const *metadata) {
    json_t *object = json_object();
    for (int i = 0; metadata && metadata[i]; i += 2)
        json_object_set_new(object, metadata[i], json_string(metadata[i + 1]));
    return object;
}

static json_t *header_tensor(const tic_array *array, size_t begin) {
    json_t *shape = json_array();
    for (int i = 0; i < array->rank; i++)
        json_array_append_new(shape, json_integer(array->shape[i]));
    return json_pack("{ss so s[II]}", "dtype", array->dtype, "shape", shape, "data_offsets",
                     (json_int_t)begin, (json_int_t)(begin + array->bytes));
}

/* The header as text; free() it. NULL: no memory, or a name or value that is not UTF-8. */
static char *header(const tic_array *arrays, int count, const char *const *metadata) {
    json_t *root = json_object();
    bool ok = json_object_set_new(root, "__metadata__", header_metadata(metadata)) == 0;
    size_t begin = 0;
    for (int i = 0; ok && i < count; i++) {
        ok = json_object_set_new(root, arrays[i].name, header_tensor(&arrays[i], begin)) == 0;
        begin += arrays[i].bytes;
    }
    ok = ok && json_object_size(root) == (size_t)count + 1; /* no name twice */
    char *text = ok ? json_dumps(root, JSON_COMPACT) : NULL;
    json_decref(root);
    return text;
}

static tic_status put_header(tic_writer *writer, const char *text, tic_error *err) {
    static const char spaces[8] = "        ";
    const size_t length = strlen(text), padding = (8 - length % 8) % 8;
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++)
        prefix[i] = (unsigned char)((uint64_t)(length + padding) >> (8 * i));
    TIC_TRY(tic_writer_put(writer, prefix, sizeof prefix, err));
    TIC_TRY(tic_writer_put(writer, text, length, err));
    return tic_writer_put(writer, spaces, padding, err);
}

static tic_status put_all(tic_writer *writer, const char *text, const tic_array *arrays, int count,
                          tic_error *err) {
    TIC_TRY(put_header(writer, text, err));
    for (int i = 0; i < count; i++)
        TIC_TRY(tic_writer_put(writer, arrays[i].data, arrays[i].bytes, err));
    return TIC_OK;
}

tic_status tic_safetensors_write(const char *path, const tic_array *arrays, int count,
                                 const char *const *metadata, tic_error *err) {
    char *text = header(arrays, count, metadata);
    if (!text)
        return tic_fail(err, TIC_EUSAGE,
                        "%s: a tensor or metadata key is there twice or is not "
                        "UTF-8",
                        path);
    tic_writer *writer = NULL;
    tic_status status = tic_writer_open(&writer, path, err);
    if (status == TIC_OK) {
        status = put_all(writer, text, arrays, count, err);
        if (status == TIC_OK)
            status = tic_writer_commit(writer, err);
        else
            tic_writer_abandon(writer);
    }
    free(text); /* jansson's */
    return status;
}
