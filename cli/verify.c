/* ticlip verify: rechecks a run. */
#include "cli/run_output.h"

typedef struct told { /* claims so far */
    bool json;
    json_t *claims;
} told;

static void claim(void *user, const char *name, const char *text) {
    told *t = user;
    tic_progress_end();
    if (t->json)
        json_array_append_new(t->claims, json_pack("{s:s, s:s}", "claim", name, "holds", text));
    else
        printf("%-28s %s\n", name, text);
}

tic_status tic_verb_verify(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    const char *data = NULL;
    int64_t deep = 0, seed = 0, threads = 0;
    tic_args args;
    const tic_flag flags[] = {
        {.name = "data",
         .value = "DIR",
         .help = "where the data are now",
         .fallback = "where they were",
         .type = TIC_FLAG_TEXT,
         .out = &data},
        {.name = "deep",
         .value = "K",
         .help = "compute K evaluations again",
         .fallback = "0",
         .type = TIC_FLAG_INT,
         .out = &deep,
         .min = 0,
         .max = 1 << 20},
        {.name = "seed",
         .value = "S",
         .help = "decides which",
         .fallback = "0",
         .type = TIC_FLAG_INT,
         .out = &seed,
         .min = 0,
         .max = 1e15},
        {.name = "threads",
         .value = "N",
         .help = "0: one a core",
         .fallback = "0",
         .type = TIC_FLAG_INT,
         .out = &threads,
         .min = 0,
         .max = 1024},
    };
    TIC_TRY(tic_cli_parse(verb, flags, sizeof flags / sizeof flags[0], argc, argv, &args, err));
    if (args.help)
        return TIC_OK;
    const tic_hooks hooks = tic_cli_hooks();
    told t = {.json = args.json, .claims = json_array()};
    const tic_verify_options options = {.run = args.at[0],
                                        .data = data,
                                        .threads = threads,
                                        .deep = (int)deep,
                                        .sample = (uint64_t)seed,
                                        .hooks = &hooks,
                                        .claim = claim,
                                        .user = &t};
    tic_status status = tic_verify(args.at[0], &options, err);
    tic_progress_end();
    if (!args.json) {
        json_decref(t.claims);
        if (status == TIC_OK)
            printf("verified\n");
        return status;
    }
    json_t *broken = status == TIC_OK ? json_null() : json_string(err->text);
    tic_status written =
        tic_cli_json(json_pack("{s:i, s:b, s:o, s:o}", "schema", 1, "verified",
                               (int)(status == TIC_OK), "claims", t.claims, "broken", broken),
                     err);
    return status != TIC_OK ? status : written;
}
