/* Which past pairs are worth keeping by the last model's image-text alignment (reference/
 * tic-clip.md, App. B.4): a forward pass over all of them, kept in the step's folder. */
#include "room.h"
#include <string.h>

typedef struct scoring {
    tic_session *s;
    uint32_t *pairs; /* training pairs of the steps before, in order */
    size_t count;
    float *image, *text; /* [batch, embed_dim] */
    float *alignment;    /* [count] */
} scoring;

static tic_status list_pairs(scoring *c, int step, tic_error *err) {
    const tic_step *steps = c->s->steps.step;
    size_t at = 0;
    for (int i = 0; i < step; i++)
        c->count += steps[i].trains;
    TIC_TRY(tic_alloc(&c->pairs, c->count, sizeof(uint32_t), err));
    for (int i = 0; i < step; i++) {
        memcpy(c->pairs + at, steps[i].train, steps[i].trains * sizeof(uint32_t));
        at += steps[i].trains;
    }
    return TIC_OK;
}

static tic_status score_batch(scoring *c, const tic_batch *batch, size_t at, tic_error *err) {
    const int64_t d = c->s->config.embed_dim;
    tic_model *model = c->s->model;
    if (at + (size_t)batch->n > c->count)
        return tic_fail(err, TIC_EINTERNAL, "the loader gave more pairs than were asked for");
    TIC_TRY(tic_encode_images(model, batch->n, batch->pixels, c->image, err));
    TIC_TRY(tic_encode_texts(model, batch->n, batch->ids, batch->offsets, c->text, err));
    for (int64_t i = 0; i < batch->n; i++) {
        double sum = 0;
        for (int64_t k = 0; k < d; k++)
            sum += (double)c->image[i * d + k] * c->text[i * d + k];
        c->alignment[at + (size_t)i] = (float)sum;
    }
    return TIC_OK;
}

static tic_status score_all(scoring *c, tic_loader *loader, tic_error *err) {
    const tic_hooks *hooks = c->s->hooks;
    const tic_batch *batch;
    for (size_t at = 0; at < c->count; at += (size_t)batch->n) {
        tic_prepare_progress((void *)hooks, "scoring past pairs", at, c->count);
        if (tic_asked_to_stop(hooks))
            return tic_fail(err, TIC_EINTERRUPTED,
                            "stopped while scoring past pairs; the same command does it again");
        TIC_TRY(tic_loader_next(loader, &batch, err));
        if (batch->n == 0)
            return tic_fail(err, TIC_EINTERNAL, "the loader ended at %zu of %zu pairs", at,
                            c->count);
        TIC_TRY(score_batch(c, batch, at, err));
    }
    return TIC_OK;
}

static tic_status score(scoring *c, const char *from, tic_error *err) {
    tic_session *s = c->s;
    size_t room = (size_t)(s->x->batch * s->config.embed_dim);
    tic_loader_options options = {.index = s->index,
                                  .vocab = s->vocab,
                                  .pool = c->pairs,
                                  .pool_size = c->count,
                                  .image_size = s->config.image_size,
                                  .context = s->config.context_length,
                                  .batch = s->x->batch,
                                  .threads = (int)s->x->threads};
    tic_loader *loader;
    TIC_TRY(tic_alloc(&c->image, room, sizeof(float), err));
    TIC_TRY(tic_alloc(&c->text, room, sizeof(float), err));
    TIC_TRY(tic_model_load(s->model, from, err));
    TIC_TRY(tic_loader_new(&loader, &options, err));
    tic_ctx_purpose(s->ctx, TIC_FOR_SELECTION);
    tic_status status = score_all(c, loader, err);
    tic_loader_free(loader);
    return status;
}

/* ---- the phase ------------------------------------------------------------------------------- */

static tic_status measure(scoring *c, const char *from, const char *path, tic_spent *spent,
                          tic_error *err) {
    tic_session *s = c->s;
    tic_counters before;
    double begun = tic_now();
    tic_ctx_counters(s->ctx, &before);
    TIC_TRY(score(c, from, err));
    *spent = (tic_spent){.extra = c->count *
                                  (tic_nominal_image(&s->config) + tic_nominal_text(&s->config)),
                         .seconds = tic_now() - begun};
    tic_spent_count(spent, s->ctx, &before);
    return tic_phase_write(path, c->alignment, c->count, spent, err);
}

tic_status tic_select_alignment(tic_session *s, int step, const char *from, const char *folder,
                                float **alignment, tic_spent *spent, tic_error *err) {
    char path[TIC_PATH];
    scoring c = {.s = s};
    *alignment = NULL;
    TIC_TRY(tic_path_join(path, sizeof path, folder, TIC_ALIGNMENT_FILE, err));
    tic_status status = list_pairs(&c, step, err);
    if (status == TIC_OK)
        status = tic_alloc(&c.alignment, c.count, sizeof(float), err);
    if (status == TIC_OK && tic_file_exists(path))
        status = tic_phase_read(path, c.alignment, c.count, spent, err);
    else if (status == TIC_OK)
        status = measure(&c, from, path, spent, err);
    tic_free(c.pairs);
    tic_free(c.image);
    tic_free(c.text);
    if (status == TIC_OK)
        *alignment = c.alignment;
    else
        tic_free(c.alignment);
    return status;
}
