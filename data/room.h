/* Inside data/ only: shards, samples, times, worker threads, what several of its files share. */
#ifndef TIC_DATA_ROOM_H
#define TIC_DATA_ROOM_H

#include "data/data.h"
#include <jansson.h>

/* ---- workers ------------------------------------------------------------------------------- */

/* Does item `i` as worker `worker` (0 .. threads-1; 0 is the caller). */
typedef tic_status (*tic_work_fn)(void *user, int worker, size_t i, tic_error *err);
typedef struct tic_work {
    int threads; /* 1 .. ; see tic_threads */
    size_t count;
    tic_work_fn item;
    void *user;
    tic_progress_fn progress; /* may be NULL; called by the caller's thread with `what` */
    tic_stop_fn stop;         /* may be NULL; asked by the caller's thread */
    void *progress_user;      /* of both */
    const char *what;
} tic_work;
/* Does every item once. Items are started in order; when some fail the error is that of the first
 * of them, whatever the number of threads, and items after it may be left undone.
 * TIC_EINTERRUPTED when it was stopped. */
tic_status tic_work_run(const tic_work *work, tic_error *err);
int tic_threads(int asked); /* 0: one per core */

/* ---- tar ----------------------------------------------------------------------------------- */

enum { TIC_TAR_NAME = 4096, TIC_TAR_BLOCK = 512 };
typedef struct tic_member { /* a regular file of an archive */
    char name[TIC_TAR_NAME];
    uint64_t header;   /* offset of its header block (of the long name before it, if any) */
    uint64_t at, size; /* its contents, which lie within the file */
} tic_member;
typedef struct tic_tar {
    int file;
    uint64_t size; /* of the file */
    uint64_t at;   /* next header */
    /* What ended the reading when it was not the end marker: cause, and the offset it was met at.
     */
    const char *why;
    uint64_t why_at;
} tic_tar;
typedef enum tic_tar_state {
    TIC_TAR_END,     /* end marker, nothing but zeros after it */
    TIC_TAR_MEMBER,  /* *member is filled */
    TIC_TAR_DAMAGED, /* truncated or damaged at why_at: what follows cannot be trusted */
    TIC_TAR_REFUSED  /* sound, but of a kind that is not read: sparse file, link, device */
} tic_tar_state;
tic_tar_state tic_tar_next(tic_tar *tar, tic_member *member);
/* After damage: moves on to the next block that looks like a header (magic and checksum), to count
 * what is lost. False at the end of the file. */
bool tic_tar_resync(tic_tar *tar);
/* pread of exactly `size` bytes; false at the end of the file or on an error. */
bool tic_read_at(int file, uint64_t at, void *bytes, size_t size);

/* ---- shards -------------------------------------------------------------------------------- */

typedef enum tic_part {
    TIC_PART_JPEG,
    TIC_PART_PICTURE, /* .png, .webp */
    TIC_PART_TEXT,
    TIC_PART_JSON,
    TIC_PART_CLASS, /* .cls */
    TIC_PART_COUNT
} tic_part;
typedef struct tic_span { /* a member's contents; at 0: there is none */
    uint64_t at, size;
} tic_span;
enum { TIC_KEY = 64 };
typedef struct tic_group { /* consecutive members with one key */
    tic_id key_hash;       /* of the whole key */
    uint64_t at;           /* offset of the first member's header */
    tic_span part[TIC_PART_COUNT];
    bool lost; /* incomplete because the shard is damaged there, or after the damage */
    char key[TIC_KEY];
} tic_group;
typedef struct tic_shard {
    char *path;
    uint64_t size;
    int64_t mtime; /* nanoseconds since 1970 */
    tic_group *groups;
    size_t count, capacity;
    uint64_t lost;   /* groups that are lost; at least 1 when the shard is damaged */
    const char *why; /* NULL when the shard is sound, else the damage and its offset */
    uint64_t why_at;
} tic_shard;
/* Lists `folder`'s *.tar sorted by name, with sizes and times. *shards is the caller's
 * (tic_shards_free). No folder or no shard: TIC_EINPUT. */
tic_status tic_shards_list(tic_shard **shards, int *count, const char *folder, tic_error *err);
/* Size and mtime of shard->path. */
tic_status tic_shard_stat(tic_shard *shard, tic_error *err);
void tic_shards_free(tic_shard *shards, int count);
/* Fills groups. Damage is recorded in the shard, not an error. Interleaved or duplicate keys, a
 * part twice in one sample, members that are refused: TIC_EINPUT naming path@offset. */
tic_status tic_shard_scan(tic_shard *shard, tic_error *err);
/* A shard open for reading. A file whose size or mtime is not the shard's is TIC_EINPUT. */
tic_status tic_shard_open(int *file, const tic_shard *shard, tic_error *err);

/* A growing buffer that is used again. */
typedef struct tic_buffer {
    char *bytes;
    size_t capacity;
} tic_buffer;
tic_status tic_buffer_room(tic_buffer *buffer, size_t size, tic_error *err);
/* A copy of the text, which may not lie in the buffer, and a NUL. */
tic_status tic_buffer_set(tic_buffer *buffer, const char *text, size_t size, tic_error *err);
/* Reads a member whole, followed by a NUL. */
tic_status tic_span_read(tic_buffer *buffer, const tic_shard *shard, int file, uint64_t at,
                         size_t size, tic_error *err);

/* ---- lists of strings ----------------------------------------------------------------------- */

typedef struct tic_strings {
    char **list;
    size_t count, capacity;
} tic_strings;
tic_status tic_strings_add(tic_strings *strings, const char *text, tic_error *err);
void tic_strings_free(char **list, size_t count);
/* Adds the lines of `text`, trimmed, empty ones left out; text is changed in place. */
tic_status tic_strings_add_lines(tic_strings *strings, char *text, tic_error *err);

/* ---- json and times ------------------------------------------------------------------------ */

enum { TIC_JSON_DEPTH = 64, TIC_JSON_BYTES = 1 << 20, TIC_TEXT_BYTES = 64 << 10 };
/* Parses a document of at most TIC_JSON_BYTES bytes, nested at most TIC_JSON_DEPTH deep; *bytes is
 * changed in place (Python's NaN and Infinity become empty strings). NULL when it is not one; why
 * gets jansson's words, or may be NULL. */
json_t *tic_json_parse(char *bytes, size_t size, char why[160]);

/* Seconds since 1970 of a civil date; month 1 .. 12, day 1 .. 31. */
int64_t tic_time_of(int year, int month, int day);
void tic_time_civil(int64_t time, int *year, int *month);
/* A json value (unix seconds or milliseconds, as a number or text, or ISO 8601) as seconds since
 * 1970. False when it is not a time between 1990 and 2100. */
bool tic_time_parse(const json_t *value, int64_t *time);

/* ---- samples ------------------------------------------------------------------------------- */

/* Whether a JPEG decodes without error or warning, and its size in pixels. TIC_REJECT_NONE when it
 * does. Fails only for lack of memory. */
tic_status tic_jpeg_check(const void *bytes, size_t size, tic_reject *reason, int *width,
                          int *height, tic_error *err);

enum { TIC_PICTURE_BYTES = 64 << 20 };
typedef struct tic_sample { /* a group, looked into */
    tic_pair pair;
    tic_reject reject;
} tic_sample;
typedef struct tic_sample_scratch {
    tic_buffer image, text, json;
} tic_sample_scratch;
/* Reads and judges the group; `number` is the shard's. Fails only for lack of memory or a file that
 * cannot be read. */
tic_status tic_sample_read(tic_sample *sample, const tic_group *group, const tic_shard *shard,
                           uint32_t number, int file, const tic_index_options *options,
                           tic_sample_scratch *scratch, tic_error *err);
/* Cuts ASCII white space off both ends: how a caption stands in hashes and tokens. Returns the new
 * start and writes the NUL. */
char *tic_caption_trim(char *text);

/* ---- index --------------------------------------------------------------------------------- */

struct tic_index {
    tic_shard *shards; /* without groups */
    int shard_count;
    tic_pair *pairs;
    size_t size;
    tic_rejected *rejects; /* by shard and offset */
    size_t reject_count;
    uint64_t rejected[TIC_REJECT_COUNT];
    bool filter; /* the options that decided the contents */
    int min_side;
    char time_field[64]; /* "": the usual ones */
    uint64_t max_bad;
};

tic_status tic_index_new(tic_index **out, const tic_index_options *options, tic_error *err);
/* Marks as TIC_REJECT_DUPLICATE what has the identity, or the content, of an earlier usable sample
 * that is kept; earlier in time, then in shard and offset, in which order the samples stand. */
tic_status tic_drop_duplicates(tic_sample *samples, size_t count, tic_error *err);
/* Reads the pair's picture, still compressed (image may be NULL), and its caption, trimmed, which
 * lies in `text`. Safe from many threads. */
tic_status tic_index_read(const tic_index *index, uint32_t pair, tic_buffer *image,
                          tic_buffer *text, const char **caption, tic_error *err);
void tic_hash_id(tic_sha256 *hash, tic_id id); /* adds 16 bytes, big-endian */
tic_id tic_hash_end(tic_sha256 *hash);         /* the first 128 bits, as tic_id_of */

/* ---- pictures ------------------------------------------------------------------------------ */

/* As tic_resize_bicubic, but only the part [x0, x0+w) x [y0, y0+h) of the resized picture. */
typedef struct tic_window {
    int x0, y0, w, h;
} tic_window;
tic_status tic_resize_window(const tic_image *image, const int box[4], int out_w, int out_h,
                             tic_window window, uint8_t *out, tic_error *err);
/* The box that tic_preprocess_train cuts out. */
void tic_crop_box(int width, int height, tic_random key, uint64_t position, int box[4]);

/* ---- cache of decoded pairs ---------------------------------------------------------------- */

typedef struct tic_cached { /* a decoded picture and its caption's ids, in one block */
    tic_image image;
    int32_t *ids;
    int count;
} tic_cached;
typedef struct tic_cache tic_cache;
tic_status tic_cache_new(tic_cache **out, size_t places, size_t bytes, tic_error *err);
void tic_cache_free(tic_cache *cache); /* NULL is allowed */
/* Borrowed for the cache's life; NULL when the place holds nothing. */
const tic_cached *tic_cache_get(const tic_cache *cache, size_t place);
/* Keeps a copy if there is room; what is kept is never thrown out, because every epoch needs every
 * pair once. Safe from many threads. */
void tic_cache_put(tic_cache *cache, size_t place, const tic_image *image, const int32_t *ids,
                   int count);

#endif
