/* Evaluations: their arithmetic, and, on demand, some of them computed again. */
#include "verify.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

/* Counted hits over `chances` queries: a whole number of them. */
static bool whole(double value, double chances) {
    const double hits = value * chances;
    return value >= 0 && value <= 1 && fabs(hits - round(hits)) <= 1e-6;
}

static const char recall[] = "mean_recall@1", accuracy[] = "acc1";

static bool begins_with(const char *text, const char *with) {
    return strncmp(text, with, strlen(with)) == 0;
}

/* The metric that a task is told by; NULL: there is no such task. */
static const char *metric_of(const char *task, const char *told) {
    if (begins_with(task, "static/"))
        return strcmp(told, recall) == 0 ? recall : accuracy;
    if (strcmp(task, "retrieval") == 0 || begins_with(task, "retrieval/"))
        return recall;
    if (strcmp(task, "classification") == 0 || begins_with(task, "classification/"))
        return accuracy;
    return NULL;
}

/* Static retrieval: captions are counted apart from pictures, and the ledger has no number of them,
 * so that any share may be one of hits. */
static bool uncounted(const json_t *score) {
    return json_integer_value(json_object_get(score, "step")) < 0 &&
           strcmp(tic_json_string(score, "metric"), recall) == 0;
}

static tic_status verify_score(const tic_verifying *v, const char *name, const json_t *score) {
    const char *task = tic_json_string(score, "task"), *told = tic_json_string(score, "metric");
    const char *metric = metric_of(task, told);
    const bool fixed = begins_with(task, "static/");
    const json_t *at = json_object_get(score, "step"), *number = json_object_get(score, "value");
    const json_int_t step = json_integer_value(at);
    const json_int_t pairs = json_integer_value(json_object_get(score, "pairs"));
    const double value = json_number_value(number);
    if (metric == NULL || !json_is_number(number) || !json_is_integer(at) || pairs < 1)
        return tic_broken(v, name, "a score of \"%s\" is none", task);
    if (fixed ? step != -1 : step < 0 || step >= v->s.steps.count)
        return tic_broken(v, name, "%s has no step %lld", task, (long long)step);
    if (strcmp(told, metric) != 0)
        return tic_broken(v, name, "%s is told as %s, it is %s", task, told, metric);
    const json_int_t held = fixed ? pairs : (json_int_t)v->s.steps.step[step].evals;
    if (pairs > held || (strcmp(task, "retrieval") == 0 && pairs != held))
        return tic_broken(v, name, "%s of step %lld over %lld pairs, %lld are held out", task,
                          (long long)step, (long long)pairs, (long long)held);
    /* Recall is the mean of two directions. */
    const double chances = (double)pairs * (strcmp(metric, recall) == 0 ? 2 : 1);
    if (uncounted(score) ? !(value >= 0 && value <= 1) : !whole(value, chances))
        return tic_broken(v, name, "%s of step %lld is %.9g, which %lld queries cannot give", task,
                          (long long)step, value, (long long)pairs);
    return TIC_OK;
}

/* ---- none left out, none put in ----------------------------------------------------------------
 */

/* A mean over fewer scores is another mean: of a task no step is there twice, and of retrieval each
 * step once. */
static tic_status verify_steps_of_tasks(const tic_verifying *v, const char *name,
                                        const json_t *scores) {
    json_t *seen = json_object(), *score;
    char key[200];
    size_t i;
    tic_status status = TIC_OK;
    json_array_foreach(scores, i, score) {
        const char *task = tic_json_string(score, "task");
        const int step = (int)json_integer_value(json_object_get(score, "step"));
        snprintf(key, sizeof key, "%d %.180s", step, task);
        if (json_object_get(seen, key) != NULL) {
            status = tic_broken(v, name, "%s of step %d is there twice", task, step);
            break;
        }
        json_object_set_new(seen, key, json_true());
    }
    for (int step = 0; status == TIC_OK && step < v->s.steps.count; step++) {
        snprintf(key, sizeof key, "%d retrieval", step);
        if (json_object_get(seen, key) == NULL)
            status = tic_broken(v, name, "the score of retrieval on step %s is missing",
                                v->s.steps.step[step].name);
    }
    json_decref(seen);
    return status;
}

/* The evaluation that the others are held against: the earliest of the list. */
static const tic_item *first_evaluated(const tic_verifying *v) {
    for (int i = 0; i < v->count; i++)
        if (tic_item_evaluated(&v->s, &v->items[i]) != NULL)
            return &v->items[i];
    return NULL;
}

static bool same_key(const json_t *a, const json_t *b, const char *key) {
    return json_equal(json_object_get(a, key), json_object_get(b, key));
}

/* Every evaluation of a run asks the same, in the same order. */
static tic_status verify_same_tasks(const tic_verifying *v, const char *name,
                                    const json_t *scores) {
    const tic_item *first = first_evaluated(v);
    const json_t *others = json_object_get(tic_item_evaluated(&v->s, first), "scores");
    const size_t count = json_array_size(scores), expected = json_array_size(others);
    for (size_t i = 0; i < count || i < expected; i++) {
        const json_t *a = json_array_get(scores, i), *b = json_array_get(others, i);
        if (a != NULL && b != NULL && same_key(a, b, "task") && same_key(a, b, "step") &&
            same_key(a, b, "metric") && same_key(a, b, "pairs"))
            continue;
        const json_t *one = b != NULL ? b : a;
        return tic_broken(v, name,
                          "its %zu scores are not of the same tasks, steps and pairs as the %zu of "
                          "%s/%s: they part at %s of step %d",
                          count, expected, first->method->name, tic_item_step(&v->s, first),
                          tic_json_string(one, "task"),
                          (int)json_integer_value(json_object_get(one, "step")));
    }
    return TIC_OK;
}

tic_status tic_verify_scores(const tic_verifying *v, const tic_item *item, const char *name) {
    const json_t *event = tic_item_evaluated(&v->s, item);
    const json_t *scores = json_object_get(event, "scores");
    size_t i, open = 0;
    json_t *score;
    if (event == NULL) {
        tic_claim(v, name, "not evaluated yet");
        return TIC_OK;
    }
    json_array_foreach(scores, i, score) {
        TIC_TRY(verify_score(v, name, score));
        open += uncounted(score);
    }
    TIC_TRY(verify_steps_of_tasks(v, name, scores));
    TIC_TRY(verify_same_tasks(v, name, scores));
    tic_claim(v, name,
              "%zu scores, of the same tasks as the run's others, each a whole number of hits",
              json_array_size(scores) - open);
    if (open > 0)
        tic_claim(v, name,
                  "%zu scores of static retrieval, shares between 0 and 1: over how many captions "
                  "the ledger does not say",
                  open);
    return TIC_OK;
}

/* ---- computed again -------------------------------------------------------------------------- */

static tic_status evaluate_again(tic_verifying *v, const tic_item *item, const char *name) {
    char folder[TIC_PATH];
    tic_scores scores = {.count = 0};
    size_t i;
    json_t *then, *list = json_object_get(tic_item_evaluated(&v->s, item), "scores");
    TIC_TRY(tic_item_folder(&v->s, item, folder, v->err));
    TIC_TRY(tic_model_load(v->s.model, folder, v->err));
    tic_status status =
        tic_evaluate(v->s.model, v->x.batch, v->s.tasks, v->options->hooks, &scores, v->err);
    json_t *now = tic_scores_json(&scores);
    tic_scores_free(&scores);
    if (status == TIC_OK && json_array_size(now) != json_array_size(list))
        status = tic_broken(v, name, "%zu scores computed again, the ledger has %zu",
                            json_array_size(now), json_array_size(list));
    if (status == TIC_OK)
        json_array_foreach(list, i, then) {
            if (json_equal(then, json_array_get(now, i)))
                continue;
            const json_t *value = json_object_get(json_array_get(now, i), "value");
            status = tic_broken(
                v, name, "%s of step %d is %.9g computed again, the ledger says %.9g",
                tic_json_string(then, "task"),
                (int)json_integer_value(json_object_get(then, "step")), json_number_value(value),
                json_number_value(json_object_get(then, "value")));
            break;
        }
    json_decref(now);
    if (status == TIC_OK)
        tic_claim(v, name, "evaluated again: the same %zu scores", json_array_size(list));
    return status;
}

tic_status tic_verify_deep(tic_verifying *v) {
    const tic_random key = {.seed = v->options->sample, .purpose = TIC_RNG_BENCH};
    char name[160];
    int left = v->options->deep;
    TIC_TRY(tic_session_model(&v->s, false, v->err));
    for (int k = 0; k < v->count && left > 0; k++) {
        const int i = (int)tic_permute(key, 0, (uint64_t)v->count, (uint64_t)k);
        const tic_item *item = &v->items[i];
        if (tic_item_evaluated(&v->s, item) == NULL)
            continue;
        snprintf(name, sizeof name, "%s/%s", item->method->name, tic_item_step(&v->s, item));
        TIC_TRY(evaluate_again(v, item, name));
        left--;
    }
    return TIC_OK;
}
