/* `ticlip embed`: a checkpoint's embeddings of the pairs of a data folder or of an evaluation set,
 * as .npy files that NumPy, FAISS and the rest read. */
#include "cli/cli.h"
#include "model/model.h"
#include <string.h>

typedef struct embed_flags {
    const char *data, *evalset, *vocab, *out, *model;
    int64_t batch;
    int precision; /* a tic_dtype */
    tic_index_flags index;
} embed_flags;

typedef struct embedder {
    tic_config config;
    tic_ctx *ctx;
    tic_model *model;
    tic_vocab *vocab;
    int64_t batch;
    float *features;                    /* [batch, embed_dim] */
    int32_t *ids, *offsets;             /* of a batch of texts */
    tic_writer *images, *texts, *names; /* PREFIX.images.npy, .texts.npy, .ids.txt */
    int64_t image_count, text_count;
} embedder;

/* ---- files --------------------------------------------------------------------------------- */

/* The header of a version 1.0 .npy file of float32 [rows, columns] (NumPy's NEP 1): magic, version,
 * u16 length, a Python dict padded with blanks so that the data begin at a multiple of 64. */
static tic_status put_npy_header(tic_writer *writer, int64_t rows, int columns, tic_error *err) {
    char header[128];
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = sizeof header - 10;
    header[9] = 0;
    int used = snprintf(header + 10, sizeof header - 10,
                        "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %d), }",
                        (long long)rows, columns);
    memset(header + 10 + used, ' ', sizeof header - 10 - (size_t)used);
    header[sizeof header - 1] = '\n';
    return tic_writer_put(writer, header, sizeof header, err);
}

static tic_status open_file(tic_writer **writer, const char *prefix, const char *suffix,
                            tic_error *err) {
    char path[4096];
    if (snprintf(path, sizeof path, "%s%s", prefix, suffix) >= (int)sizeof path)
        return tic_fail(err, TIC_EUSAGE, "--out: the path is too long");
    return tic_writer_open(writer, path, err);
}

static tic_status open_files(embedder *to, const char *prefix, tic_error *err) {
    TIC_TRY(open_file(&to->images, prefix, ".images.npy", err));
    TIC_TRY(open_file(&to->texts, prefix, ".texts.npy", err));
    TIC_TRY(open_file(&to->names, prefix, ".ids.txt", err));
    TIC_TRY(put_npy_header(to->images, to->image_count, to->config.embed_dim, err));
    return put_npy_header(to->texts, to->text_count, to->config.embed_dim, err);
}

/* A writer is gone after its commit, whatever the outcome. */
static tic_status commit(tic_writer **writer, tic_error *err) {
    tic_writer *gone = *writer;
    *writer = NULL;
    return tic_writer_commit(gone, err);
}

static tic_status commit_files(embedder *to, tic_error *err) {
    TIC_TRY(commit(&to->images, err));
    TIC_TRY(commit(&to->texts, err));
    return commit(&to->names, err);
}

/* "image|text<TAB>row<TAB>what", a line break in `what` replaced by a blank. */
static tic_status put_name(embedder *to, const char *kind, int64_t row, const char *what,
                           tic_error *err) {
    char line[1024];
    int used = snprintf(line, sizeof line - 1, "%s\t%lld\t%s", kind, (long long)row, what);
    size_t length = used < (int)sizeof line - 1 ? (size_t)used : sizeof line - 2;
    for (size_t i = 0; i < length; i++)
        if (line[i] == '\n' || line[i] == '\r')
            line[i] = ' ';
    line[length] = '\n';
    return tic_writer_put(to->names, line, length + 1, err);
}

/* ---- embedding ----------------------------------------------------------------------------- */

static tic_status put_features(embedder *to, tic_writer *writer, int64_t rows, tic_error *err) {
    size_t bytes = (size_t)rows * (size_t)to->config.embed_dim * sizeof *to->features;
    return tic_writer_put(writer, to->features, bytes, err);
}

static tic_status put_images(embedder *to, int64_t n, const uint8_t *pixels, tic_error *err) {
    if (tic_cli_stopped(NULL))
        return tic_fail(err, TIC_EINTERRUPTED, "interrupted; nothing was written");
    TIC_TRY(tic_encode_images(to->model, n, pixels, to->features, err));
    return put_features(to, to->images, n, err);
}

static tic_status put_texts(embedder *to, int64_t n, const int32_t *ids, const int32_t *offsets,
                            tic_error *err) {
    if (tic_cli_stopped(NULL))
        return tic_fail(err, TIC_EINTERRUPTED, "interrupted; nothing was written");
    TIC_TRY(tic_encode_texts(to->model, n, ids, offsets, to->features, err));
    return put_features(to, to->texts, n, err);
}

static tic_status put_pairs(embedder *to, tic_loader *loader, const tic_index *index,
                            tic_error *err) {
    int64_t row = 0;
    for (;;) {
        const tic_batch *batch;
        TIC_TRY(tic_loader_next(loader, &batch, err));
        if (batch->n == 0)
            return TIC_OK;
        TIC_TRY(put_images(to, batch->n, batch->pixels, err));
        TIC_TRY(put_texts(to, batch->n, batch->ids, batch->offsets, err));
        for (int64_t i = 0; i < batch->n; i++, row++) {
            char id[40];
            tic_id identity = tic_index_pairs(index)[batch->pairs[i]].id;
            snprintf(id, sizeof id, "%016llx%016llx", (unsigned long long)identity.hi,
                     (unsigned long long)identity.lo);
            TIC_TRY(put_name(to, "image", row, id, err));
            TIC_TRY(put_name(to, "text", row, id, err));
        }
        tic_progress_work(NULL, "embedding pairs", (uint64_t)row, (uint64_t)to->image_count);
    }
}

static tic_status embed_pairs(embedder *to, tic_index *index, int threads, tic_error *err) {
    uint32_t *pool;
    tic_loader *loader;
    size_t count = tic_index_size(index);
    TIC_TRY(tic_alloc(&pool, count, sizeof *pool, err));
    for (size_t i = 0; i < count; i++)
        pool[i] = (uint32_t)i;
    const tic_loader_options options = {
        .index = index,
        .vocab = to->vocab,
        .pool = pool,
        .pool_size = count,
        .image_size = to->config.image_size,
        .context = to->config.context_length,
        .batch = to->batch,
        .threads = threads,
    };
    tic_status status = tic_loader_new(&loader, &options, err);
    if (status == TIC_OK) {
        status = put_pairs(to, loader, index, err);
        tic_loader_free(loader);
    }
    tic_free(pool);
    return status;
}

static tic_status embed_data(embedder *to, const embed_flags *flags, tic_error *err) {
    tic_index *index;
    TIC_TRY(tic_cli_index_open(&index, flags->data, &flags->index, NULL, err));
    to->image_count = to->text_count = (int64_t)tic_index_size(index);
    tic_status status = open_files(to, flags->out, err);
    if (status == TIC_OK)
        status = embed_pairs(to, index, (int)flags->index.threads, err);
    tic_index_free(index);
    return status;
}

/* ---- evaluation sets ----------------------------------------------------------------------- */

/* Text number i of a set: a caption, or a class in a template, class by class. */
static void text_of(const tic_evalset *set, int64_t i, char *text, size_t size) {
    if (set->retrieval) {
        snprintf(text, size, "%s", set->captions[i]);
        return;
    }
    const char *template = set->templates[i % set->template_count];
    const char *name = set->classes[i / set->template_count], *gap = strstr(template, "{c}");
    if (gap == NULL)
        snprintf(text, size, "%s", template);
    else
        snprintf(text, size, "%.*s%s%s", (int)(gap - template), template, name, gap + 3);
}

static tic_status put_set_texts(embedder *to, const tic_evalset *set, tic_error *err) {
    int64_t row = 0;
    while (row < to->text_count) {
        int64_t n = 0;
        to->offsets[0] = 0;
        for (; n < to->batch && row < to->text_count; n++, row++) {
            char text[4096];
            int count;
            text_of(set, row, text, sizeof text);
            TIC_TRY(tic_tokenize_caption(to->vocab, text, to->config.context_length,
                                         to->ids + to->offsets[n], &count, err));
            to->offsets[n + 1] = to->offsets[n] + count;
            TIC_TRY(put_name(to, "text", row, text, err));
        }
        TIC_TRY(put_texts(to, n, to->ids, to->offsets, err));
        tic_progress_work(NULL, "embedding texts", (uint64_t)row, (uint64_t)to->text_count);
    }
    return TIC_OK;
}

static tic_status put_set_images(embedder *to, const tic_evalset *set, tic_error *err) {
    const int64_t size = to->config.image_size;
    for (int64_t row = 0; row < set->pictures; row += to->batch) {
        int64_t left = set->pictures - row, n = left < to->batch ? left : to->batch;
        TIC_TRY(put_images(to, n, set->pixels + row * size * size * 3, err));
        for (int64_t i = row; i < row + n; i++) {
            char what[32];
            snprintf(what, sizeof what, "%lld", (long long)i);
            TIC_TRY(put_name(to, "image", i, set->retrieval ? what : set->classes[set->labels[i]],
                             err));
        }
        tic_progress_work(NULL, "embedding pictures", (uint64_t)(row + n), (uint64_t)set->pictures);
    }
    return TIC_OK;
}

static tic_status embed_set(embedder *to, const embed_flags *flags, tic_error *err) {
    tic_evalset *set;
    TIC_TRY(tic_evalset_load(&set, flags->evalset, to->config.image_size, err));
    to->image_count = set->pictures;
    to->text_count =
        set->retrieval ? set->caption_count : (int64_t)set->class_count * set->template_count;
    tic_status status = open_files(to, flags->out, err);
    if (status == TIC_OK)
        status = put_set_images(to, set, err);
    if (status == TIC_OK)
        status = put_set_texts(to, set, err);
    tic_evalset_free(set);
    return status;
}

/* ---- the verb ------------------------------------------------------------------------------ */

static tic_status open_embedder(embedder *to, const char *checkpoint, const embed_flags *flags,
                                tic_error *err) {
    const char *model = flags->model != NULL ? flags->model : checkpoint;
    const tic_ctx_options ctx_options = {.threads = (int)flags->index.threads};
    const tic_model_options options = {.batch = flags->batch,
                                       .precision = (tic_dtype)flags->precision};
    to->batch = flags->batch;
    TIC_TRY(tic_config_find(&to->config, model, err));
    TIC_TRY(tic_vocab_load(&to->vocab, flags->vocab, err));
    if (tic_vocab_size(to->vocab) != to->config.vocab_size)
        return tic_fail(err, TIC_EINPUT, "%s: %d ids, but the checkpoint was made with %d",
                        flags->vocab, tic_vocab_size(to->vocab), to->config.vocab_size);
    TIC_TRY(tic_ctx_new(&to->ctx, &ctx_options, err));
    TIC_TRY(tic_model_new(&to->model, to->ctx, &to->config, &options, err));
    TIC_TRY(tic_model_load(to->model, checkpoint, err));
    size_t batch = (size_t)to->batch;
    TIC_TRY(
        tic_alloc(&to->features, batch * (size_t)to->config.embed_dim, sizeof *to->features, err));
    TIC_TRY(tic_alloc(&to->ids, batch * (size_t)to->config.context_length, sizeof *to->ids, err));
    return tic_alloc(&to->offsets, batch + 1, sizeof *to->offsets, err);
}

static void close_embedder(embedder *to) {
    tic_writer_abandon(to->images);
    tic_writer_abandon(to->texts);
    tic_writer_abandon(to->names);
    tic_free(to->features);
    tic_free(to->ids);
    tic_free(to->offsets);
    tic_model_free(to->model);
    tic_ctx_free(to->ctx);
    tic_vocab_free(to->vocab);
}

static tic_status report(const embedder *from, const embed_flags *flags, bool json,
                         tic_error *err) {
    if (json)
        return tic_cli_json(json_pack("{s:s, s:I, s:I, s:i}", "out", flags->out, "images",
                                      (json_int_t)from->image_count, "texts",
                                      (json_int_t)from->text_count, "embed_dim",
                                      from->config.embed_dim),
                            err);
    printf("%s: %lld pictures and %lld texts, %d numbers each\n", flags->out,
           (long long)from->image_count, (long long)from->text_count, from->config.embed_dim);
    return TIC_OK;
}

static tic_status check(const tic_verb *verb, const embed_flags *flags, tic_error *err) {
    if ((flags->data == NULL) == (flags->evalset == NULL))
        return tic_fail(err, TIC_EUSAGE, "%s: one of --data DIR and --evalset DIR is needed",
                        verb->name);
    if (flags->vocab == NULL || flags->out == NULL)
        return tic_fail(err, TIC_EUSAGE, "%s: %s is missing", verb->name,
                        flags->vocab == NULL ? "--vocab FILE" : "--out PREFIX");
    return TIC_OK;
}

tic_status tic_verb_embed(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    embed_flags values = {.batch = 256};
    enum { OWN = 7 };
    tic_flag flags[OWN + TIC_INDEX_FLAGS] = {
        {.name = "data",
         .value = "DIR",
         .help = "dated shards: every pair",
         .type = TIC_FLAG_TEXT,
         .out = &values.data},
        {.name = "evalset",
         .value = "DIR",
         .help = "a CLIP_benchmark folder: its pictures, and its captions or class prompts",
         .type = TIC_FLAG_TEXT,
         .out = &values.evalset},
        {.name = "vocab",
         .value = "FILE",
         .help = "the vocabulary the checkpoint was trained with; needed",
         .type = TIC_FLAG_TEXT,
         .out = &values.vocab},
        {.name = "out",
         .value = "PREFIX",
         .help = "beginning of the names of the three files; needed",
         .type = TIC_FLAG_TEXT,
         .out = &values.out},
        {.name = "model",
         .value = "NAME|FILE",
         .help = "the model, when CHECKPOINT is a lone .safetensors file",
         .type = TIC_FLAG_TEXT,
         .out = &values.model},
        {.name = "batch",
         .value = "N",
         .help = "pictures or texts computed at once (default 256)",
         .type = TIC_FLAG_SIZE,
         .out = &values.batch,
         .min = 1,
         .max = 65536},
        {.name = "precision",
         .value = "P",
         .help = "of the products (default f32)",
         .type = TIC_FLAG_CHOICE,
         .out = &values.precision,
         .choices = "f32|bf16"},
    };
    tic_cli_index_flags(flags + OWN, &values.index);
    tic_args args;
    TIC_TRY(tic_cli_parse(verb, flags, OWN + TIC_INDEX_FLAGS, argc, argv, &args, err));
    if (args.help)
        return TIC_OK;
    TIC_TRY(check(verb, &values, err));

    tic_cli_catch_signals();
    embedder to = {.batch = values.batch};
    tic_status status = open_embedder(&to, args.at[0], &values, err);
    if (status == TIC_OK)
        status = values.data != NULL ? embed_data(&to, &values, err) : embed_set(&to, &values, err);
    if (status == TIC_OK)
        status = commit_files(&to, err);
    tic_progress_end();
    if (status == TIC_OK)
        status = report(&to, &values, args.json, err);
    close_embedder(&to);
    return status;
}
