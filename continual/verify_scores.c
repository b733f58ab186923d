/* Evaluations: their arithmetic, and, on demand, some of them computed again. */
#include "verify.h"
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* What an evaluation of these data is of, and what it needs. */
tic_status tic_verify_asked(tic_verifying *v) {
    TIC_TRY(tic_session_tasks(&v->s, v->options->deep > 0, v->err));
    return tic_evaluation_asks(&v->s.config, v->s.tasks, &v->asked, &v->evaluation, v->err);
}

/* ---- scores ---------------------------------------------------------------------------------- */

static bool is_text(const json_t *object, const char *key, const char *value) {
    return strcmp(tic_json_string(object, key), value) == 0;
}

static bool is_count(const json_t *object, const char *key, int64_t value) {
    const json_t *number = json_object_get(object, key);
    return json_is_integer(number) && json_integer_value(number) == value;
}

static const char *step_of(const tic_verifying *v, const tic_score *score) {
    return score->step >= 0 ? v->s.steps.step[score->step].name : "all";
}

/* The score is the one that is asked, and counted hits could be it. */
static tic_status verify_score(const tic_verifying *v, const char *name, const json_t *score,
                               const tic_score *asked) {
    const json_t *number = json_object_get(score, "value");
    const double value = json_number_value(number), hits = value * asked->value;
    if (!is_text(score, "task", asked->task) || !is_count(score, "step", asked->step))
        return tic_broken(v, name,
                          "it tells %s of step %lld where %s of step %s is asked (or the "
                          "evaluation sets beside the data are others)",
                          tic_json_string(score, "task"),
                          (long long)json_integer_value(json_object_get(score, "step")),
                          asked->task, step_of(v, asked));
    if (!is_text(score, "metric", asked->metric))
        return tic_broken(v, name, "%s is told as %s, it is %s", asked->task,
                          tic_json_string(score, "metric"), asked->metric);
    if (!is_count(score, "pairs", asked->pairs))
        return tic_broken(v, name, "%s of step %s over %lld pairs, %lld are held out", asked->task,
                          step_of(v, asked),
                          (long long)json_integer_value(json_object_get(score, "pairs")),
                          (long long)asked->pairs);
    /* A whole number of hits, or of hits in two directions: up to 2^50, at 53 bits. */
    if (!json_is_number(number) || !(value >= 0 && value <= 1) ||
        !(fabs(hits - round(hits)) <= fmax(1e-6, 4 * DBL_EPSILON * hits)))
        return tic_broken(v, name, "%s of step %s is %.9g, which %lld queries cannot give",
                          asked->task, step_of(v, asked), value, (long long)asked->pairs);
    return TIC_OK;
}

/* None left out, none put in, in the order of the evaluation. */
static tic_status verify_list(const tic_verifying *v, const char *name, const json_t *scores) {
    const size_t told = json_array_size(scores), asked = v->asked.count;
    for (size_t i = 0; i < told && i < asked; i++)
        TIC_TRY(verify_score(v, name, json_array_get(scores, i), &v->asked.list[i]));
    if (told < asked)
        return tic_broken(v, name,
                          "%zu scores: %s of step %s is missing (or the evaluation sets beside the "
                          "data are others)",
                          told, v->asked.list[told].task, step_of(v, &v->asked.list[told]));
    if (told > asked)
        return tic_broken(v, name, "%zu scores, an evaluation of these data gives %zu", told,
                          asked);
    return TIC_OK;
}

/* What took over another's training took over its scores. */
static tic_status verify_taken_over(const tic_verifying *v, const char *name, const tic_item *item,
                                    const json_t *event) {
    static const char *const keys[] = {"scores", "spent"};
    if (item->same_as < 0)
        return TIC_OK;
    const tic_item *same = &v->items[item->same_as];
    const json_t *other = tic_item_evaluated(&v->s, same);
    for (int k = 0; k < 2; k++)
        if (!json_equal(json_object_get(event, keys[k]), json_object_get(other, keys[k])))
            return tic_broken(v, name,
                              "its evaluation is not %s's, whose training it took over: other %s",
                              same->method->name, keys[k]);
    return TIC_OK;
}

/* ---- what it cost ---------------------------------------------------------------------------- */

/* Evaluations of a run issue the same, by the same kernels: a run may have moved to a machine or a
 * ticlip that has others. */
static bool same_kernels(const tic_verifying *v) {
    const char *first = tic_json_string(json_object_get(v->begun, "machine"), "fingerprint");
    size_t i;
    json_t *event;
    json_array_foreach(v->s.ledger.events, i, event) {
        if (is_text(event, "event", "resume") &&
            !is_text(json_object_get(event, "machine"), "fingerprint", first))
            return false;
    }
    return true;
}

/* The evaluation that the others are held against: the earliest of the list. */
static const json_t *first_evaluation(const tic_verifying *v) {
    const json_t *event = NULL;
    for (int i = 0; i < v->count && event == NULL; i++)
        event = tic_item_evaluated(&v->s, &v->items[i]);
    return event;
}

static tic_status verify_cost(const tic_verifying *v, const char *name, const json_t *event) {
    tic_spent spent, first;
    const tic_macs none = {0};
    TIC_TRY(tic_verify_spent(v, name, json_object_get(event, "spent"), &spent));
    TIC_TRY(tic_verify_spent(v, name, json_object_get(first_evaluation(v), "spent"), &first));
    const tic_macs macs = spent.by[TIC_FOR_EVALUATION];
    if (json_object_size(json_object_get(json_object_get(event, "spent"), "layers")) > 0 ||
        spent.order[0] != '\0')
        return tic_broken(v, name, "its evaluation is told as training");
    if (spent.iterations != 0 || spent.nominal != 0 || spent.extra != 0 ||
        spent.pairs != tic_evaluation_pairs(v->s.tasks))
        return tic_broken(v, name, "its evaluation is told as %lld pairs, it is %lld",
                          (long long)spent.pairs, (long long)tic_evaluation_pairs(v->s.tasks));
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++)
        if (p != TIC_FOR_EVALUATION && memcmp(&spent.by[p], &none, sizeof none) != 0)
            return tic_broken(v, name, "its evaluation spent MACs for %s", tic_purpose_name(p));
    if (macs.logical != v->evaluation)
        return tic_broken(v, name, "%llu logical MACs for evaluation, the shapes need %llu",
                          (unsigned long long)macs.logical, (unsigned long long)v->evaluation);
    if (macs.issued < macs.logical)
        return tic_broken(v, name, "%llu MACs issued for evaluation, fewer than the %llu needed",
                          (unsigned long long)macs.issued, (unsigned long long)macs.logical);
    if (same_kernels(v) && macs.issued != first.by[TIC_FOR_EVALUATION].issued)
        return tic_broken(v, name, "%llu MACs issued for evaluation, %llu for the run's first",
                          (unsigned long long)macs.issued,
                          (unsigned long long)first.by[TIC_FOR_EVALUATION].issued);
    return TIC_OK;
}

tic_status tic_verify_scores(const tic_verifying *v, const tic_item *item, const char *name) {
    const json_t *event = tic_item_evaluated(&v->s, item);
    if (event == NULL) {
        tic_claim(v, name, "not evaluated yet");
        return TIC_OK;
    }
    TIC_TRY(verify_list(v, name, json_object_get(event, "scores")));
    TIC_TRY(verify_cost(v, name, event));
    TIC_TRY(verify_taken_over(v, name, item, event));
    tic_claim(v, name,
              "%zu scores, all that are asked, each a whole number of hits; %.4g logical "
              "MACs, as their shapes need",
              v->asked.count, (double)v->evaluation);
    return TIC_OK;
}

/* ---- computed again -------------------------------------------------------------------------- */

/* By the kernels that the run had. */
static tic_status verify_issued_again(const tic_verifying *v, const tic_item *item,
                                      const char *name, uint64_t issued) {
    char here[TIC_FINGERPRINT_TEXT];
    tic_spent told;
    tic_fingerprint(v->s.ctx, here);
    if (!same_kernels(v) || !is_text(json_object_get(v->begun, "machine"), "fingerprint", here) ||
        !tic_spent_read(json_object_get(tic_item_evaluated(&v->s, item), "spent"), &told) ||
        told.by[TIC_FOR_EVALUATION].issued == issued)
        return TIC_OK;
    return tic_broken(v, name, "%llu MACs issued for an evaluation, the ledger says %llu",
                      (unsigned long long)issued,
                      (unsigned long long)told.by[TIC_FOR_EVALUATION].issued);
}

static tic_status evaluate_again(tic_verifying *v, const tic_item *item, const char *name) {
    char folder[TIC_PATH];
    tic_scores scores = {.count = 0};
    tic_spent spent = {.pairs = 0};
    tic_counters before;
    size_t i;
    json_t *then, *list = json_object_get(tic_item_evaluated(&v->s, item), "scores");
    TIC_TRY(tic_item_folder(&v->s, item, folder, v->err));
    TIC_TRY(tic_model_load(v->s.model, folder, v->err));
    tic_ctx_counters(v->s.ctx, &before);
    tic_status status =
        tic_evaluate(v->s.model, v->x.batch, v->s.tasks, v->options->hooks, &scores, v->err);
    tic_spent_count(&spent, v->s.ctx, &before);
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
        status = verify_issued_again(v, item, name, spent.by[TIC_FOR_EVALUATION].issued);
    if (status == TIC_OK)
        tic_claim(v, name, "evaluated again: the same %zu scores", json_array_size(list));
    return status;
}

tic_status tic_verify_deep(tic_verifying *v) {
    const tic_random key = {.seed = v->options->sample, .purpose = TIC_RNG_BENCH};
    char name[160];
    int left = v->options->deep;
    TIC_TRY(tic_session_tower(&v->s, false, v->err));
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
