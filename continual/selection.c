/* Which past pairs are worth keeping by the last model's image-text alignment (reference/
 * tic-clip.md, App. B.4): a forward pass over all of them, kept in the step's folder. */
#include "room.h"
#include <string.h>

typedef struct scoring {
    tic_session *s;
    uint32_t *pairs; /* training pairs of the steps before, in order */
    size_t count;
    float *alignment; /* [count] */
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

static tic_status score(scoring *c, const char *from, tic_error *err) {
    tic_session *s = c->s;
    tic_cosines cosines = {c->alignment, s->config.embed_dim};
    TIC_TRY(tic_model_load(s->model, from, err));
    tic_ctx_purpose(s->ctx, TIC_FOR_SELECTION);
    return tic_session_features(s, c->pairs, c->count, true, "scoring past pairs", tic_take_cosines,
                                &cosines, err);
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
    else if (status == TIC_OK && s->model == NULL) /* of a run that is only looked at */
        status = tic_fail(err, TIC_EINPUT, "%s: it is missing", path);
    else if (status == TIC_OK)
        status = measure(&c, from, path, spent, err);
    tic_free(c.pairs);
    if (status == TIC_OK)
        *alignment = c.alignment;
    else
        tic_free(c.alignment);
    return status;
}
