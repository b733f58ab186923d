/* Classes of the dynamic classification task from what a json field of the pairs says. */
#include "data/room.h"
#include <stdlib.h>
#include <string.h>

enum { CLASSES_MAX = 10000 };

/* What describes a class beside its name; an ensemble (reference/tic-clip.md, Evaluation). */
static const char *const templates[] = {"a photo of a {c}.", "a photo of the {c}.",
                                        "a good photo of a {c}.", "{c}"};
enum { TEMPLATES = sizeof templates / sizeof templates[0] };

typedef struct class_found {
    char *label;
    uint32_t pair; /* the first that has it */
} class_found;
typedef struct collecting {
    class_found *list;
    size_t count, capacity;
} collecting;

/* Where the label stands in the sorted list, or would be put. */
static size_t position(const collecting *c, const char *label, bool *found) {
    size_t low = 0, high = c->count;
    *found = false;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = strcmp(c->list[middle].label, label);
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

/* Takes `label` over when it is new, else frees it. */
static tic_status add_label(collecting *c, char *label, uint32_t pair, tic_error *err) {
    bool found;
    size_t at = position(c, label, &found);
    tic_status status = TIC_OK;
    if (!found)
        status = tic_reserve_one(&c->list, c->count, &c->capacity, sizeof *c->list, err);
    if (found || status != TIC_OK) {
        tic_free(label);
        return status;
    }
    memmove(c->list + at + 1, c->list + at, (c->count - at) * sizeof *c->list);
    c->list[at] = (class_found){label, pair};
    c->count++;
    return TIC_OK;
}

static tic_status collect(collecting *c, tic_index *index, const char *field, tic_error *err) {
    for (size_t i = 0; i < tic_index_size(index); i++) {
        char *label;
        TIC_TRY(tic_index_field(index, (uint32_t)i, field, &label, err));
        if (label == NULL || label[0] == '\0') {
            tic_free(label);
            continue;
        }
        TIC_TRY(add_label(c, label, (uint32_t)i, err));
        if (c->count > CLASSES_MAX)
            return tic_fail(err, TIC_EINPUT,
                            "json field \"%s\" has more than %d values: not a class", field,
                            CLASSES_MAX);
    }
    if (c->count < 2)
        return tic_fail(err, TIC_EINPUT,
                        "json field \"%s\" has %zu value%s; classes must be at least two", field,
                        c->count, c->count == 1 ? "" : "s");
    return TIC_OK;
}

static tic_status add_class(tic_classes *classes, tic_index *index, const class_found *found,
                            const char *tree, tic_error *err) {
    int i = classes->count++;
    TIC_TRY(tic_strdup(&classes->labels[i], found->label, err));
    TIC_TRY(tic_strdup(&classes->names[i], found->label, err));
    if (tree != NULL)
        TIC_TRY(tic_index_field(index, found->pair, tree, &classes->subtrees[i], err));
    return classes->subtrees[i] != NULL ? TIC_OK : tic_strdup(&classes->subtrees[i], "", err);
}

static tic_status fill(tic_classes *classes, tic_index *index, const collecting *c,
                       const char *field, const char *tree, tic_error *err) {
    TIC_TRY(tic_strdup(&classes->field, field, err));
    TIC_TRY(tic_alloc(&classes->templates, TEMPLATES, sizeof *classes->templates, err));
    for (int i = 0; i < TEMPLATES; i++, classes->template_count++)
        TIC_TRY(tic_strdup(&classes->templates[i], templates[i], err));
    TIC_TRY(tic_alloc(&classes->labels, c->count, sizeof *classes->labels, err));
    TIC_TRY(tic_alloc(&classes->names, c->count, sizeof *classes->names, err));
    TIC_TRY(tic_alloc(&classes->subtrees, c->count, sizeof *classes->subtrees, err));
    for (size_t i = 0; i < c->count; i++)
        TIC_TRY(add_class(classes, index, &c->list[i], tree, err));
    return TIC_OK;
}

tic_status tic_classes_collect(tic_classes **out, tic_index *index, const char *field,
                               const char *tree, tic_error *err) {
    collecting c = {0};
    tic_classes *classes = NULL;
    *out = NULL;
    tic_status status = collect(&c, index, field, err);
    if (status == TIC_OK)
        status = tic_alloc(&classes, 1, sizeof *classes, err);
    if (status == TIC_OK)
        status = fill(classes, index, &c, field, tree, err);
    for (size_t i = 0; i < c.count; i++)
        tic_free(c.list[i].label);
    tic_free(c.list);
    if (status == TIC_OK)
        *out = classes;
    else
        tic_classes_free(classes);
    return status;
}
