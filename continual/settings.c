/* The one table of settings: flags, keys of the experiment file, help, ranges and defaults of an
 * experiment all come from it. */
#include "room.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define AT(field) offsetof(tic_experiment, field), sizeof(((tic_experiment *)0)->field)
#define NO_RANGE 0, 0

#define LIMIT 9007199254740992.0 /* 2^53: doubles count exactly to there */
#define MACS_MAX 9.2e18          /* below 2^63, so that json's integers hold it */
#define TEXT(name, value, help, field)                                                             \
    { name, value, help, NULL, TIC_SET_TEXT, NO_RANGE, AT(field) }
#define INT(name, value, help, low, high, field)                                                   \
    { name, value, help, NULL, TIC_SET_INT, low, high, AT(field) }
#define SIZE(name, value, help, low, high, field)                                                  \
    { name, value, help, NULL, TIC_SET_SIZE, low, high, AT(field) }
#define REAL(name, value, help, low, high, field)                                                  \
    { name, value, help, NULL, TIC_SET_REAL, low, high, AT(field) }
#define CHOICE(name, choices, help, field)                                                         \
    { name, "NAME", help, choices, TIC_SET_CHOICE, NO_RANGE, AT(field) }

/* Choices stand in the order of their enumerations. */
static const tic_setting settings[] = {
    TEXT("data", "DIR", "dated image-text shards (WebDataset tars)", data),
    TEXT("out", "RUN", "the run's folder", out),
    TEXT("index", "FILE", "index of the shards, made when missing; RUN/index.bin by default",
         index),
    TEXT("methods", "LIST", "methods to compare, separated by commas, or all", methods),
    TEXT("model", "NAME|FILE", "model by name, OpenCLIP json or checkpoint folder", model),
    TEXT("vocab", "FILE",
         "vocabulary in CLIP's format; by default one is trained on the first step's captions",
         vocab),
    INT("vocab-size", "N", "ids of a vocabulary that is trained", 514, 49408, vocab_size),
    REAL("macs", "TOTAL", "budget of the whole sequence in nominal MACs, split evenly over steps",
         0, MACS_MAX, macs),
    SIZE("pairs", "TOTAL", "the same budget in training pairs", 0, LIMIT, pairs),
    CHOICE("accounting", "paper|strict",
           "whether a method's extra work (teacher, Fisher, selection) is charged: strict does",
           accounting),
    INT("batch", "N", "pairs of an iteration", 2, 1 << 20, batch),
    INT("warmup", "N", "iterations of linear warm-up where training starts from random weights", 0,
        LIMIT, warmup),
    REAL("lr", "X", "peak learning rate", 1e-12, 1e3, lr),
    REAL("beta1", "X", "AdamW's beta1", 0, 0.999999, beta1),
    REAL("beta2", "X", "AdamW's beta2", 0, 0.999999, beta2),
    REAL("eps", "X", "AdamW's epsilon", 1e-30, 1, eps),
    REAL("weight-decay", "X", "AdamW's weight decay (matrices only)", 0, 10, weight_decay),
    CHOICE("schedule", "cosine|const-cosine",
           "learning rate of a step; const-cosine decays in a last fifth, off the trunk that the "
           "next step goes on from",
           schedule),
    REAL("lr-decay", "X", "factor on the peak learning rate from each step to the next", 1e-6, 1,
         lr_decay),
    CHOICE("warmup-in", "first|none|all|tenth",
           "steps that warm up: from random weights; none; all; the later ones a tenth as long",
           warmup_in),
    {"carry", "BOOL", "what a step leaves of its share, less than a batch, goes to the next",
     "false|true", TIC_SET_BOOL, NO_RANGE, AT(carry)},
    {"keep-optimizer", "BOOL", "AdamW's moments carry over from step to step", "false|true",
     TIC_SET_BOOL, NO_RANGE, AT(keep_optimizer)},
    REAL("buffer", "X", "size of a replay buffer, in pairs of the new step", 0, 1e6, buffer),
    REAL("replay-share", "X",
         "share of a step's draws that goes to replayed pairs; 0: as many as they are", 0, 0.999,
         replay_share),
    REAL("distill-weight", "X", "of LwF's distillation loss", 0, 1e6, distill_weight),
    INT("fisher-pairs", "N", "pairs of EWC's Fisher pass", 2, 1 << 30, fisher_pairs),
    CHOICE("precision", "auto|f32|bf16",
           "operands of matrix products; auto measures whether bf16 pays", precision),
    {"granularity", "LENGTH",
     "of a time step: year, quarter or month; or iid:K, K steps drawn at random",
     "year|quarter|month|iid:K", TIC_SET_TEXT, NO_RANGE, AT(granularity)},
    TEXT("first-step", "YEAR",
         "pools all before its end (2016, 2016Q3 or 2016-07); none, or auto: 2016 when the data "
         "lie on "
         "both sides of its end",
         first_step),
    TEXT("steps", "LIST",
         "the last month or year of each step, as 2006,2007-06,2007-12, instead of a granularity",
         steps),
    INT("min-step", "N", "a step with fewer pairs joins the next, the last one the one before", 0,
        LIMIT, min_step),
    INT("eval-pairs", "N", "pairs held out of every step (at most a fifth of it)", 2, 1 << 24,
        eval_pairs),
    INT("seed", "S", "of the weights, the sample order, the crops and the held-out pairs", 0, LIMIT,
        seed),
    INT("threads", "N", "0: one a core; results do not depend on it", 0, 1024, threads),
    SIZE("memory", "LIMIT",
         "bytes the model may book; smaller ones run in micro-batches (0: no limit)", 0, LIMIT,
         memory),
    INT("max-bad", "N", "pairs that damaged shards may lose", 0, LIMIT, max_bad),
    {"filter", "BOOL", "keep English captions of more than 2 words, aspect at most 3", "false|true",
     TIC_SET_BOOL, NO_RANGE, AT(filter)},
    TEXT("time-field", "FIELD",
         "json field of a pair's time, instead of timestamp, created_utc or dateuploaded",
         time_field),
    TEXT("keywords", "LIST",
         "words, separated by commas: retrieval is also told of the pairs whose caption holds one",
         keywords),
    TEXT("label-field", "FIELD",
         "json field whose values are the classes of the classification task, instead of "
         "DATA/classes.json",
         label_field),
    TEXT("label-tree", "FIELD", "json field that tells the subtree of such a class", label_tree),
    INT("save-every", "SECONDS", "between state files within a step; 0: after every iteration", 0,
        LIMIT, save_every),
};

int tic_setting_count(void) {
    return (int)(sizeof settings / sizeof settings[0]);
}

const tic_setting *tic_setting_get(int i) {
    return &settings[i];
}

static const char *setting_name(const void *list, int i) {
    return ((const tic_setting *)list)[i].name;
}

/* Budget and recipe of the embedded data set's demonstration (docs/world.md); betas, eps and decay
 * are the paper's. */
void tic_experiment_defaults(tic_experiment *experiment) {
    *experiment = (tic_experiment){
        .methods = "sequential,cumulative-all,oracle",
        .model = "ViT-Pico-8-40",
        .vocab_size = 2048,
        .pairs = 126000,
        .batch = 64,
        .warmup = 80,
        .lr = 1.5e-3,
        .lr_decay = 1,
        .buffer = 1,
        .distill_weight = 1,
        .fisher_pairs = 2048,
        .beta1 = 0.9,
        .beta2 = 0.98,
        .eps = 1e-6,
        .weight_decay = 0.2,
        .granularity = "year",
        .first_step = "auto",
        .eval_pairs = 400,
        .save_every = 60,
    };
}

/* ---- setting by name ----------------------------------------------------------------------- */

/* "first_step" and "first-step" are the same name. */
static const tic_setting *find_setting(const char *name) {
    for (int i = 0; i < tic_setting_count(); i++) {
        const char *a = settings[i].name, *b = name;
        while (*a != '\0' && (*a == *b || (*a == '-' && *b == '_')))
            a++, b++;
        if (*a == '\0' && *b == '\0')
            return &settings[i];
    }
    return NULL;
}

bool tic_number_parse(const char *text, bool suffixes, double *out) {
    static const struct {
        const char *text;
        double factor;
    } factors[] = {{"k", 1e3},           {"K", 1e3},
                   {"M", 1e6},           {"G", 1e9},
                   {"T", 1e12},          {"P", 1e15},
                   {"Ki", 1024.0},       {"Mi", 1048576.0},
                   {"Gi", 1073741824.0}, {"Ti", 1099511627776.0}};
    char *end;
    *out = strtod(text, &end);
    if (end == text || !isfinite(*out))
        return false;
    if (*end == '\0')
        return true;
    for (size_t i = 0; suffixes && i < sizeof factors / sizeof factors[0]; i++)
        if (strcmp(end, factors[i].text) == 0) {
            *out *= factors[i].factor;
            return isfinite(*out);
        }
    return false;
}

static tic_status number(const tic_setting *setting, const char *value, double *out,
                         tic_error *err) {
    double x;
    if (!tic_number_parse(value, setting->type == TIC_SET_SIZE, &x))
        return tic_fail(err, TIC_EUSAGE, "%s: \"%s\" is not a number%s", setting->name, value,
                        setting->type == TIC_SET_SIZE ? " (as 1500, 3e6, 2G or 512Mi)" : "");
    if (setting->type != TIC_SET_REAL && x != floor(x))
        return tic_fail(err, TIC_EUSAGE, "%s: %s is not a whole number", setting->name, value);
    if (!(x >= setting->min && x <= setting->max))
        return tic_fail(err, TIC_EUSAGE, "%s: %s is not in %.15g .. %.15g", setting->name, value,
                        setting->min, setting->max);
    *out = x;
    return TIC_OK;
}

/* The place of `value` among "a|b|c", -1 when it is none of them. */
static int choice_place(const char *choices, const char *value) {
    int place = 0;
    for (const char *at = choices;; place++) {
        size_t length = strcspn(at, "|");
        if (strlen(value) == length && memcmp(at, value, length) == 0)
            return place;
        at += length;
        if (*at++ == '\0')
            return -1;
    }
}

/* A choice that ends in ":K" stands for numbers. */
static bool fits_choice(const char *choices, const char *value) {
    char name[64], *colon;
    snprintf(name, sizeof name, "%s", value);
    if (choice_place(choices, value) >= 0)
        return strchr(value, ':') == NULL;
    if ((colon = strchr(name, ':')) == NULL || colon[1] == '\0' ||
        strspn(colon + 1, "0123456789") != strlen(colon + 1))
        return false;
    memcpy(colon, ":K", 3);
    return choice_place(choices, name) >= 0;
}

static tic_status choice(const tic_setting *setting, const char *value, int *out, tic_error *err) {
    *out = choice_place(setting->choices, value);
    return *out >= 0 ? TIC_OK
                     : tic_fail(err, TIC_EUSAGE, "%s: \"%s\" is not one of %s", setting->name,
                                value, setting->choices);
}

/* Refused here, before data are indexed for a run that could not begin. */
static tic_status random_steps(const char *value, tic_error *err) {
    const long count = strncmp(value, "iid:", 4) == 0 ? strtol(value + 4, NULL, 10) : 2;
    if (count >= 2 && count <= TIC_SPLITS_MAX)
        return TIC_OK;
    return tic_fail(err, TIC_EUSAGE, "granularity: %s: 2 to %d random steps are possible", value,
                    TIC_SPLITS_MAX);
}

static tic_status store(tic_experiment *experiment, const tic_setting *setting, const char *value,
                        tic_error *err) {
    char *at = (char *)experiment + setting->offset;
    double x = 0;
    int place = 0;
    switch (setting->type) {
    case TIC_SET_TEXT:
        if (strlen(value) >= setting->size)
            return tic_fail(err, TIC_EUSAGE, "%s: longer than %zu bytes", setting->name,
                            setting->size - 1);
        if (setting->choices != NULL && !fits_choice(setting->choices, value))
            return tic_fail(err, TIC_EUSAGE, "%s: \"%s\" is not one of %s", setting->name, value,
                            setting->choices);
        if (strcmp(setting->name, "granularity") == 0)
            TIC_TRY(random_steps(value, err));
        memset(at, 0, setting->size);
        memcpy(at, value, strlen(value));
        return TIC_OK;
    case TIC_SET_INT:
    case TIC_SET_SIZE:
        TIC_TRY(number(setting, value, &x, err));
        *(int64_t *)at = (int64_t)x;
        return TIC_OK;
    case TIC_SET_REAL:
        TIC_TRY(number(setting, value, &x, err));
        *(double *)at = x;
        return TIC_OK;
    case TIC_SET_BOOL:
        TIC_TRY(choice(setting, value, &place, err));
        *(bool *)at = place == 1;
        return TIC_OK;
    case TIC_SET_CHOICE: /* an enumeration, as wide as an int */
        TIC_TRY(choice(setting, value, &place, err));
        *(int *)at = place;
        return TIC_OK;
    }
    return tic_fail(err, TIC_EINTERNAL, "setting %s has no type", setting->name);
}

tic_status tic_experiment_set(tic_experiment *experiment, const char *name, const char *value,
                              tic_error *err) {
    const tic_setting *setting = find_setting(name);
    if (setting == NULL) {
        const char *nearest = tic_nearest(name, setting_name, settings, tic_setting_count());
        return tic_fail(err, TIC_EUSAGE, "unknown setting \"%s\"%s%s%s", name,
                        nearest ? "; did you mean \"" : "", nearest ? nearest : "",
                        nearest ? "\"?" : "");
    }
    TIC_TRY(store(experiment, setting, value, err));
    if (strcmp(setting->name, "macs") == 0 && experiment->macs > 0)
        experiment->pairs = 0;
    if (strcmp(setting->name, "pairs") == 0 && experiment->pairs > 0)
        experiment->macs = 0;
    return TIC_OK;
}
