/* A plan in memory: lines `<op>/<precision>/<shape> <variant> [<knob>=<integer>]...`, kept in the
 * order of their keys. Files of plans are autotune/'s. */
#include "kernels/room.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct line {
    char *text; /* normal form: single blanks, every knob of the variant in its order */
    char key[TIC_KEY_TEXT];
    tic_choice choice;
} line;

struct tic_plan {
    line *lines;
    size_t count, capacity;
};

tic_status tic_plan_new(tic_plan **out, tic_error *err) {
    return tic_alloc(out, 1, sizeof **out, err);
}

void tic_plan_free(tic_plan *plan) {
    if (plan == NULL)
        return;
    for (size_t i = 0; i < plan->count; i++)
        tic_free(plan->lines[i].text);
    tic_free(plan->lines);
    tic_free(plan);
}

int tic_plan_lines(const tic_plan *plan) {
    return (int)plan->count;
}

const char *tic_plan_line(const tic_plan *plan, int i) {
    return plan->lines[i].text;
}

/* ---- reading a line ------------------------------------------------------------------------- */

/* The next word of *rest, NUL-terminated in place; NULL at the end. */
static char *next_word(char **rest) {
    char *word = *rest + strspn(*rest, " \t");
    if (*word == '\0')
        return NULL;
    char *end = word + strcspn(word, " \t");
    *rest = *end == '\0' ? end : end + 1;
    *end = '\0';
    return word;
}

static tic_status parse_key(const char *key, tic_op *op, tic_dtype *precision, tic_error *err) {
    const char *slash = strchr(key, '/');
    const char *second = slash == NULL ? NULL : strchr(slash + 1, '/');
    if (second == NULL || second[1] == '\0' || strlen(key) >= TIC_KEY_TEXT)
        return tic_fail(err, TIC_EINPUT, "\"%s\" is not <op>/<precision>/<shape>", key);
    int which = 0;
    while (which < TIC_OP_COUNT && (strlen(tic_op_name((tic_op)which)) != (size_t)(slash - key) ||
                                    memcmp(tic_op_name((tic_op)which), key, (size_t)(slash - key))))
        which++;
    if (which == TIC_OP_COUNT)
        return tic_fail(err, TIC_EINPUT, "\"%s\": there is no operation \"%.*s\"", key,
                        (int)(slash - key), key);
    size_t length = (size_t)(second - slash - 1);
    bool f32 = length == 3 && memcmp(slash + 1, "f32", 3) == 0;
    bool bf16 = length == 4 && memcmp(slash + 1, "bf16", 4) == 0;
    if (!f32 && !bf16)
        return tic_fail(err, TIC_EINPUT, "\"%s\": the precision is neither f32 nor bf16", key);
    *op = (tic_op)which;
    *precision = f32 ? TIC_F32 : TIC_BF16;
    return TIC_OK;
}

static tic_status parse_knob(char *word, tic_choice *choice, tic_error *err) {
    char *equals = strchr(word, '='), *end;
    if (equals == NULL)
        return tic_fail(err, TIC_EINPUT, "\"%s\" is not <knob>=<integer>", word);
    *equals = '\0';
    for (int i = 0; i < tic_knob_count(choice->variant); i++) {
        const tic_knob *knob = &choice->variant->knobs[i];
        if (strcmp(knob->name, word) != 0)
            continue;
        errno = 0;
        long value = strtol(equals + 1, &end, 10);
        if (end == equals + 1 || *end != '\0' || errno != 0 || value < knob->min ||
            value > knob->max)
            return tic_fail(err, TIC_EINPUT, "knob %s: \"%s\" is not an integer in %d..%d", word,
                            equals + 1, knob->min, knob->max);
        choice->knobs[i] = (int)value;
        return TIC_OK;
    }
    return tic_fail(err, TIC_EINPUT, "variant \"%s\" has no knob \"%s\"",
                    choice->variant->info.name, word);
}

/* `words` is cut up. */
static tic_status parse_line(char *words, line *out, tic_error *err) {
    tic_op op = TIC_OP_GEMM;
    tic_dtype precision = TIC_F32;
    char *key = next_word(&words), *name = next_word(&words);
    if (key == NULL || name == NULL)
        return tic_fail(err, TIC_EINPUT, "a plan's line is <key> <variant> [<knob>=<integer>]...");
    TIC_TRY(parse_key(key, &op, &precision, err));
    const tic_variant *variant = tic_registry_find(op, name);
    if (variant == NULL)
        return tic_fail(err, TIC_EINPUT, "%s has no variant \"%s\"", tic_op_name(op), name);
    if (!(variant->info.precisions & 1u << precision))
        return tic_fail(err, TIC_EINPUT, "%s variant \"%s\" does not compute in %s",
                        tic_op_name(op), name, tic_dtype_name(precision));
    snprintf(out->key, sizeof out->key, "%s", key);
    out->choice.variant = variant;
    for (int i = 0; i < TIC_MAX_KNOBS; i++)
        out->choice.knobs[i] = variant->knobs[i].value;
    for (char *word; (word = next_word(&words)) != NULL;)
        TIC_TRY(parse_knob(word, &out->choice, err));
    return TIC_OK;
}

static tic_status write_text(line *of, tic_error *err) {
    char text[TIC_KEY_TEXT + 256];
    const tic_variant *variant = of->choice.variant;
    int used = snprintf(text, sizeof text, "%s %s", of->key, variant->info.name);
    for (int i = 0; i < tic_knob_count(variant) && (size_t)used < sizeof text; i++)
        used += snprintf(text + used, sizeof text - (size_t)used, " %s=%d", variant->knobs[i].name,
                         of->choice.knobs[i]);
    if ((size_t)used >= sizeof text)
        return tic_fail(err, TIC_EINTERNAL, "plan line for %s is too long", of->key);
    return tic_strdup(&of->text, text, err);
}

/* ---- the sorted lines ----------------------------------------------------------------------- */

/* Where `key` stands, or would be put. */
static size_t position(const tic_plan *plan, const char *key, bool *found) {
    size_t low = 0, high = plan->count;
    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(plan->lines[middle].key, key);
        if (order == 0) {
            *found = true;
            return middle;
        }
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static tic_status put_line(tic_plan *plan, const line *fresh, tic_error *err) {
    bool found;
    size_t at = position(plan, fresh->key, &found);
    if (found) {
        tic_free(plan->lines[at].text);
        plan->lines[at] = *fresh;
        return TIC_OK;
    }
    TIC_TRY(tic_reserve_one(&plan->lines, plan->count, &plan->capacity, sizeof(line), err));
    memmove(plan->lines + at + 1, plan->lines + at, (plan->count - at) * sizeof(line));
    plan->lines[at] = *fresh;
    plan->count++;
    return TIC_OK;
}

tic_status tic_plan_add(tic_plan *plan, const char *text, tic_error *err) {
    char *words;
    line fresh = {0};
    TIC_TRY(tic_strdup(&words, text, err));
    tic_status status = parse_line(words, &fresh, err);
    tic_free(words);
    TIC_TRY(status);
    TIC_TRY(write_text(&fresh, err));
    status = put_line(plan, &fresh, err);
    if (status != TIC_OK)
        tic_free(fresh.text);
    return status;
}

bool tic_plan_find(const tic_plan *plan, const char *key, tic_choice *choice) {
    bool found;
    size_t at = position(plan, key, &found);
    if (found)
        *choice = plan->lines[at].choice;
    return found;
}

tic_status tic_plan_runs(const tic_plan *plan, unsigned isa, tic_error *err) {
    for (size_t i = 0; i < plan->count; i++) {
        const tic_variant *variant = plan->lines[i].choice.variant;
        const char *reason = tic_variant_refuses(variant, isa);
        if (reason != NULL)
            return tic_fail(
                err, TIC_EUSAGE,
                "the plan's variant \"%s\" for %s cannot run here: %s; use another plan",
                variant->info.name, plan->lines[i].key, reason);
    }
    return TIC_OK;
}

tic_status tic_plan_complete(tic_plan *plan, unsigned isa_limit, tic_error *err) {
    unsigned isa = tic_isa_usable(isa_limit);
    for (int op = 0; op < TIC_OP_COUNT; op++) {
        for (int p = TIC_F32; p <= TIC_BF16; p++) {
            char text[TIC_KEY_TEXT];
            bool found;
            const tic_variant *row = tic_registry_default((tic_op)op, (tic_dtype)p, isa);
            snprintf(text, sizeof text, "%s/%s/any", tic_op_name((tic_op)op),
                     tic_dtype_name((tic_dtype)p));
            position(plan, text, &found);
            if (found || row == NULL)
                continue;
            size_t used = strlen(text);
            snprintf(text + used, sizeof text - used, " %s", row->info.name);
            TIC_TRY(tic_plan_add(plan, text, err));
        }
    }
    return TIC_OK;
}
