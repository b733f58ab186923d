/* Opening the index of a data folder: where it is kept, and making it when it is missing or old. */
#include "cli/cli.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void tic_cli_index_flags(tic_flag rows[TIC_INDEX_FLAGS], tic_index_flags *values) {
    *values = (tic_index_flags){.file = NULL};
    rows[0] = (tic_flag){.name = "index",
                         .value = "FILE",
                         .help = "where the index is kept (default: in the cache folder)",
                         .type = TIC_FLAG_TEXT,
                         .out = &values->file};
    rows[1] = (tic_flag){.name = "threads",
                         .value = "N",
                         .help = "threads (default: one per core)",
                         .type = TIC_FLAG_INT,
                         .out = &values->threads,
                         .max = 1024};
    rows[2] = (tic_flag){.name = "filter",
                         .help = "keep only English captions of more than 2 words and 5 "
                                 "characters, and pictures of aspect up to 3",
                         .type = TIC_FLAG_SWITCH,
                         .out = &values->filter};
    rows[3] = (tic_flag){.name = "min-side",
                         .value = "PIXELS",
                         .help = "with --filter: reject smaller pictures",
                         .type = TIC_FLAG_INT,
                         .out = &values->min_side,
                         .max = 65535};
    rows[4] = (tic_flag){.name = "max-bad",
                         .value = "N",
                         .help = "pairs that damaged shards may lose before it is an error "
                                 "(default 0)",
                         .type = TIC_FLAG_SIZE,
                         .out = &values->max_bad,
                         .max = 9e15};
    rows[5] = (tic_flag){.name = "time-field",
                         .value = "FIELD",
                         .help = "json field of a pair's time, instead of timestamp, created_utc "
                                 "or dateuploaded",
                         .type = TIC_FLAG_TEXT,
                         .out = &values->time_field};
}

tic_status tic_cli_index_path(char *out, size_t size, const char *folder,
                              const tic_index_flags *values, tic_error *err) {
    if (values->file != NULL) {
        if (strlen(values->file) >= size)
            return tic_fail(err, TIC_EUSAGE, "--index: the path is too long");
        strcpy(out, values->file);
        return TIC_OK;
    }
    char cache[3072], name[64];
    char *absolute = realpath(folder, NULL);
    if (absolute == NULL)
        return tic_fail(err, TIC_EINPUT, "%s: %s", folder, strerror(errno));
    tic_id id = tic_id_of(absolute, strlen(absolute));
    free(absolute); /* realpath's own memory, not tic_alloc's */
    snprintf(name, sizeof name, "index-%016llx%016llx.bin", (unsigned long long)id.hi,
             (unsigned long long)id.lo);
    TIC_TRY(tic_cli_cache_folder(cache, sizeof cache, "--index", err));
    return tic_path_join(out, size, cache, name, err);
}

tic_status tic_cli_experiment_index(tic_experiment *x, tic_error *err) {
    const tic_index_flags values = {.file = NULL};
    if (x->index[0] != '\0' || x->data[0] == '\0')
        return TIC_OK;
    return tic_cli_index_path(x->index, sizeof x->index, x->data, &values, err);
}

tic_status tic_cli_index_open(tic_index **out, const char *folder, const tic_index_flags *values,
                              bool *built, tic_error *err) {
    char path[4096];
    const tic_index_options options = {
        .threads = (int)values->threads,
        .filter = values->filter,
        .min_side = (int)values->min_side,
        .max_bad = (uint64_t)values->max_bad,
        .time_field = values->time_field,
        .progress = tic_progress_work,
        .stop = tic_cli_stopped,
    };
    if (built != NULL)
        *built = false;
    TIC_TRY(tic_cli_index_path(path, sizeof path, folder, values, err));
    TIC_TRY(tic_index_load(out, path, folder, &options, err));
    if (*out != NULL)
        return TIC_OK;
    TIC_TRY(tic_index_build(out, folder, &options, err));
    tic_status status = tic_index_save(*out, path, err);
    if (status != TIC_OK) {
        tic_index_free(*out);
        *out = NULL;
        return status;
    }
    tic_progress_note("indexed %s: %zu pairs, kept in %s", folder, tic_index_size(*out), path);
    if (built != NULL)
        *built = true;
    return TIC_OK;
}
