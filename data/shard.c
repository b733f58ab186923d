/* Shards: a folder's tars, their members grouped into samples by key, and reads of single members.
 *
 * A key is the member's path up to the first dot of its base name; consecutive members with one key
 * are one sample (WebDataset's convention). */
#include "data/room.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- the folder ---------------------------------------------------------------------------- */

static int by_path(const void *a, const void *b) {
    return strcmp(((const tic_shard *)a)->path, ((const tic_shard *)b)->path);
}

static bool is_tar(const char *name) {
    size_t n = strlen(name);
    return n > 4 && name[0] != '.' && strcmp(name + n - 4, ".tar") == 0;
}

static int64_t mtime_of(const struct stat *st) {
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

tic_status tic_shard_stat(tic_shard *shard, tic_error *err) {
    struct stat st;
    if (stat(shard->path, &st) != 0)
        return tic_fail(err, TIC_EINPUT, "%s: %s", shard->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return tic_fail(err, TIC_EINPUT, "%s: not a regular file", shard->path);
    shard->size = (uint64_t)st.st_size;
    shard->mtime = mtime_of(&st);
    return TIC_OK;
}

static tic_status add_shard(tic_shard **shards, int *count, size_t *capacity, const char *folder,
                            const char *name, tic_error *err) {
    char path[4096];
    TIC_TRY(tic_path_join(path, sizeof path, folder, name, err));
    TIC_TRY(tic_reserve_one(shards, (size_t)*count, capacity, sizeof **shards, err));
    tic_shard *shard = &(*shards)[*count];
    TIC_TRY(tic_strdup(&shard->path, path, err));
    ++*count;
    return tic_shard_stat(shard, err);
}

tic_status tic_shards_list(tic_shard **shards, int *count, const char *folder, tic_error *err) {
    *shards = NULL;
    *count = 0;
    DIR *dir = opendir(folder);
    if (!dir)
        return tic_fail(err, TIC_EINPUT, "%s: %s", folder, strerror(errno));
    size_t capacity = 0;
    tic_status status = TIC_OK;
    for (struct dirent *entry; status == TIC_OK && (entry = readdir(dir));)
        if (is_tar(entry->d_name))
            status = add_shard(shards, count, &capacity, folder, entry->d_name, err);
    closedir(dir);
    if (status == TIC_OK && *count == 0)
        status = tic_fail(err, TIC_EINPUT, "%s: no shard (*.tar) in this folder", folder);
    if (status != TIC_OK) {
        tic_shards_free(*shards, *count);
        *shards = NULL;
        *count = 0;
        return status;
    }
    qsort(*shards, (size_t)*count, sizeof **shards, by_path);
    return TIC_OK;
}

void tic_shards_free(tic_shard *shards, int count) {
    for (int i = 0; i < count; i++) {
        tic_free(shards[i].path);
        tic_free(shards[i].groups);
    }
    tic_free(shards);
}

/* ---- members into groups ------------------------------------------------------------------- */

/* Splits a member's name: *length of its key, and its suffix. False for names that have none:
 * hidden files, README and the like, which belong to no sample. */
static bool split_name(const char *name, size_t *length, const char **suffix) {
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;
    const char *dot = strchr(base, '.');
    if (!dot || dot == base || dot[1] == 0)
        return false;
    *length = (size_t)(dot - name);
    *suffix = dot + 1;
    return true;
}

static tic_part part_of(const char *suffix) {
    static const struct {
        const char *suffix;
        tic_part part;
    } parts[] = {{"jpg", TIC_PART_JPEG},     {"jpeg", TIC_PART_JPEG}, {"png", TIC_PART_PICTURE},
                 {"webp", TIC_PART_PICTURE}, {"txt", TIC_PART_TEXT},  {"json", TIC_PART_JSON},
                 {"cls", TIC_PART_CLASS}};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (strcasecmp(suffix, parts[i].suffix) == 0)
            return parts[i].part;
    return TIC_PART_COUNT;
}

/* The group of a member: the last one when the key is the same, else a new one. */
static tic_status group_of(tic_shard *shard, const tic_member *member, size_t key, bool lost,
                           tic_group **group, tic_error *err) {
    tic_id hash = tic_id_of(member->name, key);
    if (shard->count > 0 && tic_id_compare(shard->groups[shard->count - 1].key_hash, hash) == 0) {
        *group = &shard->groups[shard->count - 1];
        return TIC_OK;
    }
    TIC_TRY(tic_reserve_one(&shard->groups, shard->count, &shard->capacity, sizeof *shard->groups,
                            err));
    tic_group *fresh = &shard->groups[shard->count++];
    memset(fresh, 0, sizeof *fresh);
    fresh->key_hash = hash;
    fresh->at = member->header;
    fresh->lost = lost;
    memcpy(fresh->key, member->name, key < TIC_KEY ? key : TIC_KEY - 1);
    *group = fresh;
    return TIC_OK;
}

static tic_status add_member(tic_shard *shard, const tic_member *member, bool lost,
                             tic_error *err) {
    size_t key;
    const char *suffix;
    tic_group *group;
    if (!split_name(member->name, &key, &suffix))
        return TIC_OK;
    TIC_TRY(group_of(shard, member, key, lost, &group, err));
    tic_part part = part_of(suffix);
    if (part == TIC_PART_COUNT)
        return TIC_OK;
    if (group->part[part].at != 0 && !lost)
        return tic_fail(err, TIC_EINPUT, "%s@%llu: sample %s has a second .%s", shard->path,
                        (unsigned long long)member->header, group->key, suffix);
    group->part[part] = (tic_span){.at = member->at, .size = member->size};
    return TIC_OK;
}

/* Where the shard broke off, its last sample may lack members that stood behind the break: only one
 * with picture, text and json is surely whole. What a search for headers finds after the break is
 * counted and not used, for it may be the contents of a member. */
static tic_status count_lost(tic_shard *shard, tic_tar *tar, tic_member *member, tic_error *err) {
    shard->why = tar->why;
    shard->why_at = tar->why_at;
    if (shard->count > 0) {
        tic_group *last = &shard->groups[shard->count - 1];
        last->lost = !((last->part[TIC_PART_JPEG].at || last->part[TIC_PART_PICTURE].at) &&
                       last->part[TIC_PART_TEXT].at && last->part[TIC_PART_JSON].at);
    }
    while (tic_tar_resync(tar)) {
        tic_tar_state state;
        while ((state = tic_tar_next(tar, member)) == TIC_TAR_MEMBER)
            TIC_TRY(add_member(shard, member, true, err));
        if (state == TIC_TAR_END)
            break;
    }
    for (size_t i = 0; i < shard->count; i++)
        shard->lost += shard->groups[i].lost;
    if (shard->lost > 0)
        return TIC_OK;
    /* A break between samples: nobody knows how many are missing, but it is never silent. */
    TIC_TRY(tic_reserve_one(&shard->groups, shard->count, &shard->capacity, sizeof *shard->groups,
                            err));
    shard->groups[shard->count++] = (tic_group){.at = shard->why_at, .lost = true};
    shard->lost = 1;
    return TIC_OK;
}

typedef struct key_place {
    tic_id hash;
    size_t group;
} key_place;

static int by_hash(const void *a, const void *b) {
    const key_place *x = a, *y = b;
    int order = tic_id_compare(x->hash, y->hash);
    return order ? order : (x->group > y->group) - (x->group < y->group);
}

/* A key that comes back after another one: half a sample here, half there, or two of one name. */
static tic_status check_keys(const tic_shard *shard, tic_error *err) {
    key_place *places = NULL;
    size_t n = 0, again = SIZE_MAX;
    TIC_TRY(tic_alloc(&places, shard->count, sizeof *places, err));
    for (size_t i = 0; i < shard->count; i++)
        if (shard->why == NULL || !shard->groups[i].lost)
            places[n++] = (key_place){.hash = shard->groups[i].key_hash, .group = i};
    qsort(places, n, sizeof *places, by_hash);
    for (size_t i = 1; i < n; i++)
        if (tic_id_compare(places[i].hash, places[i - 1].hash) == 0 && places[i].group < again)
            again = places[i].group;
    tic_free(places);
    if (again == SIZE_MAX)
        return TIC_OK;
    return tic_fail(err, TIC_EINPUT,
                    "%s@%llu: key %s came before in this shard; the members of a sample must "
                    "stand together, under a key of their own",
                    shard->path, (unsigned long long)shard->groups[again].at,
                    shard->groups[again].key);
}

static tic_status scan(tic_shard *shard, int file, tic_member *member, tic_error *err) {
    tic_tar tar = {.file = file, .size = shard->size};
    tic_tar_state state;
    while ((state = tic_tar_next(&tar, member)) == TIC_TAR_MEMBER)
        TIC_TRY(add_member(shard, member, false, err));
    if (state == TIC_TAR_REFUSED)
        return tic_fail(err, TIC_EINPUT, "%s@%llu: %s; a shard holds plain files", shard->path,
                        (unsigned long long)tar.why_at, tar.why);
    if (state == TIC_TAR_DAMAGED)
        TIC_TRY(count_lost(shard, &tar, member, err));
    return check_keys(shard, err);
}

tic_status tic_shard_scan(tic_shard *shard, tic_error *err) {
    int file;
    tic_member *member = NULL;
    TIC_TRY(tic_shard_open(&file, shard, err));
    tic_status status = tic_alloc(&member, 1, sizeof *member, err);
    if (status == TIC_OK)
        status = scan(shard, file, member, err);
    tic_free(member);
    close(file);
    return status;
}

/* ---- reading -------------------------------------------------------------------------------- */

tic_status tic_shard_open(int *file, const tic_shard *shard, tic_error *err) {
    struct stat st;
    int fd = open(shard->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return tic_fail(err, TIC_EINPUT, "%s: %s", shard->path, strerror(errno));
    if (fstat(fd, &st) != 0 || (uint64_t)st.st_size != shard->size ||
        mtime_of(&st) != shard->mtime) {
        close(fd);
        return tic_fail(err, TIC_EINPUT,
                        "%s: the shard has changed since it was indexed; index the data again",
                        shard->path);
    }
    *file = fd;
    return TIC_OK;
}

tic_status tic_buffer_room(tic_buffer *buffer, size_t size, tic_error *err) {
    if (size <= buffer->capacity)
        return TIC_OK;
    size_t capacity = size + size / 2 + 4096;
    TIC_TRY(tic_grow(&buffer->bytes, 0, capacity, 1, err));
    buffer->capacity = capacity;
    return TIC_OK;
}

tic_status tic_buffer_set(tic_buffer *buffer, const char *text, size_t size, tic_error *err) {
    TIC_TRY(tic_buffer_room(buffer, size + 1, err));
    if (size > 0)
        memcpy(buffer->bytes, text, size);
    buffer->bytes[size] = 0;
    return TIC_OK;
}

tic_status tic_span_read(tic_buffer *buffer, const tic_shard *shard, int file, uint64_t at,
                         size_t size, tic_error *err) {
    TIC_TRY(tic_buffer_room(buffer, size + 1, err));
    if (!tic_read_at(file, at, buffer->bytes, size))
        return tic_fail(err, TIC_EINPUT, "%s@%llu: %zu bytes cannot be read", shard->path,
                        (unsigned long long)at, size);
    buffer->bytes[size] = 0;
    return TIC_OK;
}
