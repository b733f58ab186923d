/* Patching (Ilharco et al. 2022; reference/tic-clip.md, Methods): between the patched model of the
 * step before and the one just trained, the mixture that retrieves best on the earlier tasks. */
#include "room.h"
#include <string.h>

typedef struct mixing {
    tic_session *s;
    float *before, *trained; /* [size] */
    int64_t size;
    int step;
} mixing;

static void mix(const mixing *m, int tenths) {
    float *weights = tic_model_weights(m->s->model);
    const float c = (float)tenths / (TIC_PATCH_COEFFICIENTS - 1);
    for (int64_t i = 0; i < m->size; i++)
        weights[i] = (1 - c) * m->before[i] + c * m->trained[i];
}

static tic_status search(const mixing *m, int *best, tic_error *err) {
    const tic_session *s = m->s;
    double most = -1, mean;
    for (int tenths = 0; tenths < TIC_PATCH_COEFFICIENTS; tenths++) {
        tic_prepare_progress((void *)s->hooks, "searching the coefficient of patching",
                             (uint64_t)tenths, TIC_PATCH_COEFFICIENTS);
        if (tic_asked_to_stop(s->hooks))
            return tic_fail(err, TIC_EINTERRUPTED,
                            "stopped while patching; the same command continues");
        mix(m, tenths);
        TIC_TRY(tic_mean_retrieval(s->model, s->x->batch, s->tasks, m->step, &mean, err));
        if (mean >= most) {
            most = mean;
            *best = tenths;
        }
    }
    return TIC_OK;
}

static uint64_t searched_pairs(const mixing *m) {
    uint64_t sum = 0;
    for (int i = 0; i < m->step; i++)
        sum += m->s->steps.step[i].evals;
    return sum * TIC_PATCH_COEFFICIENTS;
}

static tic_status patch(mixing *m, const char *before, double *coefficient, tic_error *err) {
    tic_model *model = m->s->model;
    const size_t bytes = (size_t)m->size * sizeof(float);
    int best = 0;
    TIC_TRY(tic_alloc(&m->trained, (size_t)m->size, sizeof(float), err));
    TIC_TRY(tic_alloc(&m->before, (size_t)m->size, sizeof(float), err));
    memcpy(m->trained, tic_model_look(model), bytes);
    TIC_TRY(tic_model_load(model, before, err));
    memcpy(m->before, tic_model_look(model), bytes);
    tic_ctx_purpose(m->s->ctx, TIC_FOR_PATCHING);
    TIC_TRY(search(m, &best, err));
    mix(m, best);
    *coefficient = (double)best / (TIC_PATCH_COEFFICIENTS - 1);
    return TIC_OK;
}

tic_status tic_patch(tic_session *s, const char *before, int step, double *coefficient,
                     tic_spent *spent, tic_error *err) {
    mixing m = {.s = s, .size = tic_model_size(s->model), .step = step};
    tic_counters counted;
    double begun = tic_now();
    tic_ctx_counters(s->ctx, &counted);
    tic_status status = patch(&m, before, coefficient, err);
    tic_free(m.before);
    tic_free(m.trained);
    uint64_t searched =
        searched_pairs(&m) * (tic_nominal_image(&s->config) + tic_nominal_text(&s->config));
    spent->extra += searched;
    tic_meter_extra(&s->meter, searched);
    spent->seconds += tic_now() - begun;
    tic_spent_count(spent, s->ctx, &counted);
    return status;
}
