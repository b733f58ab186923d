/* A model scored on all tasks: features first, then recall and zero-shot accuracy, which is recall
 * of the class among the classifier's rows (reference/openclip.md, DataComp). */
#include "room.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* What scoring one model works with; or, with no model, listing what is asked. */
typedef struct scoring {
    tic_model *model;         /* NULL: nothing is computed */
    const tic_config *config; /* then; what the shapes need is added to *logical */
    uint64_t *logical;
    tic_ctx *ctx;
    const tic_tasks *tasks;
    tic_scores *scores;
    int64_t batch, d;
    float *classifier; /* [classes, d] of the dynamic classification */
} scoring;

/* ---- features ------------------------------------------------------------------------------ */

static tic_status encode_pictures(const scoring *s, int64_t n, const uint8_t *pixels, float *out,
                                  tic_error *err) {
    size_t side = (size_t)s->tasks->image_size;
    if (s->model == NULL) {
        *s->logical += tic_logical_image(s->config, n, false);
        return TIC_OK;
    }
    for (int64_t i = 0; i < n; i += s->batch) {
        int64_t count = n - i < s->batch ? n - i : s->batch;
        TIC_TRY(tic_encode_images(s->model, count, pixels + (size_t)i * side * side * 3,
                                  out + i * s->d, err));
    }
    return TIC_OK;
}

static tic_status encode_captions(const scoring *s, const tic_texts *texts, float *out,
                                  tic_error *err) {
    int32_t *offsets;
    tic_status status = TIC_OK;
    if (s->model == NULL) {
        *s->logical += tic_logical_text(s->config, texts->n, texts->offsets, false);
        return TIC_OK;
    }
    TIC_TRY(tic_alloc(&offsets, (size_t)s->batch + 1, sizeof(int32_t), err));
    for (int64_t i = 0; i < texts->n && status == TIC_OK; i += s->batch) {
        int64_t count = texts->n - i < s->batch ? texts->n - i : s->batch;
        for (int64_t j = 0; j <= count; j++)
            offsets[j] = texts->offsets[i + j] - texts->offsets[i];
        status = tic_encode_texts(s->model, count, texts->ids + texts->offsets[i], offsets,
                                  out + i * s->d, err);
    }
    tic_free(offsets);
    return status;
}

/* Each class: the mean of its templates' features, normalised again. */
static tic_status make_classifier(const scoring *s, const tic_texts *prompts, int classes,
                                  float **out, tic_error *err) {
    float *features = NULL;
    int templates = classes > 0 ? (int)(prompts->n / classes) : 0;
    *out = NULL;
    TIC_TRY(tic_alloc(out, (size_t)(classes * s->d), sizeof(float), err));
    tic_status status = tic_alloc(&features, (size_t)(prompts->n * s->d), sizeof(float), err);
    if (status == TIC_OK)
        status = encode_captions(s, prompts, features, err);
    for (int c = 0; c < classes && status == TIC_OK; c++) {
        float *row = *out + c * s->d;
        double square = 0;
        for (int t = 0; t < templates; t++)
            for (int64_t k = 0; k < s->d; k++)
                row[k] += features[((int64_t)c * templates + t) * s->d + k];
        for (int64_t k = 0; k < s->d; k++)
            square += (double)row[k] * row[k];
        for (int64_t k = 0; k < s->d; k++)
            row[k] = (float)(row[k] / fmax(sqrt(square), 1e-12));
    }
    tic_free(features);
    return status;
}

/* ---- scores -------------------------------------------------------------------------------- */

/* Rows of features that belong together: group[n], NULL: row numbers. */
typedef struct feature_rows {
    const float *at;
    const int32_t *group;
    int64_t n;
} feature_rows;

/* Queries that hit at 1 (tic_recall_hits). */
static tic_status count_hits(const scoring *s, feature_rows queries, feature_rows candidates,
                             int64_t *hits, tic_error *err) {
    if (s->model == NULL) {
        *s->logical += (uint64_t)(queries.n * candidates.n * s->d);
        *hits = 0;
        return TIC_OK;
    }
    return tic_recall_hits(s->ctx, queries.at, queries.group, queries.n, candidates.at,
                           candidates.group, candidates.n, s->d, 1, hits, err);
}

/* Of `hits` among `chances`; listed, a score is what it is whole by. */
static tic_status add_share(const scoring *s, const char *task, const char *metric, int step,
                            double hits, double chances, int64_t pairs, tic_error *err) {
    return tic_score_add(s->scores, task, metric, step, s->model != NULL ? hits / chances : chances,
                         pairs, err);
}

static tic_status score_retrieval(const scoring *s, const char *task, int step, const float *image,
                                  const float *text, int64_t n, tic_error *err) {
    const feature_rows images = {image, NULL, n}, texts = {text, NULL, n};
    int64_t to_text, to_image;
    if (n < 1)
        return tic_fail(err, TIC_EINPUT, "step %d holds out no pair to evaluate on", step + 1);
    TIC_TRY(count_hits(s, images, texts, &to_text, err));
    TIC_TRY(count_hits(s, texts, images, &to_image, err));
    return add_share(s, task, "mean_recall@1", step, (double)(to_text + to_image), 2.0 * (double)n,
                     n, err);
}

/* acc1 of pictures [n,d] with labels among the rows of a classifier. */
static tic_status score_accuracy(const scoring *s, const char *task, int step, const float *image,
                                 const int32_t *label, int64_t n, const float *classifier,
                                 int classes, tic_error *err) {
    const feature_rows images = {image, label, n}, names = {classifier, NULL, classes};
    int64_t hits;
    TIC_TRY(count_hits(s, images, names, &hits, err));
    return add_share(s, task, "acc1", step, (double)hits, (double)n, n, err);
}

/* A subset of a step's held-out pairs: those of a domain (0 .. domains - 1), then those that hold a
 * keyword. */
static bool in_subset(const tic_tasks *tasks, const tic_held_out *held, int64_t i, int subset) {
    return subset < tasks->domains ? held->domain[i] == subset
                                   : held->keyword[i] >> (subset - tasks->domains) & 1;
}

/* Copies the rows of a subset to the front of `out`; returns how many. */
static int64_t gather(const scoring *s, const tic_held_out *held, int subset, const float *rows,
                      float *out) {
    int64_t count = 0, d = s->d;
    for (int64_t i = 0; i < held->n; i++)
        if (in_subset(s->tasks, held, i, subset))
            memcpy(out + count++ * d, rows + i * d, (size_t)d * sizeof(float));
    return count;
}

static tic_status score_subsets(const scoring *s, int step, const float *image, const float *text,
                                float *some_images, float *some_texts, tic_error *err) {
    const tic_tasks *tasks = s->tasks;
    const tic_held_out *held = &tasks->step[step];
    char task[96];
    for (int k = 0; k < tasks->domains + tasks->keywords; k++) {
        int64_t n = gather(s, held, k, image, some_images);
        gather(s, held, k, text, some_texts);
        snprintf(task, sizeof task, "retrieval/%s",
                 k < tasks->domains ? tasks->domain[k] : tasks->keyword[k - tasks->domains]);
        if (n >= 2)
            TIC_TRY(score_retrieval(s, task, step, some_images, some_texts, n, err));
    }
    return TIC_OK;
}

/* Pictures that have a class (subtree < 0), or one of a subtree's. */
static tic_status score_classes(const scoring *s, const char *task, int step, int subtree,
                                const float *image, float *some_images, int32_t *labels,
                                tic_error *err) {
    const tic_held_out *held = &s->tasks->step[step];
    int64_t n = 0;
    for (int64_t i = 0; i < held->n; i++) {
        int32_t label = held->label[i];
        if (label < 0 || (subtree >= 0 && s->tasks->class_subtree[label] != subtree))
            continue;
        memcpy(some_images + n * s->d, image + i * s->d, (size_t)s->d * sizeof(float));
        labels[n++] = label;
    }
    if (n < 2)
        return TIC_OK;
    return score_accuracy(s, task, step, some_images, labels, n, s->classifier,
                          s->tasks->classes->count, err);
}

static tic_status score_all_classes(const scoring *s, int step, const float *image,
                                    float *some_images, tic_error *err) {
    int32_t *labels;
    char task[96];
    TIC_TRY(tic_alloc(&labels, (size_t)s->tasks->step[step].n, sizeof(int32_t), err));
    tic_status status =
        score_classes(s, "classification", step, -1, image, some_images, labels, err);
    for (int k = 0; k < s->tasks->subtrees && status == TIC_OK; k++) {
        if (strlen(s->tasks->subtree[k]) >= 64) /* too long for a task's name, as of a domain's */
            continue;
        snprintf(task, sizeof task, "classification/%s", s->tasks->subtree[k]);
        status = score_classes(s, task, step, k, image, some_images, labels, err);
    }
    tic_free(labels);
    return status;
}

/* Features of a step's held-out pairs, [n,d] each. */
static tic_status encode_step(const scoring *s, int step, float *image, float *text,
                              tic_error *err) {
    const tic_held_out *held = &s->tasks->step[step];
    TIC_TRY(encode_pictures(s, held->n, held->pixels, image, err));
    return encode_captions(s, &held->texts, text, err);
}

/* Four blocks of [n,d]: pictures, captions, and room for a subset of each. */
static tic_status score_step(const scoring *s, int step, tic_error *err) {
    const tic_held_out *held = &s->tasks->step[step];
    int64_t block = held->n * s->d;
    float *features;
    TIC_TRY(tic_alloc(&features, (size_t)(4 * block), sizeof(float), err));
    float *image = features, *text = image + block;
    float *some_images = text + block, *some_texts = some_images + block;
    tic_status status = encode_step(s, step, image, text, err);
    if (status == TIC_OK)
        status = score_retrieval(s, "retrieval", step, image, text, held->n, err);
    if (status == TIC_OK)
        status = score_subsets(s, step, image, text, some_images, some_texts, err);
    if (status == TIC_OK && s->tasks->classes != NULL)
        status = score_all_classes(s, step, image, some_images, err);
    tic_free(features);
    return status;
}

static tic_status add_retrieval(const scoring *s, int step, double *sum, tic_error *err) {
    int64_t n = s->tasks->step[step].n;
    tic_recall recall;
    float *image;
    TIC_TRY(tic_alloc(&image, (size_t)(2 * n * s->d), sizeof(float), err));
    float *text = image + n * s->d;
    tic_status status = encode_step(s, step, image, text, err);
    if (status == TIC_OK)
        status = tic_recall_at(s->ctx, image, text, n, s->d, 1, &recall, err);
    if (status == TIC_OK)
        *sum += recall.mean;
    tic_free(image);
    return status;
}

tic_status tic_mean_retrieval(tic_model *model, int64_t batch, const tic_tasks *tasks, int steps,
                              double *mean, tic_error *err) {
    scoring s = {.model = model,
                 .ctx = tic_model_ctx(model),
                 .tasks = tasks,
                 .batch = batch,
                 .d = tic_model_config(model)->embed_dim};
    double sum = 0;
    for (int step = 0; step < steps; step++)
        TIC_TRY(add_retrieval(&s, step, &sum, err));
    *mean = sum / steps;
    return TIC_OK;
}

uint64_t tic_retrieval_macs(const tic_config *config, const tic_tasks *tasks, int steps) {
    uint64_t sum = 0;
    for (int step = 0; step < steps; step++) {
        const tic_held_out *held = &tasks->step[step];
        sum += tic_logical_image(config, held->n, false) +
               tic_logical_text(config, held->n, held->texts.offsets, false) +
               2 * (uint64_t)(held->n * held->n * config->embed_dim);
    }
    return sum;
}

/* ---- static sets --------------------------------------------------------------------------- */

/* Captions belong to pictures, several to one. */
static tic_status score_static_retrieval(const scoring *s, const char *task,
                                         const tic_static *fixed, const float *image,
                                         tic_error *err) {
    const tic_evalset *set = fixed->set;
    int64_t pictures = set->pictures, captions = set->caption_count, to_text, to_image;
    float *text;
    TIC_TRY(tic_alloc(&text, (size_t)(captions * s->d), sizeof(float), err));
    const feature_rows images = {image, NULL, pictures},
                       texts = {text, set->caption_picture, captions};
    tic_status status = encode_captions(s, &fixed->texts, text, err);
    if (status == TIC_OK)
        status = count_hits(s, images, texts, &to_text, err);
    if (status == TIC_OK)
        status = count_hits(s, texts, images, &to_image, err);
    tic_free(text);
    if (status != TIC_OK)
        return status;
    /* (to_text / pictures + to_image / captions) / 2 */
    const double p = (double)pictures, c = (double)captions;
    return add_share(s, task, "mean_recall@1", -1, (double)to_text * c + (double)to_image * p,
                     2 * p * c, pictures, err);
}

static tic_status score_static_classes(const scoring *s, const char *task, const tic_static *fixed,
                                       const float *image, tic_error *err) {
    const tic_evalset *set = fixed->set;
    float *classifier;
    tic_status status = make_classifier(s, &fixed->texts, set->class_count, &classifier, err);
    if (status == TIC_OK)
        status = score_accuracy(s, task, -1, image, set->labels, set->pictures, classifier,
                                set->class_count, err);
    tic_free(classifier);
    return status;
}

static tic_status score_static(const scoring *s, const tic_static *fixed, tic_error *err) {
    const tic_evalset *set = fixed->set;
    char task[96];
    float *image;
    snprintf(task, sizeof task, "static/%s", set->name);
    if (set->pictures < 1 || fixed->texts.n < 1)
        return tic_fail(err, TIC_EINPUT, "evaluation set %s has no pictures or no texts",
                        set->name);
    TIC_TRY(tic_alloc(&image, (size_t)(set->pictures * s->d), sizeof(float), err));
    tic_status status = encode_pictures(s, set->pictures, set->pixels, image, err);
    if (status == TIC_OK)
        status = set->retrieval ? score_static_retrieval(s, task, fixed, image, err)
                                : score_static_classes(s, task, fixed, image, err);
    tic_free(image);
    return status;
}

/* Before each part of an evaluation: tells of it, and asks whether to stop. */
static tic_status next_part(const tic_tasks *tasks, const tic_hooks *hooks, int part,
                            tic_error *err) {
    if (tic_asked_to_stop(hooks))
        return tic_fail(err, TIC_EINTERRUPTED,
                        "stopped while evaluating; the same command does this evaluation again");
    tic_prepare_progress((void *)hooks, "evaluating", (uint64_t)part,
                         (uint64_t)(tasks->steps + tasks->statics));
    return TIC_OK;
}

static tic_status score_all(scoring *s, const tic_hooks *hooks, tic_error *err) {
    const tic_tasks *tasks = s->tasks;
    tic_status status = TIC_OK;
    if (tasks->classes != NULL)
        status = make_classifier(s, &tasks->prompts, tasks->classes->count, &s->classifier, err);
    for (int step = 0; step < tasks->steps && status == TIC_OK; step++) {
        status = next_part(tasks, hooks, step, err);
        if (status == TIC_OK)
            status = score_step(s, step, err);
    }
    for (int i = 0; i < tasks->statics && status == TIC_OK; i++) {
        status = next_part(tasks, hooks, tasks->steps + i, err);
        if (status == TIC_OK)
            status = score_static(s, &tasks->fixed[i], err);
    }
    tic_free(s->classifier);
    return status;
}

tic_status tic_evaluate(tic_model *model, int64_t batch, const tic_tasks *tasks,
                        const tic_hooks *hooks, tic_scores *scores, tic_error *err) {
    scoring s = {.model = model,
                 .ctx = tic_model_ctx(model),
                 .tasks = tasks,
                 .scores = scores,
                 .batch = batch,
                 .d = tic_model_config(model)->embed_dim};
    tic_ctx_purpose(s.ctx, TIC_FOR_EVALUATION);
    return score_all(&s, hooks, err);
}

tic_status tic_evaluation_asks(const tic_config *config, const tic_tasks *tasks, tic_scores *asked,
                               uint64_t *logical, tic_error *err) {
    scoring s = {.config = config,
                 .logical = logical,
                 .tasks = tasks,
                 .scores = asked,
                 .d = config->embed_dim};
    *logical = 0;
    return score_all(&s, NULL, err);
}
