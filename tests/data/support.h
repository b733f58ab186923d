/* What the data tests share: folders that go away, archives built in memory, small pictures. A
 * failure in any of it ends the test. */
#ifndef TIC_TESTS_DATA_SUPPORT_H
#define TIC_TESTS_DATA_SUPPORT_H

#include "data/room.h"

enum { TEST_PATH = 512 };

void make_folder(char path[TEST_PATH]);
void remove_folder(const char *path);
/* folder/name with these bytes; folders between are made. */
void write_file(const char *folder, const char *name, const void *bytes, size_t size);
void write_text(const char *folder, const char *name, const char *text);
char *read_whole(const char *path, size_t *size); /* tic_free */

typedef struct archive { /* a tar in memory */
    char *bytes;
    size_t size, capacity;
} archive;
void add_bytes(archive *tar, const void *bytes, size_t size);
/* A ustar member of the given type; its contents are padded to a block. */
void add_typed(archive *tar, const char *name, char type, const void *bytes, size_t size);
void add_member(archive *tar, const char *name, const void *bytes, size_t size);
void add_text(archive *tar, const char *name, const char *text);
void end_archive(archive *tar); /* two blocks of zeros */
void save_archive(const archive *tar, const char *folder, const char *name);
void free_archive(archive *tar);

/* A JPEG of a picture that `seed` decides. */
typedef struct encoded {
    uint8_t *bytes;
    size_t size;
} encoded;
encoded make_jpeg(int width, int height, unsigned seed);

/* key.jpg (32 x 24, by seed), key.txt and key.json with the time; caption NULL: "picture <key> of
 * a thing". */
void add_sample(archive *tar, const char *key, unsigned seed, const char *caption, long long time);

/* Builds an index or fails the test. */
tic_index *must_index(const char *folder, const tic_index_options *options);
/* Pairs of one shard of `count` samples, one a day from 2015-01-01 on, as folder/000000.tar. */
void write_days(const char *folder, int count);

#endif
