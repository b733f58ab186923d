/* `ticlip data index`: reads dated shards once, tells what they hold and why samples were rejected.
 */
#include "cli/cli.h"
#include <string.h>

/* One line a reject: shard@offset, key and reason, separated by tabs. */
static tic_status write_rejects(const tic_index *index, const char *path, tic_error *err) {
    const tic_rejected *list;
    size_t count = tic_index_rejects(index, &list);
    tic_writer *writer;
    TIC_TRY(tic_writer_open(&writer, path, err));
    for (size_t i = 0; i < count; i++) {
        char line[4352];
        int length = snprintf(
            line, sizeof line, "%s@%llu\t%s\t%s\n", tic_index_shard(index, (int)list[i].shard),
            (unsigned long long)list[i].at, list[i].key, tic_reject_name(list[i].reason));
        if (length >= (int)sizeof line) /* a path longer than the system allows */
            length = (int)sizeof line - 1;
        tic_status status = tic_writer_put(writer, line, (size_t)length, err);
        if (status != TIC_OK) {
            tic_writer_abandon(writer);
            return status;
        }
    }
    return tic_writer_commit(writer, err);
}

static tic_status report(const char *folder, const char *path, const tic_index *index, bool built,
                         const tic_timeline *years, bool json, tic_error *err) {
    tic_id hash = tic_index_hash(index);
    char hash_text[40];
    snprintf(hash_text, sizeof hash_text, "%016llx%016llx", (unsigned long long)hash.hi,
             (unsigned long long)hash.lo);
    if (!json) {
        tic_cli_index_summary(folder, index, years);
        TIC_TRY(tic_timeline_print(years, err));
        printf("\n%s %s\n", built ? "index written to" : "index is up to date:", path);
        return TIC_OK;
    }
    return tic_cli_json(
        json_pack("{s:s, s:s, s:b, s:s, s:i, s:I, s:I, s:I, s:o, s:o}", "folder", folder, "index",
                  path, "built", (int)built, "hash", hash_text, "shards", tic_index_shards(index),
                  "pairs", (json_int_t)tic_index_size(index), "first", (json_int_t)years->first,
                  "last", (json_int_t)years->last, "rejected", tic_cli_rejects_json(index),
                  "per_year", tic_timeline_json(years)),
        err);
}

tic_status tic_verb_data_index(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    const char *rejects = NULL;
    tic_index_flags values;
    tic_flag flags[TIC_INDEX_FLAGS + 1];
    tic_cli_index_flags(flags, &values);
    flags[TIC_INDEX_FLAGS] =
        (tic_flag){.name = "rejects",
                   .value = "FILE",
                   .help = "write a line for every reject: shard@offset, key, reason",
                   .type = TIC_FLAG_TEXT,
                   .out = &rejects};
    tic_args args;
    TIC_TRY(tic_cli_parse(verb, flags, TIC_INDEX_FLAGS + 1, argc, argv, &args, err));
    if (args.help)
        return TIC_OK;

    char path[4096];
    bool built;
    tic_index *index = NULL;
    tic_timeline years = {.count = 0};
    TIC_TRY(tic_cli_index_path(path, sizeof path, args.at[0], &values, err));
    TIC_TRY(tic_cli_index_open(&index, args.at[0], &values, &built, err));
    tic_status status = tic_timeline_make(&years, index, false, err);
    if (status == TIC_OK && rejects != NULL)
        status = write_rejects(index, rejects, err);
    if (status == TIC_OK) {
        tic_progress_end();
        status = report(args.at[0], path, index, built, &years, args.json, err);
    }
    tic_timeline_free(&years);
    tic_index_free(index);
    return status;
}
