/* `ticlip world`: writes the generated data set into a folder, or finds it there already.
 *
 * world.json says what the folder holds: "writing" from the start, "complete" at the end. What an
 * interrupted generation left is therefore known to be ours, and the next one replaces it. */
#include "data/world/room.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 4096, VERSION = 1, MARK_BYTES = 256, MOST_SIZE = 1024, LEAST_SIZE = 16 };
static const char mark_name[] = "world.json", lock_name[] = "world.lock";

typedef enum tic_world_found { NOTHING, UNFINISHED, COMPLETE } tic_world_found;

static void format_mark(char text[MARK_BYTES], const tic_world_options *options,
                        const char *state) {
    snprintf(text, MARK_BYTES,
             "{\"generator\": \"ticlip world\", \"version\": %d, \"seed\": %llu, \"pairs\": %llu, "
             "\"size\": %d, \"state\": \"%s\"}\n",
             VERSION, (unsigned long long)options->seed, (unsigned long long)options->pairs,
             options->size, state);
}

static tic_status write_mark(const tic_world_options *options, const char *state, tic_error *err) {
    char path[PATH], text[MARK_BYTES];
    TIC_TRY(tic_path_join(path, sizeof path, options->folder, mark_name, err));
    format_mark(text, options, state);
    return tic_file_write(path, text, strlen(text), err);
}

/* Our files by name: 000012.tar, and what a kill left behind: the lock and temporaries. */
static bool is_shard(const char *name) {
    size_t digits = strspn(name, "0123456789");
    return digits == 6 && strcmp(name + digits, ".tar") == 0;
}

static bool is_leftover(const char *name) {
    size_t digits = strspn(name, "0123456789");
    return strcmp(name, lock_name) == 0 ||
           (digits == 6 && strncmp(name + digits, ".tar.tmp.", 9) == 0) ||
           strncmp(name, "world.json.tmp.", 15) == 0 || strncmp(name, "classes.json.tmp.", 17) == 0;
}

typedef bool (*name_fn)(const char *name);

/* Removes the folder's files of that name, or only counts the others when `remove` is NULL. */
static tic_status sweep(const char *folder, name_fn remove, int *others, tic_error *err) {
    DIR *directory = opendir(folder);
    if (!directory)
        return tic_fail(err, TIC_EINPUT, "%s: cannot read this folder: %s", folder,
                        strerror(errno));
    tic_status status = TIC_OK;
    struct dirent *entry;
    while (status == TIC_OK && (entry = readdir(directory))) {
        char path[PATH];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!remove) {
            *others += !is_leftover(entry->d_name);
        } else if (remove(entry->d_name)) {
            status = tic_path_join(path, sizeof path, folder, entry->d_name, err);
            if (status == TIC_OK && unlink(path) != 0 && errno != ENOENT)
                status =
                    tic_fail(err, TIC_ERESOURCE, "%s: cannot remove: %s", path, strerror(errno));
        }
    }
    closedir(directory);
    return status;
}

/* What the folder holds. A complete world of other options, or files that are not ours: an error.
 */
static tic_status inspect(const tic_world_options *options, tic_world_found *found,
                          tic_error *err) {
    char path[PATH], want[MARK_BYTES], *have = NULL;
    size_t size;
    TIC_TRY(tic_path_join(path, sizeof path, options->folder, mark_name, err));
    if (!tic_file_exists(path)) {
        int others = 0;
        TIC_TRY(sweep(options->folder, NULL, &others, err));
        *found = NOTHING;
        if (others > 0)
            return tic_fail(err, TIC_EUSAGE,
                            "%s: holds %d other files and no %s; give a new or empty folder",
                            options->folder, others, mark_name);
        return TIC_OK;
    }
    TIC_TRY(tic_file_read(path, MARK_BYTES, &have, &size, err));
    format_mark(want, options, "complete");
    tic_status status = TIC_OK;
    if (strcmp(have, want) == 0)
        *found = COMPLETE;
    else if (strstr(have, "\"ticlip world\"") && strstr(have, "\"state\": \"writing\""))
        *found = UNFINISHED;
    else
        status = tic_fail(err, TIC_EUSAGE,
                          "%s: this folder holds another world, %.*s; remove it or give another "
                          "folder",
                          path, (int)strcspn(have, "\n"), have);
    tic_free(have);
    return status;
}

static tic_status write_shards(const tic_world_options *options, uint64_t total, tic_error *err) {
    uint64_t shard = (uint64_t)tic_world_parameter.shard;
    for (uint64_t first = 0; first < options->pairs; first += shard) {
        char name[32], path[PATH];
        uint64_t left = options->pairs - first;
        const tic_world_tar tar = {.options = options,
                                   .item = tic_world_put_record,
                                   .user = (void *)options,
                                   .first = first,
                                   .count = left < shard ? left : shard,
                                   .done_before = first,
                                   .total = total};
        snprintf(name, sizeof name, "%06llu.tar", (unsigned long long)(first / shard));
        TIC_TRY(tic_path_join(path, sizeof path, options->folder, name, err));
        TIC_TRY(tic_world_write_tar(path, &tar, err));
    }
    return TIC_OK;
}

static tic_status check_options(const tic_world_options *options, tic_error *err) {
    if (options->pairs > UINT32_MAX)
        return tic_fail(err, TIC_EUSAGE, "world: %llu pairs are more than the limit of %u",
                        (unsigned long long)options->pairs, UINT32_MAX);
    if (options->size < LEAST_SIZE || options->size > MOST_SIZE)
        return tic_fail(err, TIC_EUSAGE, "world: a size of %d pixels is not in %d .. %d",
                        options->size, LEAST_SIZE, MOST_SIZE);
    return TIC_OK;
}

/* With the folder's lock held: another process may have finished meanwhile. */
static tic_status generate(const tic_world_options *options, tic_error *err) {
    tic_world_found found;
    TIC_TRY(inspect(options, &found, err));
    if (found == COMPLETE)
        return TIC_OK;
    TIC_TRY(write_mark(options, "writing", err));
    TIC_TRY(sweep(options->folder, is_shard, NULL, err));
    uint64_t total = options->pairs + tic_world_eval_pictures();
    TIC_TRY(write_shards(options, total, err));
    TIC_TRY(tic_world_write_evalsets(options, options->pairs, total, err));
    TIC_TRY(sweep(options->folder, is_leftover, NULL, err));
    return write_mark(options, "complete", err);
}

tic_status tic_world_generate(const tic_world_options *given, tic_error *err) {
    tic_world_options options = *given;
    if (options.pairs == 0)
        options.pairs = tic_world_parameter.pairs;
    if (options.size == 0)
        options.size = tic_world_parameter.size;
    TIC_TRY(check_options(&options, err));
    tic_world_found found;
    TIC_TRY(tic_make_folder(options.folder, err));
    TIC_TRY(inspect(&options, &found, err)); /* before anything is written into it */
    if (found == COMPLETE)
        return TIC_OK;
    char path[PATH];
    int lock;
    TIC_TRY(tic_path_join(path, sizeof path, options.folder, lock_name, err));
    TIC_TRY(tic_lock(path, &lock, err));
    tic_status status = generate(&options, err);
    tic_unlock(lock);
    return status;
}
