/* SIGKILL at random moments, while saving too: the same call continues, and the final weights are
 * those of a run that nobody disturbed, bit for bit. */
#include "tests/continual/tiny.h"
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char folder[TIC_PATH];
static tic_experiment x, y;

/* Runs in a process of its own (OpenMP does not survive a fork of its user); kills it after
 * `milliseconds` unless negative. True when it came to its end. */
static bool run_for(const tic_experiment *experiment, long milliseconds) {
    pid_t child = fork();
    cr_assert(child >= 0);
    if (child == 0) {
        tic_error err;
        tic_status status = tic_run(experiment, NULL, &err);
        if (status != TIC_OK)
            fprintf(stderr, "%s\n", err.text);
        _exit((int)status);
    }
    int status;
    if (milliseconds >= 0) {
        struct timespec pause = {milliseconds / 1000, milliseconds % 1000 * 1000000};
        nanosleep(&pause, NULL);
        kill(child, SIGKILL);
    }
    cr_assert(waitpid(child, &status, 0) == child);
    cr_assert(WIFSIGNALED(status) || (WIFEXITED(status) && WEXITSTATUS(status) == 0),
              "the run failed by itself");
    return WIFEXITED(status);
}

Test(kill, at_random_points, .timeout = 300) {
    make_test_folder(folder);
    tiny_experiment(&x, folder, "x");
    tiny_experiment(&y, folder, "y");
    x.pairs = y.pairs = TINY_STEPS * 40 * TINY_BATCH;
    set(&x, "save-every", "0");
    tic_random key = {.seed = (uint64_t)time(NULL), .purpose = TIC_RNG_BENCH};
    int kills = 0;
    double begun = tic_now();
    cr_assert(run_for(&y, -1));
    long whole = (long)(1000 * (tic_now() - begun));
    cr_assert(whole > 0);
    /* Up to a third of a whole run each, so that several are needed; longer ones by and by, so that
     * it ends. */
    while (!run_for(&x, (long)tic_random_below(key, (uint64_t)kills, (uint64_t)whole / 3 + 50) +
                            whole * kills / 100))
        kills++;
    cr_assert(kills >= 3, "seed %llu: killed %d times only", (unsigned long long)key.seed, kills);
    cr_assert(same_file(&x, &y, "sequential/2022/open_clip_model.safetensors"));
    cr_assert(same_file(&x, &y, "cumulative-all/2022/open_clip_model.safetensors"));
    cr_assert(same_file(&x, &y, "oracle/2022/open_clip_model.safetensors"));
    remove_test_folder(folder);
}
