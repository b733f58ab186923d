/* Evaluations: their arithmetic, and, on demand, some of them computed again. */
#include "verify.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static const char *text_of(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

/* Counted hits over `chances` queries: a whole number of them. */
static bool whole(double value, double chances) {
    const double hits = value * chances;
    return value >= 0 && value <= 1 && fabs(hits - round(hits)) <= 1e-6;
}

static tic_status verify_score(const tic_verifying *v, const char *name, const json_t *score) {
    const char *task = text_of(score, "task");
    const json_int_t step = json_integer_value(json_object_get(score, "step"));
    const json_int_t pairs = json_integer_value(json_object_get(score, "pairs"));
    const json_t *value = json_object_get(score, "value");
    const bool retrieval = strcmp(task, "retrieval") == 0;
    if (!json_is_number(value) || pairs < 1 || step < -1 || step >= v->s.steps.count)
        return tic_broken(v, name, "a score of %s is none", task);
    if (retrieval && pairs != (json_int_t)v->s.steps.step[step].evals)
        return tic_broken(v, name, "%s of step %d over %lld pairs, %zu are held out", task,
                          (int)step, (long long)pairs, v->s.steps.step[step].evals);
    const char *metric = strncmp(task, "retrieval", 9) == 0 ? "mean_recall@1" : "acc1";
    if (step >= 0 && strcmp(text_of(score, "metric"), metric) != 0)
        return tic_broken(v, name, "%s is told as %s, it is %s", task, text_of(score, "metric"),
                          metric);
    const bool mean_of_two = strcmp(text_of(score, "metric"), "mean_recall@1") == 0;
    if (step >= 0 && !whole(json_number_value(value), (double)pairs * (mean_of_two ? 2 : 1)))
        return tic_broken(v, name, "%s of step %d is %.9g, which %lld queries cannot give", task,
                          (int)step, json_number_value(value), (long long)pairs);
    return TIC_OK;
}

tic_status tic_verify_scores(const tic_verifying *v, const tic_item *item, const char *name) {
    const json_t *event = tic_item_evaluated(&v->s, item);
    const json_t *scores = json_object_get(event, "scores");
    size_t i;
    json_t *score;
    if (event == NULL) {
        tic_claim(v, name, "not evaluated yet");
        return TIC_OK;
    }
    json_array_foreach(scores, i, score) TIC_TRY(verify_score(v, name, score));
    tic_claim(v, name, "%zu scores, each a whole number of hits over the held-out pairs",
              json_array_size(scores));
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
                text_of(then, "task"), (int)json_integer_value(json_object_get(then, "step")),
                json_number_value(value), json_number_value(json_object_get(then, "value")));
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
