/* Experiments as json, their comparison, and what only several settings together can get wrong. */
#include "room.h"
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* "first-step" as a json key. */
static void key_of(const tic_setting *setting, char out[64]) {
    snprintf(out, 64, "%s", setting->name);
    for (char *at = out; *at != '\0'; at++)
        if (*at == '-')
            *at = '_';
}

/* ---- writing ------------------------------------------------------------------------------- */

static json_t *choice_json(const char *choices, int place) {
    for (; place > 0; place--)
        choices += strcspn(choices, "|") + 1;
    return json_stringn(choices, strcspn(choices, "|"));
}

static json_t *value_json(const tic_experiment *experiment, const tic_setting *setting) {
    const char *at = (const char *)experiment + setting->offset;
    switch (setting->type) {
    case TIC_SET_TEXT:
        return json_string(at);
    case TIC_SET_INT:
    case TIC_SET_SIZE:
        return json_integer(*(const int64_t *)at);
    case TIC_SET_REAL:
        return json_real(*(const double *)at);
    case TIC_SET_BOOL:
        return json_boolean(*(const bool *)at);
    case TIC_SET_CHOICE:
        return choice_json(setting->choices, *(const int *)at);
    }
    return NULL;
}

tic_status tic_experiment_json(const tic_experiment *experiment, char **text, tic_error *err) {
    *text = NULL;
    json_t *object = json_object();
    bool whole = object != NULL;
    for (int i = 0; i < tic_setting_count() && whole; i++) {
        char key[64];
        key_of(tic_setting_get(i), key);
        /* A text that is not UTF-8 gives NULL here. */
        whole = json_object_set_new(object, key, value_json(experiment, tic_setting_get(i))) == 0;
        if (!whole)
            tic_fail(err, TIC_EUSAGE, "%s is not UTF-8", key);
    }
    tic_status status = whole ? tic_json_text(object, JSON_INDENT(2), text, err) : TIC_EUSAGE;
    json_decref(object);
    return status;
}

/* ---- reading ------------------------------------------------------------------------------- */

/* The line, from 1, on which `"key"` stands first. */
static int line_of(const char *text, const char *key) {
    char quoted[128];
    snprintf(quoted, sizeof quoted, "\"%s\"", key);
    const char *found = strstr(text, quoted);
    int line = 1;
    for (const char *at = text; found != NULL && at < found; at++)
        line += *at == '\n';
    return line;
}

/* The json value as tic_experiment_set takes it; NULL when its type does not fit the setting. */
static const char *value_text(const json_t *value, char *buffer, size_t size) {
    if (json_is_string(value))
        return json_string_value(value);
    if (json_is_integer(value))
        snprintf(buffer, size, "%lld", (long long)json_integer_value(value));
    else if (json_is_real(value))
        snprintf(buffer, size, "%.17g", json_real_value(value));
    else if (json_is_boolean(value))
        snprintf(buffer, size, "%s", json_is_true(value) ? "true" : "false");
    else
        return NULL;
    return buffer;
}

static bool type_fits(const tic_setting *setting, const json_t *value) {
    switch (setting->type) {
    case TIC_SET_TEXT:
    case TIC_SET_CHOICE:
        return json_is_string(value);
    case TIC_SET_INT:
        return json_is_integer(value);
    case TIC_SET_SIZE:
        return json_is_number(value) || json_is_string(value);
    case TIC_SET_REAL:
        return json_is_number(value);
    case TIC_SET_BOOL:
        return json_is_boolean(value);
    }
    return false;
}

static const tic_setting *setting_of_key(const char *key) {
    char name[64];
    for (int i = 0; i < tic_setting_count(); i++) {
        key_of(tic_setting_get(i), name);
        if (strcmp(name, key) == 0)
            return tic_setting_get(i);
    }
    return NULL;
}

static const char *type_name(tic_setting_type type) {
    static const char *const names[] = {
        "a text",   "an integer",    "an integer or a size as \"2G\"",
        "a number", "true or false", "a text"};
    return names[type];
}

static tic_status set_from_json(tic_experiment *experiment, const char *key, const json_t *value,
                                tic_error *err) {
    char buffer[64];
    const tic_setting *setting = setting_of_key(key);
    if (setting != NULL && !type_fits(setting, value))
        return tic_fail(err, TIC_EUSAGE, "%s: must be %s", key, type_name(setting->type));
    /* An unknown key's value does not matter: set answers with the nearest name. */
    const char *text = value_text(value, buffer, sizeof buffer);
    return tic_experiment_set(experiment, key, text != NULL ? text : "", err);
}

static tic_status read_object(tic_experiment *experiment, const char *path, const char *text,
                              json_t *object, tic_error *err) {
    const char *key;
    json_t *value;
    tic_error cause;
    if (!json_is_object(object))
        return tic_fail(err, TIC_EINPUT, "%s:1: an experiment is a json object", path);
    json_object_foreach(object, key, value) {
        if (set_from_json(experiment, key, value, &cause) != TIC_OK)
            return tic_fail(err, TIC_EINPUT, "%s:%d: %s", path, line_of(text, key), cause.text);
    }
    if (json_number_value(json_object_get(object, "macs")) > 0 &&
        json_number_value(json_object_get(object, "pairs")) > 0)
        return tic_fail(err, TIC_EINPUT,
                        "%s:%d: macs and pairs are both given; the budget is one of them", path,
                        line_of(text, "pairs"));
    return TIC_OK;
}

tic_status tic_experiment_read(tic_experiment *experiment, const char *path, tic_error *err) {
    char *text;
    size_t size;
    json_error_t where;
    tic_experiment read = *experiment;
    TIC_TRY(tic_file_read(path, 1 << 20, &text, &size, err));
    json_t *object = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    tic_status status;
    if (object == NULL)
        status =
            tic_fail(err, TIC_EINPUT, "%s:%d:%d: %s", path, where.line, where.column, where.text);
    else
        status = read_object(&read, path, text, object, err);
    if (status == TIC_OK)
        *experiment = read;
    json_decref(object);
    tic_free(text);
    return status;
}

/* ---- comparing and checking ---------------------------------------------------------------- */

static bool may_change(const char *name) {
    static const char *const free_names[] = {"data", "out", "index", "threads", "save-every"};
    for (size_t i = 0; i < sizeof free_names / sizeof free_names[0]; i++)
        if (strcmp(name, free_names[i]) == 0)
            return true;
    return false;
}

bool tic_setting_same(const tic_setting *setting, const tic_experiment *a,
                      const tic_experiment *b) {
    const char *in_a = (const char *)a + setting->offset;
    const char *in_b = (const char *)b + setting->offset;
    return setting->type == TIC_SET_TEXT ? strcmp(in_a, in_b) == 0
                                         : memcmp(in_a, in_b, setting->size) == 0;
}

const char *tic_experiment_differs(const tic_experiment *a, const tic_experiment *b) {
    for (int i = 0; i < tic_setting_count(); i++) {
        const tic_setting *setting = tic_setting_get(i);
        if (!may_change(setting->name) && !tic_setting_same(setting, a, b))
            return setting->name;
    }
    return NULL;
}

bool tic_experiment_iid(const tic_experiment *experiment) {
    return experiment->steps[0] == '\0' && strncmp(experiment->granularity, "iid:", 4) == 0;
}

tic_status tic_experiment_check(const tic_experiment *experiment, tic_error *err) {
    const tic_method *methods[TIC_METHODS_MAX];
    char words[TIC_KEYWORDS][64];
    int count;
    TIC_TRY(tic_keywords_split(experiment->keywords, words, &count, err));
    if (experiment->data[0] == '\0')
        return tic_fail(err, TIC_EUSAGE, "data: no folder given (--data DIR)");
    if (experiment->out[0] == '\0')
        return tic_fail(err, TIC_EUSAGE, "out: no folder given (--out RUN)");
    if (experiment->macs <= 0 && experiment->pairs <= 0)
        return tic_fail(err, TIC_EUSAGE, "no budget: give --macs or --pairs");
    if (experiment->label_tree[0] != '\0' && experiment->label_field[0] == '\0')
        return tic_fail(err, TIC_EUSAGE,
                        "label-tree: the tree of which labels? give --label-field too");
    if (experiment->min_step > 0 && tic_experiment_iid(experiment))
        return tic_fail(err, TIC_EUSAGE,
                        "min-step: random steps are all as long; leave it out with granularity=%s",
                        experiment->granularity);
    return tic_method_list(experiment->methods, methods, TIC_METHODS_MAX, &count, err);
}

/* ---- steps --------------------------------------------------------------------------------- */

static const int64_t END_OF_2016 = 1483228800; /* 2017-01-01T00:00:00Z */

static bool on_both_sides(const tic_index *index, int64_t moment) {
    const tic_pair *pairs = tic_index_pairs(index);
    bool before = false, after = false;
    for (size_t i = 0; i < tic_index_size(index); i++) {
        before |= pairs[i].time < moment;
        after |= pairs[i].time >= moment;
    }
    return before && after;
}

/* The settings' value was checked when it was set. */
static tic_granularity granularity_of(const char *name, int *splits) {
    *splits = 0;
    if (strncmp(name, "iid:", 4) == 0) {
        long count = strtol(name + 4, NULL, 10); /* LONG_MAX when it is more */
        *splits = count < INT_MAX ? (int)count : INT_MAX;
        return TIC_IID;
    }
    return strcmp(name, "quarter") == 0 ? TIC_QUARTER
           : strcmp(name, "month") == 0 ? TIC_MONTH
                                        : TIC_YEAR;
}

tic_status tic_experiment_steps(const tic_experiment *experiment, const tic_index *index,
                                tic_steps *out, tic_error *err) {
    const char *first = experiment->first_step;
    bool list = experiment->steps[0] != '\0';
    int splits;
    tic_granularity granularity = granularity_of(experiment->granularity, &splits);
    if (strcmp(first, "auto") == 0)
        first = on_both_sides(index, END_OF_2016) ? "2016" : "none";
    tic_steps_options options = {
        .granularity = list ? TIC_LIST : granularity,
        .first_step = list || granularity == TIC_IID || strcmp(first, "none") == 0 ? NULL : first,
        .splits = splits,
        .list = list ? experiment->steps : NULL,
        .min_step = (size_t)experiment->min_step,
        .eval_pairs = (size_t)experiment->eval_pairs,
        .eval_seed = (uint64_t)experiment->seed,
    };
    return tic_steps_make(out, index, &options, err);
}
