/* ticlip, the command: finds the verb, runs it, prints the one line of an error, and exits with the
 * status (docs/formats.md lists the exit codes). */
#include "cli/cli.h"
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Every verb, one row each; `ticlip --help` prints them in this order. */
static const tic_verb verbs[] = {
    {"world", "generate the embedded data set: dated pictures with captions, and its tasks",
     "DIR [flags]", 1, 1, tic_verb_world,
     "Writes tar shards, classes.json and eval/NAME folders into DIR, which must be new or empty. "
     "The same seed, size and number of pairs give the same bytes on every machine."},
    {"data index", "read dated shards once: pairs, times, rejects", "DIR [flags]", 1, 1,
     tic_verb_data_index,
     "DIR holds WebDataset tars whose json has a time (timestamp, created_utc or dateuploaded). "
     "The index is kept in the cache folder, or in --index FILE, and is made again when the shards "
     "change."},
    {"data inspect", "show steps, counts, times, captions and picture sizes of dated shards",
     "DIR [flags]", 1, 1, tic_verb_data_inspect, NULL},
    {"data shift", "how far each step's words and pictures are from the first step's",
     "DIR [flags]", 1, 1, tic_verb_data_shift,
     "Total variation distance over the words of captions and, with --checkpoint, the Frechet "
     "distance of picture embeddings (the paper's Fig. 18 and 19). The first row compares two "
     "samples of the first step: what chance makes."},
    {"data filters", "which steps a filter keeps: captions, shapes, CLIP score", "DIR [flags]", 1,
     1, tic_verb_data_filters,
     "The paper's basic filter, part by part, and with --checkpoint the CLIP score under that "
     "model "
     "(Fig. 13: a model favours the years it was trained on)."},
    {"data times", "a second time field against the first: steps, lag, correlation", "DIR [flags]",
     1, 1, tic_verb_data_times,
     "For data that know when a pair was made and when it was crawled (Fig. 20). To train on the "
     "steps of another time field, give ticlip run --time-field."},
    {"vocab train", "train a byte-pair vocabulary, in CLIP's file format, on captions",
     "DIR|FILE.txt --out FILE [flags]", 1, 1, tic_verb_vocab_train,
     "Captions are those of the shards in DIR, or the lines of FILE.txt."},
    {"vocab show", "show a vocabulary's merges, or the tokens of a text", "FILE [TEXT] [flags]", 1,
     2, tic_verb_vocab_show, NULL},
    {"tune", "measure which kernels are fastest here, for a model's shapes", "[flags]", 0, 0,
     tic_verb_tune,
     "Measures every problem of a training step, checking each candidate against the reference "
     "before its time counts, and keeps a plan in the cache folder that `ticlip run` and `ticlip "
     "train` begin with on this machine. The default kernel, or what an earlier tuning found, is "
     "left only where another is at least 2 % faster. `ticlip run` tunes by itself for a model it "
     "has no plan for."},
    {"run", "methods x steps: train, evaluate, keep the ledger", "[EXPERIMENT.json] [flags]", 0, 1,
     tic_verb_run,
     "Trains every method step after step within the same budget, evaluates after each step, and "
     "prints the tables. A run that was killed or interrupted goes on with the same command. Flags "
     "are also keys of EXPERIMENT.json, with _ for -, and override it."},
    {"train", "one step from one checkpoint", "--data DIR --out RUN [flags]", 0, 0, tic_verb_train,
     "Trains one step of a method, evaluates it, and writes a run folder of its own. --pairs or "
     "--macs is the budget of this one step. With --from a run's checkpoint, seed and whatever "
     "makes "
     "steps and held-out pairs are that run's; flags that would hold out other pairs are refused."},
    {"eval", "any checkpoint on the held-out pairs of every step and the static tasks",
     "CHECKPOINT --data DIR [flags]", 1, 1, tic_verb_eval,
     "In a run's folder the checkpoint's vocabulary, plan, precision, batch, seed, and whatever "
     "makes steps and held-out pairs are the run's; flags that would hold out other pairs are "
     "refused."},
    {"audit", "prove the MAC counts, kernel by kernel", "[flags]", 0, 0, tic_verb_audit,
     "Every distinct kernel and problem of a model's training step: at a few tiles' size each "
     "instruction is stepped and decoded, and at the problem's own size every call of a product "
     "micro-kernel is caught. What was executed must be what the counters say, to the MAC."},
    {"verify", "recheck budgets, ledger, data and checkpoints of a run", "RUN [flags]", 1, 1,
     tic_verb_verify,
     "Prints a line for each claim that holds, then `verified`; or stops at the first that does "
     "not, with exit code 4. --deep also computes some evaluations again."},
    {"report", "a run's tables and figures as one page, RUN/report.html", "RUN [flags]", 1, 1,
     tic_verb_report,
     "A page that needs nothing else: budget against spending, by method and purpose; every task's "
     "scores; the matrices of retrieval; settings and machine."},
    {"compare", "rank runs that had the same budget, data and evaluation sets", "RUN... [flags]", 0,
     TIC_CLI_POSITIONALS, tic_verb_compare,
     "Runs that differ in one of these are not ranked: it says in which. Runs that differ in "
     "nothing but --seed (and --methods) are one experiment: means over the seeds, with their "
     "standard errors."},
    {"plan", "what a pair costs a model: nominal and logical MACs", "[flags]", 0, 0, tic_verb_plan,
     "Nominal MACs are the paper's currency, logical ones what ticlip's shapes need. --layers "
     "makes "
     "one training step of made-up pairs and tells what its kernels counted at each layer. What a "
     "whole run will cost, `ticlip run --dry-run` tells."},
    {"embed", "write a checkpoint's embeddings of pictures and texts as .npy",
     "CHECKPOINT --data DIR|--evalset DIR --vocab FILE --out PREFIX [flags]", 1, 1, tic_verb_embed,
     "Writes PREFIX.images.npy and PREFIX.texts.npy (float32, L2-normalised, a row each) and "
     "PREFIX.ids.txt (what each row is)."},
};
enum { VERBS = sizeof verbs / sizeof verbs[0] };

static const char *verb_name(const void *list, int i) {
    return ((const tic_verb *)list)[i].name;
}

static void print_overview(const char *group) {
    printf("usage: ticlip VERB [arguments] [flags]\n\n");
    for (int i = 0; i < VERBS; i++)
        if (group == NULL || strncmp(verbs[i].name, group, strlen(group)) == 0)
            printf("  ticlip %-14s %s\n", verbs[i].name, verbs[i].about);
    printf("\n`ticlip VERB --help` tells the rest. Results go to stdout, progress to stderr;\n"
           "--json makes stdout one JSON document. Exit codes: 0 done, 1 internal error, 2 usage,\n"
           "3 bad input, 4 verification failed, 5 memory or disk, 6 interrupted (run it again to "
           "continue).\n");
}

static void print_version(void) {
    const tic_cpu *cpu = tic_cpu_get();
    printf("ticlip %s\ncompiler %s\ncpu %s, %s, %d cores\n", TIC_VERSION, __VERSION__, cpu->brand,
           tic_isa_name(cpu->isa), cpu->cores);
}

/* How many leading arguments name the verb: 0 when they do not. */
static int words_of(const tic_verb *verb, int argc, char **argv) {
    const char *space = strchr(verb->name, ' ');
    size_t first = space != NULL ? (size_t)(space - verb->name) : strlen(verb->name);
    if (argc < 1 || strlen(argv[0]) != first || strncmp(argv[0], verb->name, first) != 0)
        return 0;
    if (space == NULL)
        return 1;
    return argc >= 2 && strcmp(argv[1], space + 1) == 0 ? 2 : 0;
}

/* The first word when it begins a two-word verb ("data "), with its space; else "". */
static void group_of(char group[32], const char *word) {
    snprintf(group, 32, "%.30s ", word);
    for (int i = 0; i < VERBS; i++)
        if (strncmp(verbs[i].name, group, strlen(group)) == 0)
            return;
    group[0] = '\0';
}

static tic_status unknown_verb(int argc, char **argv, tic_error *err) {
    char given[80], group[32];
    group_of(group, argv[0]);
    bool two = group[0] != '\0' && argc > 1;
    snprintf(given, sizeof given, "%.38s%s%.38s", argv[0], two ? " " : "", two ? argv[1] : "");
    if (group[0] != '\0' && argc == 1)
        return tic_fail(err, TIC_EUSAGE, "%s: which? `ticlip %s --help` lists them", argv[0],
                        argv[0]);
    const char *nearest = tic_nearest(given, verb_name, verbs, VERBS);
    if (nearest != NULL)
        return tic_fail(err, TIC_EUSAGE, "unknown verb \"%s\"; did you mean \"%s\"?", given,
                        nearest);
    return tic_fail(err, TIC_EUSAGE, "unknown verb \"%s\"; `ticlip --help` lists them", given);
}

static bool is_help(const char *word) {
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0;
}

static tic_status dispatch(int argc, char **argv, tic_error *err) {
    char group[32];
    if (argc < 1)
        return tic_fail(err, TIC_EUSAGE, "a verb is missing; `ticlip --help` lists them");
    if (is_help(argv[0])) {
        print_overview(NULL);
        return TIC_OK;
    }
    if (strcmp(argv[0], "--version") == 0) {
        print_version();
        return TIC_OK;
    }
    for (int i = 0; i < VERBS; i++) {
        int words = words_of(&verbs[i], argc, argv);
        if (words > 0)
            return verbs[i].run(&verbs[i], argc - words, argv + words, err);
    }
    group_of(group, argv[0]);
    if (group[0] != '\0' && argc > 1 && is_help(argv[1])) {
        print_overview(group);
        return TIC_OK;
    }
    return unknown_verb(argc, argv, err);
}

/* OpenMP's threads spin at barriers for milliseconds unless told otherwise; beside any other busy
 * process, the decoding threads included, that slows training up to a hundredfold. Its runtime
 * reads the environment before main: so it is set, unless the user did, and the program starts
 * anew. Spinning for some tens of microseconds first keeps the barriers of an idle machine cheap.
 */
static void share_the_cores(char **argv) {
    static const char policy[] = "OMP_WAIT_POLICY", spins[] = "GOMP_SPINCOUNT";
    if (getenv(policy) != NULL || getenv(spins) != NULL)
        return;
    char self[TIC_PATH]; /* not the link itself, which would become the process's name */
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0 || setenv(policy, "passive", 1) != 0 || setenv(spins, "1000", 1) != 0)
        return; /* right all the same, but slower on a shared machine */
    self[length] = '\0';
    execv(self, argv);
}

int main(int argc, char **argv) {
    share_the_cores(argv);
    tic_error err = {TIC_OK, ""};
    /* A reader that goes away is an error of the write, not the end of a training run. */
    signal(SIGPIPE, SIG_IGN);
    tic_status status = dispatch(argc - 1, argv + 1, &err);
    tic_progress_end();
    if (status == TIC_OK)
        status = tic_cli_flush(&err);
    if (status != TIC_OK)
        fprintf(stderr, "ticlip: %s\n", err.text);
    return (int)status;
}
