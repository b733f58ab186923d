/* Reads safetensors. A file is input from outside: the header is checked in full, against the
 * file's size and against itself, before a byte of the payload is read. */
#include "room.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_HEADER = 100000000, PREFIX = 8 }; /* the format's own limit on the header */

struct tic_safetensors {
    json_t *root; /* holds the metadata's strings */
    tic_array *arrays;
    int count;
    unsigned char *payload;
    size_t payload_size;
};

/* ---- the file -------------------------------------------------------------------------------- */

typedef struct source {
    const char *path;
    int fd;
    uint64_t size;
} source;

static tic_status open_source(source *s, const char *path, tic_error *err) {
    struct stat info;
    s->path = path;
    s->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (s->fd < 0)
        return tic_fail(err, TIC_EINPUT, "%s: %s", path, strerror(errno));
    if (fstat(s->fd, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(s->fd);
        return tic_fail(err, TIC_EINPUT, "%s: not a regular file", path);
    }
    s->size = (uint64_t)info.st_size;
    return TIC_OK;
}

static tic_status read_at(const source *s, uint64_t offset, void *out, size_t size,
                          tic_error *err) {
    unsigned char *at = out;
    while (size > 0) {
        const ssize_t got = pread(s->fd, at, size, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return tic_fail(err, TIC_EINPUT, "%s@%llu: %s", s->path, (unsigned long long)offset,
                            got < 0 ? strerror(errno) : "the file ends here");
        at += got;
        offset += (uint64_t)got;
        size -= (size_t)got;
    }
    return TIC_OK;
}

static tic_status read_header(const source *s, json_t **root, uint64_t *payload_at,
                              tic_error *err) {
    unsigned char prefix[PREFIX];
    if (s->size < PREFIX)
        return tic_fail(err, TIC_EINPUT, "%s@0: too short for a safetensors file", s->path);
    TIC_TRY(read_at(s, 0, prefix, PREFIX, err));
    uint64_t length = 0;
    for (int i = 0; i < PREFIX; i++)
        length |= (uint64_t)prefix[i] << (8 * i);
    if (length > MAX_HEADER)
        return tic_fail(err, TIC_EINPUT, "%s@0: the header's length, %llu, is above %d", s->path,
                        (unsigned long long)length, MAX_HEADER);
    if (length > s->size - PREFIX)
        return tic_fail(err, TIC_EINPUT, "%s@0: a header of %llu bytes ends beyond the file",
                        s->path, (unsigned long long)length);
    char *text = NULL;
    TIC_TRY(tic_alloc(&text, length, 1, err));
    tic_status status = read_at(s, PREFIX, text, length, err);
    if (status == TIC_OK) {
        json_error_t where;
        *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &where);
        if (!*root)
            status = tic_fail(err, TIC_EINPUT, "%s@%d: the header is no valid json: %s", s->path,
                              PREFIX + where.position, where.text);
        else if (!json_is_object(*root))
            status =
                tic_fail(err, TIC_EINPUT, "%s@%d: the header is not an object", s->path, PREFIX);
    }
    tic_free(text);
    *payload_at = PREFIX + length;
    return status;
}

/* ---- one tensor of the header ---------------------------------------------------------------- */

typedef struct extent { /* of a tensor in the payload */
    uint64_t begin, end;
    int index;
} extent;

static const struct {
    const char *name;
    uint64_t bytes;
} dtypes[] = {
    {"BOOL", 1}, {"U8", 1},  {"I8", 1},  {"F8_E4M3", 1}, {"F8_E5M2", 1},
    {"I16", 2},  {"U16", 2}, {"F16", 2}, {"BF16", 2},    {"I32", 4},
    {"U32", 4},  {"F32", 4}, {"F64", 8}, {"I64", 8},     {"U64", 8},
};

static uint64_t dtype_bytes(const char *name) {
    for (size_t i = 0; i < sizeof dtypes / sizeof *dtypes; i++)
        if (strcmp(name, dtypes[i].name) == 0)
            return dtypes[i].bytes;
    return 0;
}

static tic_status refuse(const char *path, const char *key, const char *cause, tic_error *err) {
    return tic_fail(err, TIC_EINPUT, "%s: \"%.100s\": %s", path, key, cause);
}

/* A whole number from 0 on, exact in 63 bits. */
static bool natural(const json_t *value, uint64_t *out) {
    if (!json_is_integer(value) || json_integer_value(value) < 0)
        return false;
    *out = (uint64_t)json_integer_value(value);
    return true;
}

/* Reads the shape; *bytes = shape x dtype. */
static tic_status read_shape(const char *path, const char *key, const json_t *shape,
                             tic_array *array, uint64_t *bytes, tic_error *err) {
    const size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || rank > sizeof array->shape / sizeof *array->shape)
        return refuse(path, key, "shape: an array of at most 8 sizes is needed", err);
    *bytes = dtype_bytes(array->dtype);
    array->rank = (int)rank;
    for (size_t i = 0; i < rank; i++) {
        uint64_t size;
        if (!natural(json_array_get(shape, i), &size))
            return refuse(path, key, "shape: sizes are whole numbers from 0 on", err);
        array->shape[i] = (int64_t)size;
        if (__builtin_mul_overflow(*bytes, size, bytes))
            return refuse(path, key, "shape x dtype overflows", err);
    }
    return TIC_OK;
}

static tic_status read_tensor(const char *path, const char *key, json_t *value, uint64_t payload,
                              tic_array *array, extent *at, tic_error *err) {
    if (!json_is_object(value) || json_object_size(value) != 3)
        return refuse(path, key, "an object with dtype, shape and data_offsets is needed", err);
    const char *dtype = json_string_value(json_object_get(value, "dtype"));
    const json_t *offsets = json_object_get(value, "data_offsets");
    if (!*key || strlen(key) >= sizeof array->name)
        return refuse(path, key, "the name is empty or too long", err);
    if (!dtype || dtype_bytes(dtype) == 0)
        return refuse(path, key, "unknown dtype", err);
    strcpy(array->name, key);
    strcpy(array->dtype, dtype);
    uint64_t bytes = 0;
    TIC_TRY(read_shape(path, key, json_object_get(value, "shape"), array, &bytes, err));
    if (json_array_size(offsets) != 2 || !natural(json_array_get(offsets, 0), &at->begin) ||
        !natural(json_array_get(offsets, 1), &at->end) || at->begin > at->end)
        return refuse(path, key, "data_offsets: two rising whole numbers are needed", err);
    if (at->end > payload)
        return refuse(path, key, "data_offsets: the tensor ends beyond the file", err);
    if (at->end - at->begin != bytes)
        return refuse(path, key, "data_offsets do not match shape x dtype", err);
    array->bytes = bytes;
    return TIC_OK;
}

/* ---- the whole header ------------------------------------------------------------------------ */

static tic_status check_metadata(const char *path, json_t *metadata, tic_error *err) {
    const char *key;
    json_t *value;
    if (metadata && !json_is_object(metadata))
        return refuse(path, "__metadata__", "an object is needed", err);
    json_object_foreach(metadata, key, value) {
        if (!json_is_string(value))
            return refuse(path, key, "a value in __metadata__ is not a string", err);
    }
    return TIC_OK;
}

static int by_begin(const void *a, const void *b) {
    const extent *x = a, *y = b;
    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end); /* an empty tensor comes before what follows it */
}

/* Sorted by begin, the tensors must follow each other and fill the payload. */
static tic_status check_cover(const char *path, const tic_array *arrays, extent *extents, int count,
                              uint64_t payload, tic_error *err) {
    uint64_t end = 0;
    qsort(extents, (size_t)count, sizeof *extents, by_begin);
    for (int i = 0; i < count; i++) {
        const char *name = arrays[extents[i].index].name;
        if (extents[i].begin < end)
            return refuse(path, name, "data_offsets overlap another tensor", err);
        if (extents[i].begin > end)
            return refuse(path, name, "data_offsets leave a hole before the tensor", err);
        end = extents[i].end;
    }
    if (end != payload)
        return tic_fail(err, TIC_EINPUT, "%s: %llu bytes after the last tensor", path,
                        (unsigned long long)(payload - end));
    return TIC_OK;
}

static tic_status read_tensors(tic_safetensors *file, const char *path, extent *extents,
                               tic_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach(file->root, key, value) {
        if (strcmp(key, "__metadata__") == 0)
            continue;
        extents[file->count].index = file->count;
        TIC_TRY(read_tensor(path, key, value, file->payload_size, &file->arrays[file->count],
                            &extents[file->count], err));
        file->count++;
    }
    return check_cover(path, file->arrays, extents, file->count, file->payload_size, err);
}

static tic_status read_payload(tic_safetensors *file, const source *s, uint64_t payload_at,
                               tic_error *err) {
    const size_t most = json_object_size(file->root);
    extent *extents = NULL;
    TIC_TRY(tic_alloc(&file->arrays, most, sizeof *file->arrays, err));
    TIC_TRY(tic_alloc(&extents, most, sizeof *extents, err));
    tic_status status = check_metadata(s->path, json_object_get(file->root, "__metadata__"), err);
    if (status == TIC_OK)
        status = read_tensors(file, s->path, extents, err);
    if (status == TIC_OK)
        status = tic_alloc(&file->payload, file->payload_size, 1, err);
    for (int i = 0; status == TIC_OK && i < file->count; i++)
        file->arrays[extents[i].index].data = file->payload + extents[i].begin;
    if (status == TIC_OK)
        status = read_at(s, payload_at, file->payload, file->payload_size, err);
    tic_free(extents);
    return status;
}

tic_status tic_safetensors_open(tic_safetensors **out, const char *path, tic_error *err) {
    *out = NULL;
    source s;
    TIC_TRY(open_source(&s, path, err));
    tic_safetensors *file = NULL;
    uint64_t payload_at = 0;
    tic_status status = tic_alloc(&file, 1, sizeof *file, err);
    if (status == TIC_OK)
        status = read_header(&s, &file->root, &payload_at, err);
    if (status == TIC_OK) {
        file->payload_size = s.size - payload_at;
        status = read_payload(file, &s, payload_at, err);
    }
    close(s.fd);
    if (status != TIC_OK)
        tic_safetensors_close(file);
    else
        *out = file;
    return status;
}

void tic_safetensors_close(tic_safetensors *file) {
    if (!file)
        return;
    json_decref(file->root);
    tic_free(file->arrays);
    tic_free(file->payload);
    tic_free(file);
}

/* ---- what is in it --------------------------------------------------------------------------- */

int tic_safetensors_count(const tic_safetensors *file) {
    return file->count;
}

const tic_array *tic_safetensors_get(const tic_safetensors *file, int i) {
    return &file->arrays[i];
}

const tic_array *tic_safetensors_find(const tic_safetensors *file, const char *name) {
    for (int i = 0; i < file->count; i++)
        if (strcmp(file->arrays[i].name, name) == 0)
            return &file->arrays[i];
    return NULL;
}

const char *tic_safetensors_metadata(const tic_safetensors *file, const char *key) {
    return json_string_value(json_object_get(json_object_get(file->root, "__metadata__"), key));
}

const char *tic_safetensors_metadata_at(const tic_safetensors *file, int i, const char **value) {
    json_t *metadata = json_object_get(file->root, "__metadata__"), *text;
    const char *key;
    json_object_foreach(metadata, key, text) {
        if (i-- == 0) {
            *value = json_string_value(text);
            return key;
        }
    }
    return NULL;
}
