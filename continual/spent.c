/* What a step spent: iterations, pairs, time and MACs by purpose, and their json. */
#include "room.h"
#include <stdio.h>
#include <string.h>

void tic_spent_add(tic_spent *sum, const tic_spent *more) {
    sum->iterations += more->iterations;
    sum->pairs += more->pairs;
    sum->nominal += more->nominal;
    sum->extra += more->extra;
    sum->seconds += more->seconds;
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        sum->by[p].logical += more->by[p].logical;
        sum->by[p].issued += more->by[p].issued;
    }
}

void tic_order_begin(tic_sha256 *hash, const char *before) {
    tic_sha256_init(hash);
    tic_sha256_add(hash, before, strlen(before));
}

void tic_order_add(tic_sha256 *hash, const tic_id *id) {
    tic_sha256_add(hash, id, sizeof *id);
}

void tic_order_end(tic_sha256 *hash, char order[65]) {
    uint8_t digest[32];
    tic_sha256_end(hash, digest);
    tic_sha256_hex(digest, order);
}

void tic_spent_count(tic_spent *spent, const tic_ctx *ctx, const tic_counters *before) {
    tic_counters now;
    tic_ctx_counters(ctx, &now);
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        tic_macs a = tic_counters_purpose(before, p), b = tic_counters_purpose(&now, p);
        spent->by[p].logical += b.logical - a.logical;
        spent->by[p].issued += b.issued - a.issued;
    }
}

json_t *tic_spent_purposes(const tic_spent *spent) {
    json_t *object = json_object();
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        tic_macs macs = spent->by[p];
        if (macs.logical == 0 && macs.issued == 0)
            continue;
        json_t *pair = json_pack("{s:I, s:I}", "logical", (json_int_t)macs.logical, "issued",
                                 (json_int_t)macs.issued);
        if (json_object_set_new(object, tic_purpose_name(p), pair) != 0) {
            json_decref(object);
            return NULL;
        }
    }
    return object;
}

json_t *tic_spent_json(const tic_spent *spent) {
    json_t *json = json_pack(
        "{s:I, s:I, s:I, s:I, s:f, s:o}", "iterations", (json_int_t)spent->iterations, "pairs",
        (json_int_t)spent->pairs, "nominal", (json_int_t)spent->nominal, "extra",
        (json_int_t)spent->extra, "seconds", spent->seconds, "macs", tic_spent_purposes(spent));
    if (json != NULL && spent->order[0] != '\0' &&
        json_object_set_new(json, "order", json_string(spent->order)) != 0) {
        json_decref(json);
        return NULL;
    }
    return json;
}

static bool read_count(const json_t *object, const char *key, uint64_t *out) {
    const json_t *value = json_object_get(object, key);
    *out = (uint64_t)json_integer_value(value);
    return json_is_integer(value) && json_integer_value(value) >= 0;
}

static bool read_purpose(const char *name, const json_t *value, tic_spent *out) {
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++)
        if (strcmp(tic_purpose_name(p), name) == 0)
            return read_count(value, "logical", &out->by[p].logical) &&
                   read_count(value, "issued", &out->by[p].issued);
    return false;
}

bool tic_spent_read(const json_t *json, tic_spent *out) {
    uint64_t iterations, pairs;
    const char *name;
    json_t *value, *macs = json_object_get(json, "macs");
    const json_t *seconds = json_object_get(json, "seconds");
    *out = (tic_spent){.iterations = 0};
    if (!read_count(json, "iterations", &iterations) || !read_count(json, "pairs", &pairs) ||
        !read_count(json, "nominal", &out->nominal) || !read_count(json, "extra", &out->extra) ||
        !json_is_number(seconds) || !json_is_object(macs))
        return false;
    out->iterations = (int64_t)iterations;
    out->pairs = (int64_t)pairs;
    out->seconds = json_number_value(seconds);
    const char *order = json_string_value(json_object_get(json, "order"));
    if (order != NULL)
        snprintf(out->order, sizeof out->order, "%s", order);
    json_object_foreach(macs, name, value) if (!read_purpose(name, value, out)) return false;
    return true;
}
