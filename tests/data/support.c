/* See support.h. */
#include "tests/data/support.h"
#include <criterion/criterion.h>
#include <ftw.h>
#include <stdlib.h>
#include <string.h>

void make_folder(char path[TEST_PATH]) {
    const char *base = getenv("TMPDIR");
    snprintf(path, TEST_PATH, "%s/tic-data-XXXXXX", base ? base : P_tmpdir);
    cr_assert(mkdtemp(path) != NULL);
}

static int remove_entry(const char *path, const struct stat *info, int kind, struct FTW *where) {
    (void)info, (void)kind, (void)where;
    return remove(path);
}

void remove_folder(const char *path) {
    cr_expect(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

void write_file(const char *folder, const char *name, const void *bytes, size_t size) {
    char path[2 * TEST_PATH];
    tic_error err = {0};
    snprintf(path, sizeof path, "%s/%s", folder, name);
    char *slash = strrchr(path, '/');
    *slash = 0;
    cr_assert(tic_make_folder(path, &err) == TIC_OK, "%s", err.text);
    *slash = '/';
    FILE *file = fopen(path, "wb");
    cr_assert(file != NULL);
    cr_assert(fwrite(bytes, 1, size, file) == size);
    cr_assert(fclose(file) == 0);
}

void write_text(const char *folder, const char *name, const char *text) {
    write_file(folder, name, text, strlen(text));
}

char *read_whole(const char *path, size_t *size) {
    char *bytes = NULL;
    tic_error err = {0};
    cr_assert(tic_file_read(path, (size_t)1 << 30, &bytes, size, &err) == TIC_OK, "%s", err.text);
    return bytes;
}

void add_bytes(archive *tar, const void *bytes, size_t size) {
    if (tar->size + size > tar->capacity) {
        size_t capacity = 2 * (tar->size + size);
        cr_assert(tic_grow(&tar->bytes, tar->size, capacity, 1, NULL) == TIC_OK);
        tar->capacity = capacity;
    }
    if (size > 0)
        memcpy(tar->bytes + tar->size, bytes, size);
    tar->size += size;
}

void add_typed(archive *tar, const char *name, char type, const void *bytes, size_t size) {
    static const char zeros[512];
    char header[512] = {0};
    unsigned sum = 0;
    snprintf(header, 100, "%s", name);
    snprintf(header + 100, 8, "%07o", 0644);
    snprintf(header + 124, 12, "%011llo", (unsigned long long)size);
    header[156] = type;
    memcpy(header + 257, "ustar\00000", 8);
    memset(header + 148, ' ', 8);
    for (int i = 0; i < 512; i++)
        sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum);
    add_bytes(tar, header, sizeof header);
    add_bytes(tar, bytes, size);
    add_bytes(tar, zeros, (512 - size % 512) % 512);
}

void add_member(archive *tar, const char *name, const void *bytes, size_t size) {
    add_typed(tar, name, '0', bytes, size);
}

void add_text(archive *tar, const char *name, const char *text) {
    add_member(tar, name, text, strlen(text));
}

void end_archive(archive *tar) {
    static const char zeros[1024];
    add_bytes(tar, zeros, sizeof zeros);
}

void save_archive(const archive *tar, const char *folder, const char *name) {
    write_file(folder, name, tar->bytes, tar->size);
}

void free_archive(archive *tar) {
    tic_free(tar->bytes);
    *tar = (archive){0};
}

encoded make_jpeg(int width, int height, unsigned seed) {
    tic_image image = {.width = width, .height = height};
    tic_random key = {.seed = seed, .purpose = TIC_RNG_BENCH};
    encoded jpeg = {0};
    size_t n = (size_t)width * (size_t)height * 3;
    tic_error err = {0};
    cr_assert(tic_alloc(&image.pixels, n, 1, NULL) == TIC_OK);
    for (size_t i = 0; i < n; i++)
        image.pixels[i] = (uint8_t)(tic_random_u32(key, i / 24) % 200 + i % 24);
    cr_assert(tic_jpeg_encode(&image, 85, &jpeg.bytes, &jpeg.size, &err) == TIC_OK, "%s", err.text);
    tic_free(image.pixels);
    return jpeg;
}

void add_sample(archive *tar, const char *key, unsigned seed, const char *caption, long long time) {
    char name[128], text[512];
    encoded jpeg = make_jpeg(32, 24, seed);
    snprintf(name, sizeof name, "%s.jpg", key);
    add_member(tar, name, jpeg.bytes, jpeg.size);
    tic_free(jpeg.bytes);
    snprintf(text, sizeof text, "picture %s of a thing", key);
    snprintf(name, sizeof name, "%s.txt", key);
    add_text(tar, name, caption ? caption : text);
    snprintf(text, sizeof text, "{\"key\": \"%s\", \"timestamp\": %lld, \"n\": %u}", key, time,
             seed);
    snprintf(name, sizeof name, "%s.json", key);
    add_text(tar, name, text);
}

tic_index *must_index(const char *folder, const tic_index_options *options) {
    tic_index *index = NULL;
    tic_error err = {0};
    cr_assert(tic_index_build(&index, folder, options, &err) == TIC_OK, "%s", err.text);
    return index;
}

void write_days(const char *folder, int count) {
    archive tar = {0};
    for (int i = 0; i < count; i++) {
        char key[16];
        snprintf(key, sizeof key, "%06d", i);
        add_sample(&tar, key, (unsigned)i, NULL, tic_time_of(2015, 1, 1) + 86400LL * i);
    }
    end_archive(&tar);
    save_archive(&tar, folder, "000000.tar");
    free_archive(&tar);
}
