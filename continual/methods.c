/* The methods as a table that reads like the paper's Table 1 (reference/tic-clip.md). A method is a
 * row: where a step starts, what it trains on, what it may spend. */
#include "room.h"
#include <string.h>

static const tic_method methods[] = {
    {.name = "sequential",
     .label = "Sequential",
     .about = "goes on from the last model with the new pairs alone",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_NEW},
    {.name = "cumulative-all",
     .label = "Cumulative-All",
     .about = "goes on from the last model with all pairs so far",
     .start = TIC_START_LAST,
     .pool = TIC_POOL_ALL},
    {.name = "oracle",
     .label = "Oracle",
     .about = "trains anew on all pairs so far, with a budget that grows by a share a step",
     .start = TIC_START_RANDOM,
     .pool = TIC_POOL_ALL,
     .grows = true},
};

int tic_method_count(void) {
    return (int)(sizeof methods / sizeof methods[0]);
}

const tic_method *tic_method_get(int i) {
    return &methods[i];
}

static const char *method_name(const void *list, int i) {
    return ((const tic_method *)list)[i].name;
}

tic_status tic_method_find(const tic_method **out, const char *name, tic_error *err) {
    *out = NULL;
    for (int i = 0; i < tic_method_count(); i++)
        if (strcmp(methods[i].name, name) == 0) {
            *out = &methods[i];
            return TIC_OK;
        }
    const char *nearest = tic_nearest(name, method_name, methods, tic_method_count());
    if (nearest != NULL)
        return tic_fail(err, TIC_EUSAGE, "unknown method \"%s\"; did you mean \"%s\"?", name,
                        nearest);
    return tic_fail(err, TIC_EUSAGE, "unknown method \"%s\"; the first is \"%s\", or take \"all\"",
                    name, methods[0].name);
}

static tic_status add_method(const char *name, const tic_method **out, int limit, int *count,
                             tic_error *err) {
    const tic_method *method;
    TIC_TRY(tic_method_find(&method, name, err));
    for (int i = 0; i < *count; i++)
        if (out[i] == method)
            return tic_fail(err, TIC_EUSAGE, "method \"%s\" is named twice", name);
    if (*count == limit)
        return tic_fail(err, TIC_EUSAGE, "more than %d methods", limit);
    out[(*count)++] = method;
    return TIC_OK;
}

tic_status tic_method_list(const char *names, const tic_method **out, int limit, int *count,
                           tic_error *err) {
    *count = 0;
    if (strcmp(names, "all") == 0) {
        for (int i = 0; i < tic_method_count(); i++)
            TIC_TRY(add_method(methods[i].name, out, limit, count, err));
        return TIC_OK;
    }
    for (const char *at = names;; at++) {
        char name[64];
        size_t length = strcspn(at, ",");
        if (length >= sizeof name)
            return tic_fail(err, TIC_EUSAGE, "unknown method \"%.60s...\"", at);
        memcpy(name, at, length);
        name[length] = '\0';
        TIC_TRY(add_method(name, out, limit, count, err));
        at += length;
        if (*at == '\0')
            return TIC_OK;
    }
}
