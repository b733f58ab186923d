/* The command line's own helpers: arguments, tables, progress, JSON and the way out. Only cli/
 * prints, reads the environment, handles signals and exits.
 *
 * A verb is one row of main.c's table and one function. The function describes its flags in a local
 * array of tic_flag, calls tic_cli_parse, does its work through the libraries, and returns a status
 * with the message in *err; main prints `ticlip: <message>` and exits with the status. Results go
 * to stdout, progress and notes to stderr; with --json stdout holds one JSON document. */
#ifndef TIC_CLI_H
#define TIC_CLI_H

#include "continual/continual.h"
#include <jansson.h>
#include <stdio.h>

/* ---- verbs (main.c) ------------------------------------------------------------------------ */

typedef struct tic_verb {
    const char *name;       /* "run", or two words: "data index" */
    const char *about;      /* one line */
    const char *usage;      /* what follows the name: "DIR [flags]" */
    int min_args, max_args; /* positional arguments */
    tic_status (*run)(const struct tic_verb *verb, int argc, char **argv, tic_error *err);
    const char *detail; /* a paragraph of the help; NULL: none */
} tic_verb;

tic_status tic_verb_world(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_data_index(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_data_inspect(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_data_shift(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_data_filters(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_data_times(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_vocab_train(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_vocab_show(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_tune(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_run(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_train(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_eval(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_audit(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_verify(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_report(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_compare(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_plan(const tic_verb *verb, int argc, char **argv, tic_error *err);
tic_status tic_verb_embed(const tic_verb *verb, int argc, char **argv, tic_error *err);

/* ---- arguments (args.c) -------------------------------------------------------------------- */

typedef enum tic_flag_type {                  /* what `out` points to */
                             TIC_FLAG_SWITCH, /* bool, set to true; takes no value */
                             TIC_FLAG_TEXT,   /* const char *, borrowed from argv */
                             TIC_FLAG_INT,    /* int64_t in [min, max] */
                             TIC_FLAG_SIZE,   /* int64_t, with tic_number_parse's suffixes */
                             TIC_FLAG_REAL,   /* double in [min, max], the same suffixes */
                             TIC_FLAG_CHOICE, /* int, the place in `choices`, "year|month" */
                             TIC_FLAG_CALL    /* `set` takes the value */
} tic_flag_type;

typedef struct tic_flag {
    const char *name;  /* without the dashes */
    const char *value; /* what the help calls the value; NULL: takes none (SWITCH, CALL) */
    const char *help;
    char fallback[48]; /* the default that the help shows; "": none, or `help` tells it */
    tic_flag_type type;
    void *out;
    double min, max; /* numbers; both 0: no limit but the type's own */
    const char *choices;
    /* TIC_FLAG_CALL: `text` is NULL when the flag takes no value. Its errors name the flag. */
    tic_status (*set)(const struct tic_flag *flag, const char *text, tic_error *err);
} tic_flag;

enum { TIC_CLI_POSITIONALS = 64 };
typedef struct tic_args {
    const char *at[TIC_CLI_POSITIONALS]; /* borrowed from argv */
    int count;
    bool json; /* --json */
    bool help; /* --help was asked and printed: the verb returns TIC_OK at once */
} tic_args;

/* Parses `--name VALUE`, `--name=VALUE` and positional arguments in any order; a lone `--` ends the
 * flags. Every verb has --json and --help besides its own flags. A repeated flag: the last counts.
 * Unknown flag, wrong value, wrong number of arguments: TIC_EUSAGE with the nearest name, the range
 * or the usage. Leaves argv as it was, so that it may be parsed twice. */
tic_status tic_cli_parse(const tic_verb *verb, const tic_flag *flags, int flag_count, int argc,
                         char **argv, tic_args *args, tic_error *err);

/* ---- tables (table.c) ---------------------------------------------------------------------- */

/* Aligned columns. Remembers its first failure, so that only the print need be checked. */
typedef struct tic_table {
    char *text;   /* all cells, each NUL-terminated */
    size_t used;  /* bytes of text */
    size_t cells; /* heads included */
    int columns;
    bool right[32];
    tic_error failure;
} tic_table;

/* Heads separated by tabs, each begun by '<' (left) or '>' (right): "<step\t>pairs". */
void tic_table_begin(tic_table *table, const char *heads);
/* A row of formatted cells separated by tabs; missing ones are empty, and there may be no more
 * than there are columns. */
void tic_table_row(tic_table *table, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Prints and frees. TIC_EINTERNAL for a row with too many cells, TIC_ERESOURCE without memory. */
tic_status tic_table_end(tic_table *table, FILE *file, tic_error *err);

/* ---- progress on stderr (progress.c) -------------------------------------------------------- */

/* One live line on a terminal (at most ten a second, cut to its width); elsewhere a line at first
 * and then one every ten seconds. */
void tic_progress_show(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A lasting line of the log: always printed, the live line steps aside. */
void tic_progress_note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* Wipes the live line; what is printed next starts in an empty one. Main calls it at the end. */
void tic_progress_end(void);
/* A tic_progress_fn: what, share done and time left. `user` is not used. */
void tic_progress_work(void *user, const char *what, uint64_t done, uint64_t total);
/* "3 s", "2 min 05 s", "1 h 20 min"; returns text. */
const char *tic_duration(char text[32], double seconds);
/* "1.24e+12" as people write it: "1.24 T", "310 M", "42"; returns text. */
const char *tic_quantity(char text[32], double value);

/* ---- output (output.c) --------------------------------------------------------------------- */

/* Prints `document` to stdout, indented, keys in the order they were set, and gives it back. NULL
 * (a failed json_pack: no memory, or a name that is not UTF-8) is TIC_ERESOURCE. */
tic_status tic_cli_json(json_t *document, tic_error *err);
/* A member of a document: its text, "" without one; its number, 0 without one. */
const char *tic_cli_text(const json_t *object, const char *key);
double tic_cli_number(const json_t *object, const char *key);
/* Flushes stdout; a full disk or a closed pipe is TIC_ERESOURCE. Main calls it at the end. */
tic_status tic_cli_flush(tic_error *err);

/* $XDG_CACHE_HOME/ticlip, else ~/.cache/ticlip, which is made. TIC_EUSAGE where there is no home:
 * `flag` names a file instead. */
tic_status tic_cli_cache_folder(char *out, size_t size, const char *flag, tic_error *err);

/* ---- interruption (output.c) --------------------------------------------------------------- */

/* From now on the first SIGINT or SIGTERM only sets a flag; a second one ends the process as ever.
 * tic_cli_stopped answers whether it came, and fits tic_hooks.stop. */
void tic_cli_catch_signals(void);
bool tic_cli_stopped(void *user);

/* ---- settings of an experiment as flags (settings.c) ---------------------------------------- */

/* Writes one flag that sets `name` (a row of tic_setting_get) in *experiment, with its help, checks
 * and messages; the default that the help shows is what stands in *experiment now. An unknown name
 * is TIC_EINTERNAL. */
tic_status tic_cli_setting_flag(tic_flag *row, const char *name, tic_experiment *experiment,
                                tic_error *err);
/* The same for all settings, in their order; room for tic_setting_count() rows. */
void tic_cli_setting_flags(tic_flag *rows, tic_experiment *experiment);

/* As tic_cli_setting_flag, its help as it is where nothing is trained. */
tic_status tic_cli_data_flag(tic_flag *row, const char *name, tic_experiment *experiment,
                             tic_error *err);
/* Parses a verb on DIR: its own flags and the settings named in `names`, which go to *x with the
 * defaults that stand in it; then data and index are DIR's. */
tic_status tic_cli_parse_data(const tic_verb *verb, const tic_flag *own, int own_count,
                              const char *const *names, int name_count, int argc, char **argv,
                              tic_experiment *x, tic_args *args, tic_error *err);

/* ---- figures (figure.c) --------------------------------------------------------------------- */

/* SVG elements, readable on a light and on a dark page, each of what the struct before it holds. */
typedef struct tic_series {
    const char *name;
    const double *values; /* one an x; NaN is a gap */
} tic_series;
enum { TIC_SERIES_MAX = 10 };
typedef struct tic_panel {
    const char *title;
    tic_series series[TIC_SERIES_MAX];
    int count;
} tic_panel;
/* Over named places, from 0 up, one panel below the other, each with an axis of its own. */
typedef struct tic_lines {
    const tic_panel *panels;
    int panel_count;
    const char *const *names;
    int count; /* places */
} tic_lines;
void tic_draw_lines(FILE *to, const void *lines);
typedef struct tic_heat {
    const char *title, *rows_say, *columns_say;
    const char *const *rows, *const *columns;
    int row_count, column_count, decimals;
    const double *values; /* [rows, columns]; NaN is left out */
    double full;          /* the brightest shade's value; 0: the sum of each row */
} tic_heat;
void tic_draw_heat(FILE *to, const void *heat);
typedef struct tic_bar {
    const char *name;
    double parts[TIC_SERIES_MAX]; /* from left to right */
    double mark;                  /* a line across it; NaN: none */
} tic_bar;
typedef struct tic_bars {
    const char *title;
    const char *parts[TIC_SERIES_MAX]; /* names */
    int part_count;
    const tic_bar *bars;
    int count;
} tic_bars;
void tic_draw_bars(FILE *to, const void *bars);
/* Words in SVG or HTML, escaped. */
void tic_draw_words(FILE *to, const char *words);
/* Writes a file of what `draw` prints of `what`. TIC_ERESOURCE. */
tic_status tic_figure_write(const char *path, void (*draw)(FILE *to, const void *what),
                            const void *what, tic_error *err);

/* ---- opening an index (index.c) ------------------------------------------------------------ */

typedef struct tic_index_flags { /* the flags that decide which pairs there are */
    const char *file;            /* NULL: in the cache folder, by the absolute path of the data */
    const char *time_field;      /* NULL: the usual ones */
    int64_t threads, min_side, max_bad;
    bool filter;
} tic_index_flags;
enum { TIC_INDEX_FLAGS = 6 };
/* Writes the rows --index, --threads, --filter, --min-side, --max-bad and --time-field, which point
 * into *values. */
void tic_cli_index_flags(tic_flag rows[TIC_INDEX_FLAGS], tic_index_flags *values);
/* The index file for `folder`: values->file, or $XDG_CACHE_HOME/ticlip/index-HASH.bin, else
 * ~/.cache/ticlip/index-HASH.bin, whose folder is made. */
tic_status tic_cli_index_path(char *out, size_t size, const char *folder,
                              const tic_index_flags *values, tic_error *err);
/* Sets x->index, where it is empty and there are data, to the same place. */
tic_status tic_cli_experiment_index(tic_experiment *x, tic_error *err);
/* Loads the index, or builds and saves it, with progress; notes which. On success *out is the
 * caller's (tic_index_free). *built (may be NULL): whether it was built. */
tic_status tic_cli_index_open(tic_index **out, const char *folder, const tic_index_flags *values,
                              bool *built, tic_error *err);

/* ---- pairs over time (timeline.c) ----------------------------------------------------------- */

/* "2016-07-31", or "?" for a time that has no date; returns text. */
const char *tic_cli_date(char text[24], int64_t time);

typedef struct tic_timeline { /* pairs in each year or month, in order, empty ones left out */
    bool by_month;
    int64_t first, last; /* times of the earliest and latest pair; 0 without pairs */
    struct tic_timeline_part {
        char name[24]; /* "2016" or "2016-07" */
        size_t pairs;
    } * parts;
    size_t count;
} tic_timeline;
/* On success the parts are the caller's (tic_timeline_free). */
tic_status tic_timeline_make(tic_timeline *out, const tic_index *index, bool by_month,
                             tic_error *err);
void tic_timeline_free(tic_timeline *timeline);
/* A table with a bar for every part. */
tic_status tic_timeline_print(const tic_timeline *timeline, tic_error *err);
/* {"2016": 1234, ...}; NULL without memory. */
json_t *tic_timeline_json(const tic_timeline *timeline);

/* Rejects by reason, those that occur: {"no-time": 3, ...}; NULL without memory. */
json_t *tic_cli_rejects_json(const tic_index *index);
/* Prints the one-paragraph head that `data index` and `data inspect` share. */
void tic_cli_index_summary(const char *folder, const tic_index *index,
                           const tic_timeline *timeline);

#endif
