/* DATA/classes.json: the classes of the dynamic classification task. */
#include "data/room.h"
#include <string.h>

typedef struct reading {
    const char *path;
    tic_classes *classes;
    tic_error *err;
} reading;

/* A string that must be there, or when `fallback` is given may be absent. */
static tic_status copy_text(const reading *r, const json_t *object, const char *key,
                            const char *where, const char *fallback, char **out) {
    const json_t *value = json_object_get(object, key);
    if (!value && fallback)
        return tic_strdup(out, fallback, r->err);
    if (!json_is_string(value) || json_string_length(value) == 0)
        return tic_fail(r->err, TIC_EINPUT, "%s: %s%s must be a text", r->path, where, key);
    return tic_strdup(out, json_string_value(value), r->err);
}

static tic_status read_templates(const reading *r, const json_t *list) {
    tic_classes *c = r->classes;
    size_t count = json_array_size(list);
    if (count == 0)
        return tic_fail(r->err, TIC_EINPUT, "%s: templates must be a list of texts with {c}",
                        r->path);
    TIC_TRY(tic_alloc(&c->templates, count, sizeof *c->templates, r->err));
    for (size_t i = 0; i < count; i++) {
        const char *text = json_string_value(json_array_get(list, i));
        if (!text || !strstr(text, "{c}"))
            return tic_fail(r->err, TIC_EINPUT,
                            "%s: templates[%zu] must be a text with {c} where the class goes",
                            r->path, i);
        TIC_TRY(tic_strdup(&c->templates[i], text, r->err));
        c->template_count++;
    }
    return TIC_OK;
}

static tic_status read_class(const reading *r, const json_t *object, int i) {
    tic_classes *c = r->classes;
    char where[40];
    snprintf(where, sizeof where, "classes[%d].", i);
    c->count = i + 1;
    TIC_TRY(copy_text(r, object, "label", where, NULL, &c->labels[i]));
    TIC_TRY(copy_text(r, object, "name", where, c->labels[i], &c->names[i]));
    TIC_TRY(copy_text(r, object, "subtree", where, "", &c->subtrees[i]));
    for (int before = 0; before < i; before++)
        if (strcmp(c->labels[before], c->labels[i]) == 0)
            return tic_fail(r->err, TIC_EINPUT, "%s: classes[%d] and classes[%d] are both %s",
                            r->path, before, i, c->labels[i]);
    return TIC_OK;
}

static tic_status read_classes(const reading *r, const json_t *list) {
    tic_classes *c = r->classes;
    size_t count = json_array_size(list);
    if (count < 2)
        return tic_fail(r->err, TIC_EINPUT, "%s: classes must be a list of at least two", r->path);
    TIC_TRY(tic_alloc(&c->labels, count, sizeof *c->labels, r->err));
    TIC_TRY(tic_alloc(&c->names, count, sizeof *c->names, r->err));
    TIC_TRY(tic_alloc(&c->subtrees, count, sizeof *c->subtrees, r->err));
    for (size_t i = 0; i < count; i++)
        TIC_TRY(read_class(r, json_array_get(list, i), (int)i));
    return TIC_OK;
}

static tic_status read_document(const reading *r, const json_t *json) {
    TIC_TRY(copy_text(r, json, "field", "", NULL, &r->classes->field));
    TIC_TRY(read_templates(r, json_object_get(json, "templates")));
    return read_classes(r, json_object_get(json, "classes"));
}

static tic_status load(tic_classes *classes, const char *path, tic_error *err) {
    reading r = {.path = path, .classes = classes, .err = err};
    char *bytes, why[160];
    size_t size;
    TIC_TRY(tic_file_read(path, TIC_JSON_BYTES, &bytes, &size, err));
    json_t *json = tic_json_parse(bytes, size, why);
    tic_status status =
        json ? read_document(&r, json) : tic_fail(err, TIC_EINPUT, "%s: not json: %s", path, why);
    json_decref(json);
    tic_free(bytes);
    return status;
}

tic_status tic_classes_load(tic_classes **out, const char *folder, tic_error *err) {
    char path[4096];
    tic_classes *classes = NULL;
    *out = NULL;
    TIC_TRY(tic_path_join(path, sizeof path, folder, "classes.json", err));
    if (!tic_file_exists(path))
        return TIC_OK;
    TIC_TRY(tic_alloc(&classes, 1, sizeof *classes, err));
    tic_status status = load(classes, path, err);
    if (status != TIC_OK) {
        tic_classes_free(classes);
        return status;
    }
    *out = classes;
    return TIC_OK;
}

void tic_classes_free(tic_classes *classes) {
    if (!classes)
        return;
    size_t count = (size_t)classes->count;
    tic_free(classes->field);
    tic_strings_free(classes->labels, classes->labels ? count : 0);
    tic_strings_free(classes->names, classes->names ? count : 0);
    tic_strings_free(classes->subtrees, classes->subtrees ? count : 0);
    tic_strings_free(classes->templates, (size_t)classes->template_count);
    tic_free(classes);
}
