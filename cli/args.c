/* The argument parser: flags and positional arguments of a verb, and its --help. */
#include "cli/cli.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { HELP_WIDTH = 96, NAME_LIMIT = 48 };

/* ---- help ---------------------------------------------------------------------------------- */

/* Prints text in lines of at most HELP_WIDTH columns, the following ones indented like the first,
 * which begins at column `at`. */
static void print_wrapped(const char *text, int at) {
    int column = at;
    while (*text != '\0') {
        int word = (int)strcspn(text, " ");
        if (column > at && column + 1 + word > HELP_WIDTH) {
            printf("\n%*s", at, "");
            column = at;
        } else if (column > at) {
            putchar(' ');
            column++;
        }
        printf("%.*s", word, text);
        column += word;
        text += word;
        text += strspn(text, " ");
    }
    putchar('\n');
}

static void print_flag(const tic_flag *flag) {
    char left[80], right[1024];
    snprintf(left, sizeof left, "--%s%s%s", flag->name, flag->value ? " " : "",
             flag->value ? flag->value : "");
    printf("  %-24s ", left);
    if (strlen(left) > 24)
        printf("\n%27s", "");
    snprintf(right, sizeof right, "%s%s%s%s%s%s", flag->help, flag->choices ? "; one of " : "",
             flag->choices ? flag->choices : "", flag->fallback[0] ? " (default " : "",
             flag->fallback, flag->fallback[0] ? ")" : "");
    print_wrapped(right, 27);
}

static void print_help(const tic_verb *verb, const tic_flag *flags, int count) {
    printf("usage: ticlip %s %s\n\n  ", verb->name, verb->usage);
    print_wrapped(verb->about, 2);
    if (verb->detail != NULL) {
        printf("\n  ");
        print_wrapped(verb->detail, 2);
    }
    printf("\nflags:\n");
    for (int i = 0; i < count; i++)
        print_flag(&flags[i]);
    print_flag(&(tic_flag){.name = "json", .help = "one JSON document on stdout, no text"});
    print_flag(&(tic_flag){.name = "help", .help = "this text"});
}

/* ---- values -------------------------------------------------------------------------------- */

static tic_status parse_number(const tic_flag *flag, const char *text, double *out,
                               tic_error *err) {
    double value;
    if (!tic_number_parse(text, flag->type != TIC_FLAG_INT, &value))
        return tic_fail(err, TIC_EUSAGE, "\"%s\" is not a number%s", text,
                        flag->type == TIC_FLAG_INT ? "" : " (as 1500, 3e12, 2G or 512Mi)");
    /* Beyond 2^53 a double no longer tells integers apart. */
    if (flag->type != TIC_FLAG_REAL && (value != floor(value) || fabs(value) > 9007199254740992.0))
        return tic_fail(err, TIC_EUSAGE, "\"%s\" is not a whole number that fits", text);
    if ((flag->min != 0 || flag->max != 0) && !(value >= flag->min && value <= flag->max))
        return tic_fail(err, TIC_EUSAGE, "%s is not between %.16g and %.16g", text, flag->min,
                        flag->max);
    *out = value;
    return TIC_OK;
}

static tic_status parse_choice(const tic_flag *flag, const char *text, tic_error *err) {
    int place = 0;
    for (const char *at = flag->choices; *at != '\0'; place++) {
        size_t length = strcspn(at, "|");
        if (strlen(text) == length && strncmp(at, text, length) == 0) {
            *(int *)flag->out = place;
            return TIC_OK;
        }
        at += length + (at[length] == '|');
    }
    return tic_fail(err, TIC_EUSAGE, "\"%s\" is not one of %s", text, flag->choices);
}

static tic_status store(const tic_flag *flag, const char *text, tic_error *err) {
    double number = 0;
    switch (flag->type) {
    case TIC_FLAG_SWITCH:
        *(bool *)flag->out = true;
        return TIC_OK;
    case TIC_FLAG_TEXT:
        *(const char **)flag->out = text;
        return TIC_OK;
    case TIC_FLAG_INT:
    case TIC_FLAG_SIZE:
        TIC_TRY(parse_number(flag, text, &number, err));
        *(int64_t *)flag->out = (int64_t)number;
        return TIC_OK;
    case TIC_FLAG_REAL:
        return parse_number(flag, text, flag->out, err);
    case TIC_FLAG_CHOICE:
        return parse_choice(flag, text, err);
    case TIC_FLAG_CALL:
        return flag->set(flag, text, err);
    }
    return tic_fail(err, TIC_EINTERNAL, "flag --%s has no type", flag->name);
}

/* ---- the parser ---------------------------------------------------------------------------- */

typedef struct flag_list { /* a verb's flags and the two that every verb has */
    const tic_flag *flags;
    int count;
} flag_list;

static const char *flag_name(const void *list, int i) {
    const flag_list *all = list;
    if (i < all->count)
        return all->flags[i].name;
    return i == all->count ? "json" : "help";
}

static tic_status unknown_flag(const tic_verb *verb, const flag_list *list, const char *name,
                               tic_error *err) {
    const char *nearest = tic_nearest(name, flag_name, list, list->count + 2);
    if (nearest != NULL)
        return tic_fail(err, TIC_EUSAGE, "%s: unknown flag --%s; did you mean --%s?", verb->name,
                        name, nearest);
    return tic_fail(err, TIC_EUSAGE, "%s: unknown flag --%s; `ticlip %s --help` lists them",
                    verb->name, name, verb->name);
}

static const tic_flag *find_flag(const flag_list *list, const char *name) {
    for (int i = 0; i < list->count; i++)
        if (strcmp(name, list->flags[i].name) == 0)
            return &list->flags[i];
    return NULL;
}

/* Takes the flag at argv[*i], and its value if that is the next argument. */
static tic_status take_flag(const tic_verb *verb, const flag_list *list, int argc, char **argv,
                            int *i, tic_args *args, tic_error *err) {
    char name[NAME_LIMIT + 1];
    const char *given = argv[*i] + 2, *equals = strchr(given, '=');
    const char *value = equals != NULL ? equals + 1 : NULL;
    size_t length = equals != NULL ? (size_t)(equals - given) : strlen(given);
    snprintf(name, sizeof name, "%.*s", (int)(length < NAME_LIMIT ? length : NAME_LIMIT), given);

    const tic_flag json = {.name = "json", .type = TIC_FLAG_SWITCH, .out = &args->json};
    const tic_flag *flag = strcmp(name, json.name) == 0 ? &json : find_flag(list, name);
    if (flag == NULL)
        return unknown_flag(verb, list, name, err);
    if (flag->value == NULL && value != NULL)
        return tic_fail(err, TIC_EUSAGE, "%s: --%s takes no value", verb->name, name);
    if (flag->value != NULL && value == NULL) {
        if (*i + 1 >= argc || strncmp(argv[*i + 1], "--", 2) == 0)
            return tic_fail(err, TIC_EUSAGE, "%s: --%s needs a value, %s", verb->name, name,
                            flag->value);
        value = argv[++*i];
    }
    if (store(flag, value, err) == TIC_OK)
        return TIC_OK;
    if (flag->type == TIC_FLAG_CALL) /* its errors name it */
        return tic_fail_in(err, "%s", verb->name);
    return tic_fail_in(err, "%s: --%s", verb->name, name);
}

static bool asks_help(const char *arg) {
    return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

tic_status tic_cli_parse(const tic_verb *verb, const tic_flag *flags, int flag_count, int argc,
                         char **argv, tic_args *args, tic_error *err) {
    const flag_list list = {flags, flag_count};
    bool flags_over = false;
    *args = (tic_args){.count = 0};
    /* --help wins over whatever else is wrong with the line. */
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (asks_help(argv[i])) {
            print_help(verb, flags, flag_count);
            args->help = true;
            return TIC_OK;
        }
    }
    for (int i = 0; i < argc; i++) {
        if (!flags_over && strcmp(argv[i], "--") == 0) {
            flags_over = true;
        } else if (!flags_over && strncmp(argv[i], "--", 2) == 0) {
            TIC_TRY(take_flag(verb, &list, argc, argv, &i, args, err));
        } else if (!flags_over && argv[i][0] == '-' && argv[i][1] != '\0') {
            return tic_fail(err, TIC_EUSAGE, "%s: unknown flag %s; flags are written --name",
                            verb->name, argv[i]);
        } else if (args->count >= verb->max_args || args->count >= TIC_CLI_POSITIONALS) {
            return tic_fail(err, TIC_EUSAGE,
                            "%s: one argument too many, \"%s\"; usage: ticlip %s %s", verb->name,
                            argv[i], verb->name, verb->usage);
        } else {
            args->at[args->count++] = argv[i];
        }
    }
    if (args->count < verb->min_args)
        return tic_fail(err, TIC_EUSAGE, "%s: an argument is missing; usage: ticlip %s %s",
                        verb->name, verb->name, verb->usage);
    return TIC_OK;
}
