/* Which years a filter keeps (paper, Fig. 13): the basic filter's parts, and a CLIP score under a
 * given checkpoint. */
#include "room.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS, ENGLISH, SHAPE, BASIC, SCORE, BOTH, FILTERS };
static const char *const names[FILTERS] = {"words", "english", "shape", "basic", "score", "both"};

typedef struct kept { /* of one step, or all */
    int64_t pairs, by[FILTERS];
    double sum, squares; /* of the scores */
} kept;

typedef struct filtering {
    tic_session *s;
    const tic_filters_options *options;
    size_t n;
    uint32_t *pairs; /* [n] places in the index */
    int *places;     /* of every pair of the index: its step, -1: none */
    float *scores;   /* [n], NULL without a checkpoint */
    double threshold;
    kept all, *step; /* [steps] */
} filtering;

/* ---- which pairs ----------------------------------------------------------------------------- */

static tic_status draw(filtering *f, tic_error *err) {
    const size_t size = tic_index_size(f->s->index), asked = (size_t)f->options->sample;
    const tic_random key = {.seed = (uint64_t)f->s->x->seed, .purpose = TIC_RNG_SAMPLE};
    f->n = asked > 0 && asked < size ? asked : size;
    TIC_TRY(tic_alloc(&f->pairs, f->n, sizeof *f->pairs, err));
    for (size_t i = 0; i < f->n; i++)
        f->pairs[i] = f->n == size ? (uint32_t)i : (uint32_t)tic_permute(key, 0, size, i);
    return TIC_OK;
}

/* ---- the score ------------------------------------------------------------------------------- */

static int falling(const void *a, const void *b) {
    const float x = *(const float *)a, y = *(const float *)b;
    return (y > x) - (y < x);
}

/* How many of n a share is, rounded up, but 0.07 of 100 is 7.000000000000001 in double. */
static size_t kept_of(double share, size_t n) {
    const double exact = share * (double)n, whole = round(exact);
    return (size_t)(fabs(exact - whole) <= 1e-9 * (double)n ? whole : ceil(exact));
}

/* The score of the last pair that is kept; of equals all are. */
static tic_status choose_threshold(filtering *f, tic_error *err) {
    float *sorted;
    f->threshold = f->options->threshold;
    if (!isnan(f->threshold))
        return TIC_OK;
    TIC_TRY(tic_alloc(&sorted, f->n, sizeof *sorted, err));
    memcpy(sorted, f->scores, f->n * sizeof *sorted);
    qsort(sorted, f->n, sizeof *sorted, falling);
    const size_t last = kept_of(f->options->keep, f->n);
    f->threshold = sorted[last > 0 ? last - 1 : 0];
    tic_free(sorted);
    return TIC_OK;
}

static tic_status score(filtering *f, tic_error *err) {
    tic_session *s = f->s;
    TIC_TRY(tic_alloc(&f->scores, f->n, sizeof *f->scores, err));
    tic_cosines cosines = {f->scores, s->config.embed_dim};
    tic_ctx_purpose(s->ctx, TIC_FOR_EVALUATION);
    TIC_TRY(tic_session_features(s, f->pairs, f->n, true, "scoring pairs", tic_take_cosines,
                                 &cosines, err));
    return choose_threshold(f, err);
}

/* ---- counting -------------------------------------------------------------------------------- */

static void add(kept *k, const bool passes[FILTERS], double scored) {
    k->pairs++;
    for (int i = 0; i < FILTERS; i++)
        k->by[i] += passes[i];
    k->sum += scored;
    k->squares += scored * scored;
}

static tic_status judge(filtering *f, size_t i, tic_error *err) {
    tic_index *index = f->s->index;
    const tic_pair *pair = &tic_index_pairs(index)[f->pairs[i]];
    const int step = f->places[f->pairs[i]];
    char *caption, *language = NULL;
    if (step < 0)
        return TIC_OK;
    TIC_TRY(tic_index_caption(index, f->pairs[i], &caption, err));
    tic_status status = tic_index_field(index, f->pairs[i], "language", &language, err);
    const tic_reject said = status == TIC_OK ? tic_filter_caption(caption, language) : 0;
    tic_free(caption);
    tic_free(language);
    if (status != TIC_OK)
        return status;
    const double scored = f->scores != NULL ? (double)f->scores[i] : 0;
    bool passes[FILTERS] = {
        [WORDS] = said != TIC_REJECT_FEW_WORDS,
        [ENGLISH] = said == TIC_REJECT_NONE,
        [SHAPE] = tic_filter_shape(pair->width, pair->height, (int)f->options->min_side) ==
                  TIC_REJECT_NONE,
        [SCORE] = f->scores != NULL && scored >= f->threshold,
    };
    passes[BASIC] = passes[ENGLISH] && passes[SHAPE];
    passes[BOTH] = passes[BASIC] && passes[SCORE];
    add(&f->step[step], passes, scored);
    add(&f->all, passes, scored);
    return TIC_OK;
}

/* ---- the document ---------------------------------------------------------------------------- */

static json_t *kept_json(const filtering *f, const kept *k, const char *name) {
    json_t *counts = json_object(), *shares = json_object(), *scored = json_null();
    const int filters = f->scores != NULL ? FILTERS : SCORE;
    const double n = (double)k->pairs, mean = k->sum / n;
    for (int i = 0; i < filters; i++) {
        json_object_set_new(counts, names[i], json_integer(k->by[i]));
        json_object_set_new(shares, names[i], tic_json_number((double)k->by[i] / n));
    }
    if (f->scores != NULL)
        scored = json_pack("{s:o, s:o}", "mean", tic_json_number(mean), "stderr",
                           tic_json_number(sqrt(fmax(k->squares / n - mean * mean, 0) / (n - 1))));
    return json_pack("{s:s, s:I, s:o, s:o, s:o}", "step", name, "pairs", (json_int_t)k->pairs,
                     "score", scored, "kept", counts, "share", shares);
}

static json_t *document(const filtering *f) {
    json_t *steps = json_array();
    for (int i = 0; i < f->s->steps.count; i++)
        json_array_append_new(steps, kept_json(f, &f->step[i], f->s->steps.step[i].name));
    return json_pack("{s:i, s:s?, s:o, s:I, s:o, s:o}", "schema", 1, "checkpoint",
                     f->options->checkpoint, "threshold",
                     tic_json_number(f->scores != NULL ? f->threshold : NAN), "pairs",
                     (json_int_t)f->all.pairs, "steps", steps, "all", kept_json(f, &f->all, "all"));
}

static tic_status filters(filtering *f, tic_error *err) {
    tic_session *s = f->s;
    const char *checkpoint = f->options->checkpoint;
    TIC_TRY(checkpoint != NULL ? tic_session_checkpoint(s, checkpoint, false, err)
                               : tic_session_data(s, err));
    TIC_TRY(draw(f, err));
    TIC_TRY(tic_steps_places(&s->steps, tic_index_size(s->index), &f->places, err));
    TIC_TRY(tic_alloc(&f->step, (size_t)s->steps.count, sizeof *f->step, err));
    if (checkpoint != NULL)
        TIC_TRY(score(f, err));
    for (size_t i = 0; i < f->n; i++) {
        if (i % 1024 == 0) {
            tic_prepare_progress((void *)s->hooks, "reading captions", i, f->n);
            if (tic_asked_to_stop(s->hooks))
                return tic_fail(err, TIC_EINTERRUPTED, "stopped while reading captions");
        }
        TIC_TRY(judge(f, i, err));
    }
    return TIC_OK;
}

tic_status tic_data_filters(const tic_experiment *experiment, const tic_filters_options *options,
                            const tic_hooks *hooks, char **json, tic_error *err) {
    tic_session s = {.x = experiment, .hooks = hooks};
    filtering f = {.s = &s, .options = options};
    *json = NULL;
    tic_status status = filters(&f, err);
    if (status == TIC_OK) {
        json_t *all = document(&f);
        status = tic_json_text(all, JSON_INDENT(1), json, err);
        json_decref(all);
    }
    tic_free(f.pairs);
    tic_free(f.places);
    tic_free(f.scores);
    tic_free(f.step);
    tic_session_close(&s);
    return status;
}
