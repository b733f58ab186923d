/* `ticlip world`: writes the generated data set into a folder, or finds it there already. */
#include "data/world/room.h"
#include <stdio.h>

enum { PATH = 4096, MOST_SIZE = 1024, LEAST_SIZE = 16 };

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
    bool complete;
    TIC_TRY(tic_world_inspect(options, &complete, err));
    if (complete)
        return TIC_OK;
    TIC_TRY(tic_world_mark(options, false, err));
    TIC_TRY(tic_world_sweep(options->folder, tic_world_is_shard, err));
    uint64_t total = options->pairs + tic_world_eval_pictures();
    TIC_TRY(write_shards(options, total, err));
    TIC_TRY(tic_world_write_evalsets(options, options->pairs, total, err));
    TIC_TRY(tic_world_sweep(options->folder, tic_world_is_leftover, err));
    return tic_world_mark(options, true, err);
}

tic_status tic_world_generate(const tic_world_options *given, tic_error *err) {
    tic_world_options options = *given;
    if (options.pairs == 0)
        options.pairs = tic_world_parameter.pairs;
    if (options.size == 0)
        options.size = tic_world_parameter.size;
    TIC_TRY(check_options(&options, err));
    bool complete;
    TIC_TRY(tic_make_folder(options.folder, err));
    TIC_TRY(tic_world_inspect(&options, &complete, err)); /* before anything is written into it */
    if (complete)
        return TIC_OK;
    char path[PATH];
    int lock;
    TIC_TRY(tic_path_join(path, sizeof path, options.folder, tic_world_lock_name, err));
    TIC_TRY(tic_lock(path, &lock, err));
    tic_status status = generate(&options, err);
    tic_unlock(lock);
    return status;
}
