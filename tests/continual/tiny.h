/* A tiny experiment on the small world (TIC_TINY_WORLD, made by make_world.c): seconds for a run.
 */
#ifndef TIC_TESTS_CONTINUAL_TINY_H
#define TIC_TESTS_CONTINUAL_TINY_H

#include "continual/room.h"
#include "tests/continual/folder.h"
#include <string.h>
#include <unistd.h>

/* 16 px, two patches a side, one block of width 32 in each tower. */
static const char TINY_MODEL[] =
    "{\"embed_dim\": 32, \"vision_cfg\": {\"image_size\": 16, \"layers\": 1, \"width\": 32,"
    " \"head_width\": 16, \"patch_size\": 8}, \"text_cfg\": {\"context_length\": 24,"
    " \"vocab_size\": 600, \"width\": 32, \"heads\": 2, \"layers\": 1}}";

enum { TINY_STEPS = 3, TINY_ITERATIONS = 4, TINY_BATCH = 16 };

/* "full" or "plain" */
static inline void tiny_world(char out[TIC_PATH], const char *name) {
    const char *root = getenv("TIC_TINY_WORLD");
    cr_assert(root != NULL, "TIC_TINY_WORLD is not set: run through `meson test`");
    snprintf(out, TIC_PATH, "%.900s/%s", root, name);
}

static inline void set(tic_experiment *x, const char *name, const char *value) {
    tic_error err;
    cr_assert(tic_experiment_set(x, name, value, &err) == TIC_OK, "%s", err.text);
}

/* Settings of a run in folder/name; the model's json goes into folder. */
static inline void tiny_experiment(tic_experiment *x, const char *folder, const char *name) {
    char path[TIC_PATH];
    tic_error err;
    snprintf(path, sizeof path, "%.900s/model.json", folder);
    cr_assert(tic_file_write(path, TINY_MODEL, strlen(TINY_MODEL), &err) == TIC_OK);
    tic_experiment_defaults(x);
    set(x, "model", path);
    tiny_world(path, "plain");
    set(x, "data", path);
    set(x, "first-step", "2020"); /* 2020, 2021, 2022 */
    snprintf(path, sizeof path, "%.900s/%s", folder, name);
    set(x, "out", path);
    set(x, "vocab-size", "600");
    set(x, "batch", "16");
    set(x, "warmup", "2");
    set(x, "eval-pairs", "20");
    set(x, "precision", "f32");
    set(x, "threads", "1");
    x->pairs = TINY_STEPS * TINY_ITERATIONS * TINY_BATCH;
}

/* folder/name with links to the first `count` shards of the plain world, which has two. */
static inline void link_world(char out[TIC_PATH], const char *folder, const char *name, int count) {
    char world[TIC_PATH], shard[TIC_PATH + 64], link[TIC_PATH + 64];
    tic_error err;
    tiny_world(world, "plain");
    snprintf(out, TIC_PATH, "%.900s/%s", folder, name);
    cr_assert(tic_make_folder(out, &err) == TIC_OK, "%s", err.text);
    for (int i = 0; i < count; i++) {
        snprintf(shard, sizeof shard, "%s/%06d.tar", world, i);
        snprintf(link, sizeof link, "%s/%06d.tar", out, i);
        cr_assert(symlink(shard, link) == 0);
    }
}

/* Reads RUN/name whole; the caller's (tic_free). */
static inline char *read_run(const tic_experiment *x, const char *name, size_t *size) {
    char path[TIC_PATH + 128], *text;
    tic_error err;
    snprintf(path, sizeof path, "%s/%s", x->out, name);
    cr_assert(tic_file_read(path, 1 << 30, &text, size, &err) == TIC_OK, "%s", err.text);
    return text;
}

static inline bool same_file(const tic_experiment *a, const tic_experiment *b, const char *name) {
    size_t sa, sb;
    char *ta = read_run(a, name, &sa), *tb = read_run(b, name, &sb);
    bool same = sa == sb && memcmp(ta, tb, sa) == 0;
    tic_free(ta);
    tic_free(tb);
    return same;
}

static inline void run_to_its_end(const tic_experiment *x, const tic_hooks *hooks) {
    tic_error err;
    cr_assert(tic_run(x, hooks, &err) == TIC_OK, "%s", err.text);
}

/* Events of that name in the run's ledger. */
static inline int events_in(const tic_experiment *x, const char *name) {
    tic_ledger ledger;
    tic_error err;
    char path[TIC_PATH + 128];
    size_t i;
    json_t *event;
    int count = 0;
    snprintf(path, sizeof path, "%s/ledger.jsonl", x->out);
    cr_assert(tic_ledger_open(&ledger, path, &err) == TIC_OK, "%s", err.text);
    json_array_foreach(ledger.events, i, event) count +=
        strcmp(json_string_value(json_object_get(event, "event")), name) == 0;
    tic_ledger_close(&ledger);
    return count;
}

#endif
