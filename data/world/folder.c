/* The folder of a world: what it holds, by the mark in it, and which of its files are ours.
 *
 * world.json says what the folder holds: "writing" from the start, "complete" at the end. What an
 * interrupted generation left is therefore known to be ours, and the next one replaces it. */
#include "data/world/room.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { PATH = 4096, VERSION = 2, MARK_BYTES = 256 };
static const char mark_name[] = "world.json";
const char tic_world_lock_name[] = "world.lock";

static void format_mark(char text[MARK_BYTES], const tic_world_options *options,
                        const char *state) {
    snprintf(text, MARK_BYTES,
             "{\"generator\": \"ticlip world\", \"version\": %d, \"seed\": %llu, \"pairs\": %llu, "
             "\"size\": %d, \"state\": \"%s\"}\n",
             VERSION, (unsigned long long)options->seed, (unsigned long long)options->pairs,
             options->size, state);
}

tic_status tic_world_mark(const tic_world_options *options, bool complete, tic_error *err) {
    char path[PATH], text[MARK_BYTES];
    TIC_TRY(tic_path_join(path, sizeof path, options->folder, mark_name, err));
    format_mark(text, options, complete ? "complete" : "writing");
    return tic_file_write(path, text, strlen(text), err);
}

bool tic_world_is_shard(const char *name) {
    size_t digits = strspn(name, "0123456789");
    return digits == 6 && strcmp(name + digits, ".tar") == 0;
}

bool tic_world_is_leftover(const char *name) {
    static const char *const ours[] = {"world.json",
                                       "classes.json",
                                       "classnames.txt",
                                       "dataset_type.txt",
                                       "zeroshot_classification_templates.txt",
                                       "nshards.txt"};
    if (strcmp(name, tic_world_lock_name) == 0)
        return true;
    const char *suffix = strstr(name, ".tmp.");
    if (!suffix)
        return false;
    size_t length = (size_t)(suffix - name), digits = strspn(name, "0123456789");
    bool found = digits > 0 && length == digits + 4 && strncmp(name + digits, ".tar", 4) == 0;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        found = found || (strlen(ours[i]) == length && strncmp(ours[i], name, length) == 0);
    return found;
}

/* Calls for every entry but "." and "..". */
typedef tic_status (*entry_fn)(const char *folder, const char *name, void *user, tic_error *err);

static tic_status walk(const char *folder, entry_fn visit, void *user, tic_error *err) {
    DIR *directory = opendir(folder);
    if (!directory)
        return tic_fail(err, TIC_EINPUT, "%s: cannot read this folder: %s", folder,
                        strerror(errno));
    tic_status status = TIC_OK;
    struct dirent *entry;
    while (status == TIC_OK && (entry = readdir(directory)))
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = visit(folder, entry->d_name, user, err);
    closedir(directory);
    return status;
}

static tic_status remove_if(const char *folder, const char *name, void *user, tic_error *err) {
    const tic_world_name_fn *matches = user;
    char path[PATH];
    if (!(*matches)(name))
        return TIC_OK;
    TIC_TRY(tic_path_join(path, sizeof path, folder, name, err));
    if (unlink(path) != 0 && errno != ENOENT)
        return tic_fail(err, TIC_ERESOURCE, "%s: cannot remove: %s", path, strerror(errno));
    return TIC_OK;
}

tic_status tic_world_sweep(const char *folder, tic_world_name_fn matches, tic_error *err) {
    return walk(folder, remove_if, &matches, err);
}

static tic_status count_other(const char *folder, const char *name, void *user, tic_error *err) {
    (void)folder, (void)err;
    int *others = user;
    *others += !tic_world_is_leftover(name);
    return TIC_OK;
}

static tic_status must_be_empty(const char *folder, tic_error *err) {
    int others = 0;
    TIC_TRY(walk(folder, count_other, &others, err));
    if (others > 0)
        return tic_fail(err, TIC_EUSAGE,
                        "%s: holds %d other files and no %s; give a new or empty "
                        "folder",
                        folder, others, mark_name);
    return TIC_OK;
}

tic_status tic_world_inspect(const tic_world_options *options, bool *complete, tic_error *err) {
    char path[PATH], want[MARK_BYTES], *have = NULL;
    size_t size;
    *complete = false;
    TIC_TRY(tic_path_join(path, sizeof path, options->folder, mark_name, err));
    if (!tic_file_exists(path))
        return must_be_empty(options->folder, err);
    TIC_TRY(tic_file_read(path, MARK_BYTES, &have, &size, err));
    format_mark(want, options, "complete");
    tic_status status = TIC_OK;
    *complete = strcmp(have, want) == 0;
    bool unfinished = strstr(have, "\"ticlip world\"") && strstr(have, "\"state\": \"writing\"");
    if (!*complete && !unfinished)
        status = tic_fail(err, TIC_EUSAGE,
                          "%s: holds another world, %.*s; remove it or give another "
                          "folder",
                          options->folder, (int)strcspn(have, "\n"), have);
    tic_free(have);
    return status;
}
