/* Pairs encoded by a session's model, batch after batch. */
#include "room.h"

typedef struct encoding {
    tic_session *s;
    const uint32_t *pairs;
    size_t count;
    float *image, *text; /* [batch, embed_dim]; text NULL: not asked for */
    const char *doing;
    tic_features_fn take;
    void *user;
} encoding;

static tic_status encode_batch(const encoding *e, const tic_batch *batch, size_t at,
                               tic_error *err) {
    tic_model *model = e->s->model;
    if (at + (size_t)batch->n > e->count)
        return tic_fail(err, TIC_EINTERNAL, "the loader gave more pairs than were asked for");
    TIC_TRY(tic_encode_images(model, batch->n, batch->pixels, e->image, err));
    if (e->text != NULL)
        TIC_TRY(tic_encode_texts(model, batch->n, batch->ids, batch->offsets, e->text, err));
    return e->take(e->user, at, batch->n, e->image, e->text, err);
}

static tic_status encode_all(const encoding *e, tic_loader *loader, tic_error *err) {
    const tic_hooks *hooks = e->s->hooks;
    const tic_batch *batch;
    for (size_t at = 0; at < e->count; at += (size_t)batch->n) {
        tic_prepare_progress((void *)hooks, e->doing, at, e->count);
        if (tic_asked_to_stop(hooks))
            return tic_fail(err, TIC_EINTERRUPTED,
                            "stopped while %s; the same command does it again", e->doing);
        TIC_TRY(tic_loader_next(loader, &batch, err));
        if (batch->n == 0)
            return tic_fail(err, TIC_EINTERNAL, "the loader ended at %zu of %zu pairs", at,
                            e->count);
        TIC_TRY(encode_batch(e, batch, at, err));
    }
    return TIC_OK;
}

static tic_status encode(const encoding *e, tic_error *err) {
    tic_session *s = e->s;
    tic_loader_options options = {.index = s->index,
                                  .vocab = s->vocab,
                                  .pool = e->pairs,
                                  .pool_size = e->count,
                                  .image_size = s->config.image_size,
                                  .context = s->config.context_length,
                                  .batch = s->x->batch,
                                  .threads = (int)s->x->threads};
    tic_loader *loader;
    TIC_TRY(tic_loader_new(&loader, &options, err));
    tic_status status = encode_all(e, loader, err);
    tic_loader_free(loader);
    return status;
}

tic_status tic_session_features(tic_session *s, const uint32_t *pairs, size_t count, bool texts,
                                const char *doing, tic_features_fn take, void *user,
                                tic_error *err) {
    const size_t room = (size_t)(s->x->batch * s->config.embed_dim);
    float *features;
    TIC_TRY(tic_alloc(&features, 2 * room, sizeof(float), err));
    encoding e = {s, pairs, count, features, texts ? features + room : NULL, doing, take, user};
    tic_status status = encode(&e, err);
    tic_free(features);
    return status;
}

tic_status tic_take_cosines(void *cosines, size_t at, int64_t n, const float *image,
                            const float *text, tic_error *err) {
    const tic_cosines *c = cosines;
    (void)err;
    for (int64_t i = 0; i < n; i++) {
        double sum = 0;
        for (int64_t k = 0; k < c->d; k++)
            sum += (double)image[i * c->d + k] * text[i * c->d + k];
        c->out[at + (size_t)i] = (float)sum;
    }
    return TIC_OK;
}
