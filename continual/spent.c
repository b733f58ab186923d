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
    sum->hardware += more->hardware;
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        sum->by[p].logical += more->by[p].logical;
        sum->by[p].issued += more->by[p].issued;
    }
    for (int site = 0; site < TIC_AT_COUNT; site++) {
        sum->layer[site].logical += more->layer[site].logical;
        sum->layer[site].issued += more->layer[site].issued;
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

static bool is_training(int purpose) {
    return purpose == TIC_FOR_FORWARD || purpose == TIC_FOR_BACKWARD ||
           purpose == TIC_FOR_RECOMPUTE;
}

void tic_spent_count(tic_spent *spent, const tic_ctx *ctx, const tic_counters *before) {
    tic_counters now;
    tic_ctx_counters(ctx, &now);
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        tic_macs a = tic_counters_purpose(before, p), b = tic_counters_purpose(&now, p);
        spent->by[p].logical += b.logical - a.logical;
        spent->by[p].issued += b.issued - a.issued;
    }
    for (int site = 0; site < TIC_AT_COUNT; site++)
        for (int p = 0; p < TIC_PURPOSE_COUNT; p++)
            if (is_training(p)) {
                const tic_macs a = before->at[site][p], b = now.at[site][p];
                spent->layer[site].logical += b.logical - a.logical;
                spent->layer[site].issued += b.issued - a.issued;
            }
    spent->hardware += now.hardware - before->hardware;
}

/* {NAME:{"logical":n,"issued":n}} of those that have any; takes no reference. */
static json_t *add_macs(json_t *object, const char *name, tic_macs macs) {
    if (macs.logical == 0 && macs.issued == 0)
        return object;
    json_t *pair = json_pack("{s:I, s:I}", "logical", (json_int_t)macs.logical, "issued",
                             (json_int_t)macs.issued);
    if (json_object_set_new(object, name, pair) == 0)
        return object;
    json_decref(object);
    return NULL;
}

json_t *tic_spent_purposes(const tic_spent *spent) {
    json_t *object = json_object();
    for (int p = 0; p < TIC_PURPOSE_COUNT && object != NULL; p++)
        object = add_macs(object, tic_purpose_name(p), spent->by[p]);
    return object;
}

json_t *tic_spent_layers(const tic_spent *spent) {
    json_t *object = json_object();
    for (int site = 0; site < TIC_AT_COUNT && object != NULL; site++) {
        char name[TIC_SITE_TEXT];
        object = add_macs(object, tic_site_name(site, name), spent->layer[site]);
    }
    return object;
}

json_t *tic_spent_json(const tic_spent *spent) {
    json_t *json = json_pack(
        "{s:I, s:I, s:I, s:I, s:f, s:o}", "iterations", (json_int_t)spent->iterations, "pairs",
        (json_int_t)spent->pairs, "nominal", (json_int_t)spent->nominal, "extra",
        (json_int_t)spent->extra, "seconds", spent->seconds, "macs", tic_spent_purposes(spent));
    json_t *layers = tic_spent_layers(spent);
    bool whole = json != NULL && layers != NULL;
    if (whole && json_object_size(layers) > 0)
        whole = json_object_set(json, "layers", layers) == 0;
    json_decref(layers);
    if (whole && spent->order[0] != '\0')
        whole = json_object_set_new(json, "order", json_string(spent->order)) == 0;
    if (whole && spent->hardware > 0)
        whole =
            json_object_set_new(json, "hardware", json_integer((json_int_t)spent->hardware)) == 0;
    if (!whole) {
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

static bool read_layer(const char *name, const json_t *value, tic_spent *out) {
    const int site = tic_site_find(name);
    return site < TIC_AT_COUNT && read_count(value, "logical", &out->layer[site].logical) &&
           read_count(value, "issued", &out->layer[site].issued);
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
    if (json_object_get(json, "hardware") != NULL && !read_count(json, "hardware", &out->hardware))
        return false;
    if (order != NULL)
        snprintf(out->order, sizeof out->order, "%s", order);
    json_t *layers = json_object_get(json, "layers");
    json_object_foreach(macs, name, value) if (!read_purpose(name, value, out)) return false;
    json_object_foreach(layers, name, value) if (!read_layer(name, value, out)) return false;
    return true;
}
