/* Safetensors: what is written is read again, and every malformed header is refused by its cause
 * before the payload is read. */
#include "tests/model/support.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *file_path(void) {
    static char path[600];
    if (!path[0])
        snprintf(path, sizeof path, "%s/x.safetensors", test_folder("safetensors"));
    return path;
}

/* ---- round trip ------------------------------------------------------------------------------ */

Test(safetensors, round_trip) {
    const float weights[6] = {1, 2, 3, 4, 5, 6};
    const uint8_t bytes[3] = {7, 8, 9};
    const int64_t scalar = -5;
    const tic_array arrays[] = {
        {.name = "w", .dtype = "F32", .rank = 2, .shape = {2, 3}, .data = weights, .bytes = 24},
        {.name = "odd", .dtype = "U8", .rank = 1, .shape = {3}, .data = bytes, .bytes = 3},
        {.name = "s", .dtype = "I64", .data = &scalar, .bytes = 8},
        {.name = "empty", .dtype = "F16", .rank = 2, .shape = {4, 0}, .data = NULL, .bytes = 0},
    };
    const char *const metadata[] = {"step", "3", "quote", "a \"b\"\n\u00e9", NULL};
    MUST(tic_safetensors_write(file_path(), arrays, 4, metadata, err));
    tic_safetensors *file = NULL;
    MUST(tic_safetensors_open(&file, file_path(), err));
    cr_assert(tic_safetensors_count(file) == 4);
    for (int i = 0; i < 4; i++) {
        const tic_array *got = tic_safetensors_find(file, arrays[i].name);
        cr_assert(got != NULL);
        cr_expect(got->rank == arrays[i].rank && got->bytes == arrays[i].bytes);
        cr_expect(memcmp(got->shape, arrays[i].shape, sizeof got->shape) == 0);
        cr_expect(strcmp(got->dtype, arrays[i].dtype) == 0);
        cr_expect(got->bytes == 0 || memcmp(got->data, arrays[i].data, got->bytes) == 0);
    }
    cr_expect(strcmp(tic_safetensors_metadata(file, "step"), "3") == 0);
    cr_expect(strcmp(tic_safetensors_metadata(file, "quote"), metadata[3]) == 0);
    cr_expect(tic_safetensors_metadata(file, "none") == NULL);
    cr_expect(tic_safetensors_find(file, "none") == NULL);
    tic_safetensors_close(file);
}

Test(safetensors, payload_begins_aligned) {
    const float one = 1;
    const tic_array array = {.name = "a", .dtype = "F32", .data = &one, .bytes = 4};
    char *bytes = NULL;
    size_t size = 0;
    MUST(tic_safetensors_write(file_path(), &array, 1, NULL, err));
    MUST(tic_file_read(file_path(), 1 << 20, &bytes, &size, err));
    uint64_t length;
    memcpy(&length, bytes, sizeof length);
    cr_expect(length % 8 == 0 && size == 8 + length + 4);
    tic_free(bytes);
}

Test(safetensors, twice_the_same_name_is_not_written) {
    const float one = 1;
    const tic_array arrays[] = {{.name = "a", .dtype = "F32", .data = &one, .bytes = 4},
                                {.name = "a", .dtype = "F32", .data = &one, .bytes = 4}};
    tic_error err = {0};
    cr_expect(tic_safetensors_write(file_path(), arrays, 2, NULL, &err) == TIC_EUSAGE);
}

/* ---- attacks --------------------------------------------------------------------------------- */

/* A file of this header and `payload` bytes; claimed: the header's length, 0 for the true one. */
static void write_raw(const char *header, size_t length, size_t payload, uint64_t claimed) {
    char *bytes = NULL;
    MUST(tic_alloc(&bytes, 8 + length + payload, 1, err));
    const uint64_t prefix = claimed ? claimed : length;
    memcpy(bytes, &prefix, 8);
    memcpy(bytes + 8, header, length);
    MUST(tic_file_write(file_path(), bytes, 8 + length + payload, err));
    tic_free(bytes);
}

static void expect_refused(const char *cause) {
    tic_safetensors *file = NULL;
    tic_error err = {0};
    const tic_status status = tic_safetensors_open(&file, file_path(), &err);
    cr_expect(status == TIC_EINPUT && file == NULL, "accepted where \"%s\" was wanted", cause);
    cr_expect(strstr(err.text, cause) != NULL, "\"%s\" not in: %s", cause, err.text);
    cr_expect(strchr(err.text, '\n') == NULL && strstr(err.text, file_path()) != NULL);
}

static void attack(const char *header, size_t payload, const char *cause) {
    write_raw(header, strlen(header), payload, 0);
    expect_refused(cause);
}

Test(safetensors, lengths) {
    MUST(tic_file_write(file_path(), "1234567", 7, err));
    expect_refused("too short");
    write_raw("{}", 2, 0, 3);
    expect_refused("ends beyond the file");
    write_raw("{}", 2, 0, 100000001);
    expect_refused("is above");
    write_raw("{}", 2, 0, UINT64_MAX);
    expect_refused("is above");
    attack("{}", 4, "4 bytes after the last tensor");
    tic_safetensors *file = NULL;
    tic_error err = {0};
    cr_expect(tic_safetensors_open(&file, test_folder("folder"), &err) == TIC_EINPUT);
    cr_expect(tic_safetensors_open(&file, "nowhere.safetensors", &err) == TIC_EINPUT);
}

Test(safetensors, header_json) {
    attack("", 0, "json");
    attack("{\"a\"", 0, "json");
    attack("[]", 0, "not an object");
    attack("{} {}", 0, "json");
    attack("{\"a\\u0000b\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1, "json");
    write_raw("{\"\xff\":1}", 8, 0, 0);
    expect_refused("json");
    attack("{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
           "\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
           1, "duplicate");
    attack("{\"__metadata__\":3}", 0, "__metadata__");
    attack("{\"__metadata__\":{\"a\":3}}", 0, "not a string");
}

Test(safetensors, deep_header) {
    enum { DEPTH = 1 << 20 };
    char *deep = NULL;
    MUST(tic_alloc(&deep, DEPTH, 1, err));
    memset(deep, '[', DEPTH);
    write_raw(deep, DEPTH, 0, 0);
    expect_refused("json");
    tic_free(deep);
}

#define TENSOR(fields) "{\"key\":{" fields "}}"

Test(safetensors, one_tensor) {
    attack(TENSOR("\"dtype\":\"F32\",\"shape\":[1]"), 4, "\"key\": an object with");
    attack(TENSOR("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"more\":1"), 4,
           "\"key\": an object with");
    attack(TENSOR("\"dtype\":\"F99\",\"shape\":[1],\"data_offsets\":[0,4]"), 4, "unknown dtype");
    attack(TENSOR("\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,4]"), 4, "unknown dtype");
    attack(TENSOR("\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]"), 4, "shape: an array");
    attack(TENSOR("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]"), 4,
           "shape: an array of at most 8");
    attack(TENSOR("\"dtype\":\"F32\",\"shape\":[-1],\"data_offsets\":[0,4]"), 4,
           "shape: sizes are whole numbers");
    attack(TENSOR("\"dtype\":\"F32\",\"shape\":[1.0],\"data_offsets\":[0,4]"), 4,
           "shape: sizes are whole numbers");
    attack(TENSOR("\"dtype\":\"F32\",\"shape\":[4611686018427387904,4],\"data_offsets\":[0,4]"), 4,
           "overflows");
    attack(TENSOR("\"dtype\":\"F32\",\"shape\":[99999999999999999999],\"data_offsets\":[0,4]"), 4,
           "json");
    attack(TENSOR("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]"), 4, "two rising");
    attack(TENSOR("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]"), 4, "two rising");
    attack(TENSOR("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[-4,0]"), 4, "two rising");
    attack(TENSOR("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), 4,
           "ends beyond the file");
    attack(TENSOR("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]"), 4,
           "do not match shape x dtype");
    attack("{\"\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}", 1,
           "the name is empty");
}

#define U8(name, begin, end, count)                                                                \
    "\"" name "\":{\"dtype\":\"U8\",\"shape\":[" count "],\"data_offsets\":[" begin "," end "]}"

Test(safetensors, several_tensors) {
    attack("{" U8("a", "0", "4", "4") "," U8("b", "2", "6", "4") "}", 6,
           "\"b\": data_offsets overlap");
    attack("{" U8("a", "0", "4", "4") "," U8("b", "0", "4", "4") "}", 4, "overlap");
    attack("{" U8("a", "0", "4", "4") "," U8("b", "5", "6", "1") "}", 6,
           "\"b\": data_offsets leave a hole");
    attack("{" U8("a", "1", "4", "3") "}", 4, "\"a\": data_offsets leave a hole");
    attack("{" U8("a", "0", "3", "3") "}", 4, "1 bytes after");
    /* out of order and with an empty tensor between, but whole: fine */
    const char *fine =
        "{" U8("b", "4", "6", "2") "," U8("e", "4", "4", "0") "," U8("a", "0", "4", "4") "}";
    write_raw(fine, strlen(fine), 6, 0);
    tic_safetensors *file = NULL;
    MUST(tic_safetensors_open(&file, file_path(), err));
    const char *a = tic_safetensors_find(file, "a")->data,
               *b = tic_safetensors_find(file, "b")->data;
    cr_expect(b == a + 4);
    tic_safetensors_close(file);
}

Test(safetensors, every_truncation_is_refused) {
    const float weights[6] = {1, 2, 3, 4, 5, 6};
    const tic_array array = {
        .name = "w", .dtype = "F32", .rank = 1, .shape = {6}, .data = weights, .bytes = 24};
    char *bytes = NULL;
    size_t size = 0;
    MUST(tic_safetensors_write(file_path(), &array, 1, NULL, err));
    MUST(tic_file_read(file_path(), 1 << 20, &bytes, &size, err));
    for (size_t cut = 0; cut < size; cut++) {
        tic_safetensors *file = NULL;
        MUST(tic_file_write(file_path(), bytes, cut, err));
        cr_expect(tic_safetensors_open(&file, file_path(), NULL) == TIC_EINPUT, "%zu bytes", cut);
    }
    tic_free(bytes);
}
