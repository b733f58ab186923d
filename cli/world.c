/* `ticlip world`: the generated data set. */
#include "cli/cli.h"

static tic_status report(const tic_world_options *options, double seconds, bool json,
                         tic_error *err) {
    char text[32];
    if (json)
        return tic_cli_json(json_pack("{s:s, s:I, s:I, s:i, s:f}", "folder", options->folder,
                                      "pairs", (json_int_t)options->pairs, "seed",
                                      (json_int_t)options->seed, "size", options->size, "seconds",
                                      seconds),
                            err);
    printf("%s: %llu pairs of seed %llu in %s\n", options->folder,
           (unsigned long long)options->pairs, (unsigned long long)options->seed,
           tic_duration(text, seconds));
    return TIC_OK;
}

tic_status tic_verb_world(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    int64_t pairs = 40000, seed = 0, size = 0, threads = 0;
    const tic_flag flags[] = {
        {.name = "pairs",
         .value = "N",
         .help = "pairs in all (default 40,000)",
         .type = TIC_FLAG_SIZE,
         .out = &pairs,
         .min = 1,
         .max = 1e12},
        {.name = "seed",
         .value = "S",
         .help = "which of the worlds (default 0)",
         .type = TIC_FLAG_INT,
         .out = &seed,
         .max = 9007199254740991.0},
        {.name = "size",
         .value = "PIXELS",
         .help = "shorter side of a picture (default: the world's own)",
         .type = TIC_FLAG_INT,
         .out = &size,
         .min = 16,
         .max = 1024},
        {.name = "threads",
         .value = "N",
         .help = "threads (default: one per core); the bytes do not depend on it",
         .type = TIC_FLAG_INT,
         .out = &threads,
         .max = 1024},
    };
    tic_args args;
    TIC_TRY(tic_cli_parse(verb, flags, sizeof flags / sizeof flags[0], argc, argv, &args, err));
    if (args.help)
        return TIC_OK;
    const tic_world_options options = {
        .folder = args.at[0],
        .pairs = (uint64_t)pairs,
        .seed = (uint64_t)seed,
        .size = (int)size,
        .threads = (int)threads,
        .progress = tic_progress_work,
    };
    double began = tic_now();
    TIC_TRY(tic_world_generate(&options, err));
    tic_progress_end();
    return report(&options, tic_now() - began, args.json, err);
}
