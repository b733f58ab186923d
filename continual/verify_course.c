/* The ledger's lines beside what they count: each of a kind that runs write, about a step of this
 * run, and the lines of a step in the order of its course. */
#include "verify.h"
#include <string.h>

static bool is_about(const tic_verifying *v, const json_t *event, const tic_item *item) {
    return strcmp(tic_json_string(event, "method"), item->method->name) == 0 &&
           strcmp(tic_json_string(event, "step"), tic_item_step(&v->s, item)) == 0;
}

static const tic_item *item_of(const tic_verifying *v, const json_t *event) {
    for (int i = 0; i < v->count; i++)
        if (is_about(v, event, &v->items[i]))
            return &v->items[i];
    return NULL;
}

/* One of the tenths that patching tries. */
static bool is_coefficient(const json_t *value) {
    const double tenths = json_number_value(value) * (TIC_PATCH_COEFFICIENTS - 1);
    return json_is_number(value) && tenths >= 0 && tenths <= TIC_PATCH_COEFFICIENTS - 1 &&
           tenths == (int)tenths;
}

static tic_status verify_note(const tic_verifying *v, const json_t *event, bool at_iteration) {
    const char *kind = tic_json_string(event, "event");
    const tic_item *item = item_of(v, event);
    const json_t *iteration = json_object_get(event, "iteration");
    const json_int_t at = json_is_integer(iteration) ? json_integer_value(iteration) : -1;
    const json_int_t line = json_integer_value(json_object_get(event, "seq"));
    if (item == NULL)
        return tic_broken(v, "ledger", "line %lld, %s: the settings ask for no step %s of \"%s\"",
                          (long long)line + 1, kind, tic_json_string(event, "step"),
                          tic_json_string(event, "method"));
    if (at_iteration && (at < 0 || at > item->budget.iterations))
        return tic_broken(v, "ledger", "line %lld, %s: iteration %lld of %lld", (long long)line + 1,
                          kind, (long long)at, (long long)item->budget.iterations);
    if (strcmp(kind, "patched") == 0 && !is_coefficient(json_object_get(event, "coefficient")))
        return tic_broken(v, "ledger", "line %lld, %s: a coefficient that is not tried",
                          (long long)line + 1, kind);
    return TIC_OK;
}

/* Of one kind, about one step: how many, and which lines the first and the last are. */
typedef struct lines_of {
    size_t count, first, last;
} lines_of;

static lines_of find_lines(const tic_verifying *v, const char *kind, const tic_item *item) {
    lines_of found = {.count = 0};
    size_t i;
    json_t *event;
    json_array_foreach(v->s.ledger.events, i, event) {
        if (strcmp(tic_json_string(event, "event"), kind) != 0 || !is_about(v, event, item))
            continue;
        found.first = found.count++ == 0 ? i : found.first;
        found.last = i;
    }
    return found;
}

/* A step begins, once; is patched, by methods that patch and from a model to patch with; ends; is
 * evaluated. One that took over another's training has the last two only. */
static tic_status verify_order_of(const tic_verifying *v, const tic_item *item) {
    const lines_of begun = find_lines(v, "step_start", item);
    const lines_of patched = find_lines(v, "patched", item);
    const lines_of ended = find_lines(v, "step_end", item);
    const lines_of scored = find_lines(v, "evaluation", item);
    const bool patches = item->method->start == TIC_START_PATCHED && !tic_item_anew(item);
    const char *wrong = NULL;
    if (begun.count != (item->same_as < 0 && (ended.count > 0 || begun.count > 0)))
        wrong = "begins";
    else if (ended.count > 1 || (begun.count > 0 && ended.count > 0 && ended.first < begun.first))
        wrong = "ends";
    else if (patches ? ended.count > 0 && (patched.count < 1 || patched.last > ended.first ||
                                           patched.first < begun.first)
                     : patched.count > 0)
        wrong = "is patched";
    else if (scored.count > 1 ||
             (scored.count > 0 && (ended.count < 1 || scored.first < ended.first)))
        wrong = "is evaluated";
    return wrong == NULL ? TIC_OK
                         : tic_broken(v, "ledger", "%s/%s %s not once, or not in its place",
                                      item->method->name, tic_item_step(&v->s, item), wrong);
}

/* Every line is of a kind that runs write, about a step of this one. */
tic_status tic_verify_course(const tic_verifying *v) {
    static const struct {
        const char *kind;
        bool of_step, at_iteration;
    } kinds[] = {
        {"begin", false, false},   {"resume", false, false},    {"step_start", true, false},
        {"step_end", true, false}, {"evaluation", true, false}, {"patched", true, false},
        {"continued", true, true}, {"interrupted", true, true}, {"not_finite", true, true}};
    size_t i, k;
    json_t *event;
    json_array_foreach(v->s.ledger.events, i, event) {
        const char *kind = tic_json_string(event, "event");
        for (k = 0; k < sizeof kinds / sizeof kinds[0] && strcmp(kinds[k].kind, kind) != 0; k++)
            ;
        if (k == sizeof kinds / sizeof kinds[0] || (i > 0) == (k == 0))
            return tic_broken(v, "ledger", "line %zu: a run writes no \"%s\" there", i + 1, kind);
        if (kinds[k].of_step)
            TIC_TRY(verify_note(v, event, kinds[k].at_iteration));
    }
    for (int n = 0; n < v->count; n++)
        TIC_TRY(verify_order_of(v, &v->items[n]));
    return TIC_OK;
}
