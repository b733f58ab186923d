/* `ticlip vocab train` and `ticlip vocab show`: byte-pair vocabularies in CLIP's file format. */
#include "cli/cli.h"
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

/* ---- captions ------------------------------------------------------------------------------ */

/* Where captions come from: the pairs of an index, or the lines of a text. */
typedef struct caption_source {
    tic_index *index;
    uint32_t pair;
    char *lines, *at; /* all lines, the next one */
    size_t seen;
    char *caption; /* of the index, lent out until the next call */
    tic_status status;
    tic_error *err;
} caption_source;

static bool next_of_index(caption_source *source, const char **text) {
    tic_free(source->caption);
    source->caption = NULL;
    if (source->pair >= tic_index_size(source->index))
        return false;
    source->status =
        tic_index_caption(source->index, source->pair++, &source->caption, source->err);
    *text = source->caption;
    return source->status == TIC_OK;
}

static bool next_of_lines(caption_source *source, const char **text) {
    if (*source->at == '\0')
        return false;
    *text = source->at;
    source->at += strcspn(source->at, "\n");
    if (*source->at == '\n')
        *source->at++ = '\0';
    return true;
}

static bool next_caption(void *user, const char **text) {
    caption_source *source = user;
    bool more = source->index != NULL ? next_of_index(source, text) : next_of_lines(source, text);
    source->seen += more;
    if (source->seen % 1024 == 0)
        tic_progress_work(NULL, "captions", source->seen,
                          source->index != NULL ? tic_index_size(source->index) : 0);
    return more;
}

static tic_status open_source(caption_source *source, const char *path,
                              const tic_index_flags *values, tic_error *err) {
    struct stat info;
    size_t size;
    if (stat(path, &info) != 0)
        return tic_fail(err, TIC_EINPUT, "%s: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return tic_cli_index_open(&source->index, path, values, NULL, err);
    TIC_TRY(tic_file_read(path, (size_t)8 << 30, &source->lines, &size, err));
    if (strlen(source->lines) != size)
        return tic_fail(err, TIC_EINPUT, "%s@%zu: a NUL byte; this is not a text", path,
                        strlen(source->lines));
    source->at = source->lines;
    return TIC_OK;
}

static void close_source(caption_source *source) {
    tic_index_free(source->index);
    tic_free(source->lines);
    tic_free(source->caption);
}

/* ---- train --------------------------------------------------------------------------------- */

static tic_status train_and_save(caption_source *source, int size, const char *path, bool json,
                                 tic_error *err) {
    tic_vocab *vocab;
    tic_status status = tic_vocab_train(&vocab, next_caption, source, size, err);
    if (source->status != TIC_OK) { /* a caption could not be read: that error counts */
        if (status == TIC_OK)
            tic_vocab_free(vocab);
        return source->status;
    }
    TIC_TRY(status);
    tic_progress_end();
    status = tic_vocab_save(vocab, path, err);
    int ids = tic_vocab_size(vocab);
    tic_vocab_free(vocab);
    TIC_TRY(status);
    if (json)
        return tic_cli_json(json_pack("{s:s, s:i, s:I}", "vocab", path, "size", ids, "captions",
                                      (json_int_t)source->seen),
                            err);
    printf("%s: %d ids from %zu captions\n", path, ids, source->seen);
    return TIC_OK;
}

tic_status tic_verb_vocab_train(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    enum { FLAGS = TIC_INDEX_FLAGS + 2 };
    tic_experiment defaults;
    tic_experiment_defaults(&defaults);
    int64_t size = defaults.vocab_size;
    const char *out = NULL;
    tic_index_flags values;
    tic_flag flags[FLAGS];
    tic_cli_index_flags(flags, &values);
    flags[TIC_INDEX_FLAGS] = (tic_flag){.name = "size",
                                        .value = "N",
                                        .help = "ids of the vocabulary, 514 to 49408 (default: as "
                                                "`ticlip run` trains it)",
                                        .type = TIC_FLAG_SIZE,
                                        .out = &size,
                                        .min = 514,
                                        .max = 49408};
    flags[TIC_INDEX_FLAGS + 1] = (tic_flag){.name = "out",
                                            .value = "FILE",
                                            .help = "the file to write, gzipped; needed",
                                            .type = TIC_FLAG_TEXT,
                                            .out = &out};
    tic_args args;
    TIC_TRY(tic_cli_parse(verb, flags, FLAGS, argc, argv, &args, err));
    if (args.help)
        return TIC_OK;
    if (out == NULL)
        return tic_fail(err, TIC_EUSAGE, "%s: --out FILE is missing", verb->name);
    caption_source source = {.err = err};
    tic_status status = open_source(&source, args.at[0], &values, err);
    if (status == TIC_OK)
        status = train_and_save(&source, (int)size, out, args.json, err);
    close_source(&source);
    return status;
}

/* ---- show ---------------------------------------------------------------------------------- */

enum { FIRST_MERGE = 512 }; /* ids before it are bytes, alone and at a word's end */

static tic_status show_merges(const tic_vocab *vocab, const char *path, int count, bool json,
                              tic_error *err) {
    int size = tic_vocab_size(vocab), end = size - 2; /* SOT and EOT come last */
    if (json) {
        json_t *pieces = json_array();
        for (int id = 0; id < size; id++)
            json_array_append_new(pieces, json_string(tic_vocab_piece(vocab, id)));
        return tic_cli_json(json_pack("{s:s, s:i, s:i, s:o}", "vocab", path, "size", size, "merges",
                                      end - FIRST_MERGE, "pieces", pieces),
                            err);
    }
    printf("%s: %d ids: 512 bytes, %d merges, %s, %s\n\n", path, size, end - FIRST_MERGE,
           tic_vocab_piece(vocab, size - 2), tic_vocab_piece(vocab, size - 1));
    tic_table table;
    tic_table_begin(&table, ">id\t<piece");
    for (int id = FIRST_MERGE; id < end; id++) {
        if (id < FIRST_MERGE + count || id >= end - count)
            tic_table_row(&table, "%d\t%s", id, tic_vocab_piece(vocab, id));
        else if (id == FIRST_MERGE + count)
            tic_table_row(&table, "...");
    }
    return tic_table_end(&table, stdout, err);
}

static tic_status show_tokens(const tic_vocab *vocab, const char *text, bool json, tic_error *err) {
    enum { CONTEXT = 77 };
    int32_t ids[CONTEXT];
    int count;
    TIC_TRY(tic_tokenize(vocab, text, CONTEXT, ids, &count, err));
    if (json) {
        json_t *numbers = json_array(), *pieces = json_array();
        for (int i = 0; i < count; i++) {
            json_array_append_new(numbers, json_integer(ids[i]));
            json_array_append_new(pieces, json_string(tic_vocab_piece(vocab, ids[i])));
        }
        return tic_cli_json(
            json_pack("{s:s, s:o, s:o}", "text", text, "ids", numbers, "pieces", pieces), err);
    }
    tic_table table;
    tic_table_begin(&table, ">id\t<piece");
    for (int i = 0; i < count; i++)
        tic_table_row(&table, "%d\t%s", ids[i], tic_vocab_piece(vocab, ids[i]));
    return tic_table_end(&table, stdout, err);
}

tic_status tic_verb_vocab_show(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    int64_t count = 10;
    const tic_flag flags[] = {{.name = "count",
                               .value = "N",
                               .help = "first and last merges shown (default 10)",
                               .type = TIC_FLAG_INT,
                               .out = &count,
                               .max = 49408}};
    tic_args args;
    TIC_TRY(tic_cli_parse(verb, flags, 1, argc, argv, &args, err));
    if (args.help)
        return TIC_OK;
    tic_vocab *vocab;
    TIC_TRY(tic_vocab_load(&vocab, args.at[0], err));
    tic_status status = args.count == 2
                            ? show_tokens(vocab, args.at[1], args.json, err)
                            : show_merges(vocab, args.at[0], (int)count, args.json, err);
    tic_vocab_free(vocab);
    return status;
}
