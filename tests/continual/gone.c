/* Pairs that a method would replay and that no longer exist on disk: the run is refused, names the
 * shard or what changed, and trains on nothing else in their place. With the shard back it goes on
 * to the bits of a run that nobody disturbed. */
#include "tests/continual/tiny.h"
#include <unistd.h>

static char folder[TIC_PATH], shards[TIC_PATH], first[TIC_PATH + 32], second[TIC_PATH + 32],
    away[TIC_PATH + 32];
static tic_error err;
static tic_experiment x, y;
static const char LAST[] = "cumulative-equal/2022/open_clip_model.safetensors";

static void open_folder(void) {
    make_test_folder(folder);
    tiny_experiment(&x, folder, "x");
    tiny_experiment(&y, folder, "y");
    link_world(shards, folder, "shards", 2);
    snprintf(first, sizeof first, "%s/000000.tar", shards);
    snprintf(second, sizeof second, "%s/000001.tar", shards);
    snprintf(away, sizeof away, "%s/away", folder);
    set(&x, "data", shards);
    set(&x, "methods", "cumulative-equal");
    set(&y, "methods", "cumulative-equal");
}
static void close_folder(void) {
    remove_test_folder(folder);
}
TestSuite(gone, .init = open_folder, .fini = close_folder, .timeout = 120);

static bool in_second_step; /* two iterations into it: it replays the first step's pairs */
static bool take_away;      /* the second shard, then */

static void watch(void *user, const tic_event *event) {
    (void)user;
    if (event->kind != TIC_EVENT_ITERATION || strcmp(event->step, "2021") != 0 ||
        event->iteration != 2)
        return;
    in_second_step = true;
    if (take_away)
        rename(second, away);
}
static bool stop_in_second_step(void *user) {
    (void)user;
    return in_second_step;
}

static void refused(const char *says) {
    int ended = events_in(&x, "step_end");
    cr_assert_eq(tic_run(&x, NULL, &err), TIC_EINPUT, "it went on");
    cr_assert(strstr(err.text, says) != NULL, "\"%s\" does not say \"%s\"", err.text, says);
    cr_assert_eq(events_in(&x, "step_end"), ended, "a step ended on other pairs");
}

static void goes_on_as_if_nothing_had_been(void) {
    run_to_its_end(&x, NULL);
    run_to_its_end(&y, NULL);
    cr_assert(same_file(&x, &y, LAST));
}

Test(gone, between_two_processes) {
    const tic_hooks hooks = {.event = watch, .stop = stop_in_second_step};
    char index[TIC_PATH + 32];
    cr_assert_eq(tic_run(&x, &hooks, &err), TIC_EINTERRUPTED, "%s", err.text);
    cr_assert(rename(second, away) == 0);
    refused("changed");
    /* also with an index of what is left */
    snprintf(index, sizeof index, "%s/index.bin", x.out);
    cr_assert(unlink(index) == 0);
    refused("changed");
    cr_assert(rename(away, second) == 0);
    goes_on_as_if_nothing_had_been();
}

/* A shard that is shorter than when it was indexed. */
Test(gone, cut_off) {
    const tic_hooks hooks = {.event = watch, .stop = stop_in_second_step};
    size_t size;
    char *bytes;
    cr_assert_eq(tic_run(&x, &hooks, &err), TIC_EINTERRUPTED, "%s", err.text);
    cr_assert_eq(tic_file_read(second, 1 << 30, &bytes, &size, &err), TIC_OK, "%s", err.text);
    cr_assert(rename(second, away) == 0);
    cr_assert_eq(tic_file_write(second, bytes, size / 2, &err), TIC_OK, "%s", err.text);
    tic_free(bytes);
    refused("000001.tar");
    cr_assert(unlink(second) == 0 && rename(away, second) == 0);
    goes_on_as_if_nothing_had_been();
}

/* While it trains: the third step reads its pairs anew, and names the shard that it cannot open. */
Test(gone, while_it_trains) {
    const tic_hooks hooks = {.event = watch};
    take_away = true;
    cr_assert_eq(tic_run(&x, &hooks, &err), TIC_EINPUT, "it went on: %s", err.text);
    cr_assert(strstr(err.text, "000001.tar") != NULL, "%s", err.text);
    take_away = false;
    refused("changed");
    cr_assert(rename(away, second) == 0);
    goes_on_as_if_nothing_had_been();
}
