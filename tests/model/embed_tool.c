/* For openclip_roundtrip.py: makes a model folder, and embeds a batch with one.
 *   embed_tool make CONFIG FOLDER
 *   embed_tool embed FOLDER BATCH.safetensors FEATURES.safetensors
 * The batch holds pixels U8 [n, size, size, 3], ids I32 [tokens] and offsets I32 [n + 1]. */
#include "model/model.h"

#include <stdio.h>
#include <string.h>

static tic_status make(tic_ctx *ctx, const char *name, const char *folder, tic_error *err) {
    const tic_model_options options = {.batch = 1};
    tic_config config;
    tic_model *model = NULL;
    TIC_TRY(tic_config_find(&config, name, err));
    TIC_TRY(tic_model_new(&model, ctx, &config, &options, err));
    tic_model_init(model, 11);
    const tic_status status = tic_model_save(model, folder, err);
    tic_model_free(model);
    return status;
}

/* The tensor's bytes in memory of their own: a file aligns nothing. */
static tic_status copy(const tic_safetensors *file, const char *name, void *out, tic_error *err) {
    const tic_array *array = tic_safetensors_find(file, name);
    if (!array)
        return tic_fail(err, TIC_EINPUT, "the batch has no \"%s\"", name);
    void *bytes = NULL;
    TIC_TRY(tic_alloc(&bytes, array->bytes, 1, err));
    memcpy(bytes, array->data, array->bytes);
    *(void **)out = bytes;
    return TIC_OK;
}

typedef struct work {
    tic_config config;
    tic_model *model;
    tic_safetensors *file;
    uint8_t *pixels;
    int32_t *ids, *offsets;
    float *image, *text;
} work;

static tic_status embed(work *w, tic_ctx *ctx, char **paths, tic_error *err) {
    TIC_TRY(tic_config_find(&w->config, paths[0], err));
    TIC_TRY(tic_safetensors_open(&w->file, paths[1], err));
    TIC_TRY(copy(w->file, "pixels", &w->pixels, err));
    TIC_TRY(copy(w->file, "ids", &w->ids, err));
    TIC_TRY(copy(w->file, "offsets", &w->offsets, err));
    const int64_t n = tic_safetensors_find(w->file, "pixels")->shape[0], e = w->config.embed_dim;
    const tic_model_options options = {.batch = n};
    TIC_TRY(tic_model_new(&w->model, ctx, &w->config, &options, err));
    TIC_TRY(tic_model_load(w->model, paths[0], err));
    const size_t bytes = (size_t)(n * e) * sizeof(float);
    TIC_TRY(tic_alloc(&w->image, bytes, 1, err));
    TIC_TRY(tic_alloc(&w->text, bytes, 1, err));
    TIC_TRY(tic_encode_images(w->model, n, w->pixels, w->image, err));
    TIC_TRY(tic_encode_texts(w->model, n, w->ids, w->offsets, w->text, err));
    const tic_array arrays[] = {
        {.name = "image",
         .dtype = "F32",
         .rank = 2,
         .shape = {n, e},
         .data = w->image,
         .bytes = bytes},
        {.name = "text",
         .dtype = "F32",
         .rank = 2,
         .shape = {n, e},
         .data = w->text,
         .bytes = bytes},
    };
    return tic_safetensors_write(paths[2], arrays, 2, NULL, err);
}

static void free_work(work *w) {
    tic_model_free(w->model);
    tic_safetensors_close(w->file);
    tic_free(w->pixels);
    tic_free(w->ids);
    tic_free(w->offsets);
    tic_free(w->image);
    tic_free(w->text);
}

int main(int argc, char **argv) {
    tic_error err = {0};
    tic_ctx *ctx = NULL;
    work w = {0};
    tic_status status = tic_ctx_new(&ctx, NULL, &err);
    if (status == TIC_OK && argc == 4 && strcmp(argv[1], "make") == 0)
        status = make(ctx, argv[2], argv[3], &err);
    else if (status == TIC_OK && argc == 5 && strcmp(argv[1], "embed") == 0)
        status = embed(&w, ctx, argv + 2, &err);
    else if (status == TIC_OK)
        status = tic_fail(&err, TIC_EUSAGE, "make CONFIG FOLDER | embed FOLDER BATCH FEATURES");
    if (status != TIC_OK)
        fprintf(stderr, "embed_tool: %s\n", err.text);
    free_work(&w);
    tic_ctx_free(ctx);
    return (int)status;
}
