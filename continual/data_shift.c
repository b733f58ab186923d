/* How far each step's pictures and words are from the first's (paper, Fig. 18, 19). */
#include "shift.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOLD = 5 }; /* words told that rose and fell most */

typedef struct shifting {
    tic_session *s;
    const tic_shift_options *options;
    tic_nouns *nouns;
    size_t n;        /* pairs of a sample */
    uint32_t *pairs; /* [n], the sample at hand */
    float *features; /* [n, embed_dim], NULL without a checkpoint */
    tic_moments first;
    json_t *first_words; /* {WORD: n} */
} shifting;

static size_t pairs_of(const tic_step *step) {
    return step->trains + step->evals;
}

/* Pair i of a step, its held-out ones after the others. */
static uint32_t pair_at(const tic_step *step, size_t i) {
    return i < step->trains ? step->train[i] : step->eval[i - step->trains];
}

/* Sample number `which` of a step: n pairs of a random permutation, from which * n on. */
static void draw(const shifting *h, int step, size_t which) {
    const tic_step *from = &h->s->steps.step[step];
    const tic_random key = {.seed = (uint64_t)h->s->x->seed, .purpose = TIC_RNG_SAMPLE};
    for (size_t i = 0; i < h->n; i++)
        h->pairs[i] =
            pair_at(from, tic_permute(key, (uint64_t)step, pairs_of(from), which * h->n + i));
}

static tic_status count_words(const shifting *h, json_t *counts, tic_error *err) {
    for (size_t i = 0; i < h->n; i++) {
        char *caption;
        const char *word;
        json_t *unused;
        TIC_TRY(tic_index_caption(h->s->index, h->pairs[i], &caption, err));
        json_t *words = tic_nouns_of(h->nouns, caption, (int)h->options->per_caption);
        tic_free(caption);
        json_object_foreach(words, word, unused) json_object_set_new(
            counts, word, json_integer(1 + json_integer_value(json_object_get(counts, word))));
        json_decref(words);
    }
    return TIC_OK;
}

static tic_status take(void *user, size_t at, int64_t n, const float *image, const float *text,
                       tic_error *err) {
    const shifting *h = user;
    const size_t d = (size_t)h->s->config.embed_dim;
    (void)text;
    (void)err;
    memcpy(h->features + at * d, image, (size_t)n * d * sizeof(float));
    return TIC_OK;
}

/* Moments of the sample at hand. */
static tic_status embed(shifting *h, tic_moments *moments, tic_error *err) {
    tic_ctx_purpose(h->s->ctx, TIC_FOR_EVALUATION);
    TIC_TRY(tic_session_features(h->s, h->pairs, h->n, false, "embedding pictures", take, h, err));
    return tic_moments_make(moments, h->features, (int64_t)h->n, h->s->config.embed_dim, err);
}

/* ---- words that rose and fell ---------------------------------------------------------------- */

typedef struct change {
    const char *word;
    double share; /* of the first step's words, taken from the step's */
} change;

/* The largest first, equals by name. */
static int by_change(const void *a, const void *b) {
    const change *x = a, *y = b;
    if (x->share != y->share)
        return x->share > y->share ? -1 : 1;
    return strcmp(x->word, y->word);
}

static double sum_of(const json_t *counts) {
    double sum = 0;
    const char *word;
    json_t *n;
    json_object_foreach((json_t *)counts, word, n) sum += json_number_value(n);
    return fmax(sum, 1);
}

/* The words that gained most from `before` to `after`. */
static tic_status gained(const json_t *before, const json_t *after, json_t **out, tic_error *err) {
    const double all_before = sum_of(before), all_after = sum_of(after);
    const char *word;
    json_t *n;
    change *list;
    size_t count = 0;
    TIC_TRY(tic_alloc(&list, json_object_size(after), sizeof *list, err));
    json_object_foreach((json_t *)after, word, n) list[count++] =
        (change){word, json_number_value(n) / all_after -
                           json_number_value(json_object_get(before, word)) / all_before};
    if (count > 0)
        qsort(list, count, sizeof *list, by_change);
    *out = json_array();
    for (size_t i = 0; i < count && i < TOLD && list[i].share > 0; i++)
        json_array_append_new(*out, json_string(list[i].word));
    tic_free(list);
    return TIC_OK;
}

/* ---- steps ----------------------------------------------------------------------------------- */

static tic_status add_step(shifting *h, int step, json_t *steps, tic_error *err) {
    const tic_step *of = &h->s->steps.step[step];
    double frechet = NAN;
    tic_moments moments = {.d = 0};
    json_t *words = json_object(), *rising = NULL, *falling = NULL;
    draw(h, step, step == 0);
    tic_status status = count_words(h, words, err);
    if (status == TIC_OK && h->features != NULL)
        status = embed(h, &moments, err);
    if (status == TIC_OK && h->features != NULL)
        status = tic_frechet(&h->first, &moments, &frechet, err);
    tic_moments_free(&moments);
    if (status == TIC_OK)
        status = gained(h->first_words, words, &rising, err);
    if (status == TIC_OK)
        status = gained(words, h->first_words, &falling, err);
    if (status == TIC_OK)
        json_array_append_new(steps,
                              json_pack("{s:s, s:I, s:o, s:o, s:O, s:O}", "step", of->name, "pairs",
                                        (json_int_t)pairs_of(of), "frechet",
                                        tic_json_number(frechet), "variation",
                                        tic_json_number(tic_total_variation(h->first_words, words)),
                                        "rising", rising, "falling", falling));
    json_decref(rising);
    json_decref(falling);
    json_decref(words);
    return status;
}

static size_t sample_size(const shifting *h) {
    const tic_steps *steps = &h->s->steps;
    size_t n = (size_t)h->options->sample;
    for (int i = 0; i < steps->count; i++) {
        const size_t has = pairs_of(&steps->step[i]) / (i == 0 ? 2 : 1);
        n = has < n ? has : n;
    }
    return n;
}

static tic_status look(shifting *h, json_t *steps, tic_error *err) {
    h->n = sample_size(h);
    if (h->n < 2)
        return tic_fail(err, TIC_EINPUT, "a step has too few pairs to be sampled (use --min-step)");
    TIC_TRY(tic_nouns_load(&h->nouns, h->options->nouns, err));
    TIC_TRY(tic_alloc(&h->pairs, h->n, sizeof *h->pairs, err));
    if (h->options->checkpoint != NULL)
        TIC_TRY(tic_alloc(&h->features, h->n * (size_t)h->s->config.embed_dim, sizeof(float), err));
    draw(h, 0, 0);
    TIC_TRY(count_words(h, h->first_words, err));
    if (h->features != NULL)
        TIC_TRY(embed(h, &h->first, err));
    for (int i = 0; i < h->s->steps.count; i++)
        TIC_TRY(add_step(h, i, steps, err));
    return TIC_OK;
}

static tic_status shift(tic_session *s, const tic_shift_options *options, char **json,
                        tic_error *err) {
    shifting h = {.s = s, .options = options, .first_words = json_object()};
    json_t *steps = json_array();
    tic_status status = options->checkpoint != NULL
                            ? tic_session_checkpoint(s, options->checkpoint, false, err)
                            : tic_session_data(s, err);
    if (status == TIC_OK)
        status = look(&h, steps, err);
    if (status == TIC_OK) {
        json_t *all =
            json_pack("{s:i, s:s?, s:s?, s:I, s:I, s:O}", "schema", 1, "checkpoint",
                      options->checkpoint, "nouns", options->nouns, "sample", (json_int_t)h.n,
                      "words", (json_int_t)json_object_size(h.first_words), "steps", steps);
        status = tic_json_text(all, JSON_INDENT(1), json, err);
        json_decref(all);
    }
    json_decref(steps);
    json_decref(h.first_words);
    tic_moments_free(&h.first);
    tic_free(h.features);
    tic_free(h.pairs);
    tic_nouns_free(h.nouns);
    return status;
}

tic_status tic_data_shift(const tic_experiment *experiment, const tic_shift_options *options,
                          const tic_hooks *hooks, char **json, tic_error *err) {
    tic_session s = {.x = experiment, .hooks = hooks};
    *json = NULL;
    tic_status status = shift(&s, options, json, err);
    tic_session_close(&s);
    return status;
}
