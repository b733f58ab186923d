/* Pairs over time: how many a year or month, as a bar chart or JSON, and what an index holds in a
 * few lines. */
#include "cli/cli.h"
#include <string.h>
#include <time.h>

enum { BAR = 40 }; /* columns of the longest bar */

/* The UTC date of a time; false when the C library's calendar has none. */
static bool date_of(int64_t when, struct tm *out) {
    time_t seconds = (time_t)when;
    return gmtime_r(&seconds, out) != NULL;
}

const char *tic_cli_date(char text[24], int64_t when) {
    struct tm date;
    if (!date_of(when, &date) || strftime(text, 24, "%Y-%m-%d", &date) == 0)
        snprintf(text, 24, "?");
    return text;
}

static bool part_name(char name[24], int64_t when, bool by_month) {
    struct tm date;
    return date_of(when, &date) && strftime(name, 24, by_month ? "%Y-%m" : "%Y", &date) != 0;
}

/* The place of `name` among the parts, which are sorted, or where it belongs. */
static size_t place_of(const tic_timeline *timeline, const char *name) {
    size_t low = 0, high = timeline->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (strcmp(timeline->parts[middle].name, name) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static tic_status count_one(tic_timeline *timeline, size_t *capacity, int64_t when,
                            tic_error *err) {
    char name[24];
    if (!part_name(name, when, timeline->by_month))
        return tic_fail(err, TIC_EINTERNAL, "an indexed pair has no date (time %lld)",
                        (long long)when);
    size_t at = place_of(timeline, name);
    if (at == timeline->count || strcmp(timeline->parts[at].name, name) != 0) {
        TIC_TRY(tic_reserve_one(&timeline->parts, timeline->count, capacity,
                                sizeof *timeline->parts, err));
        memmove(timeline->parts + at + 1, timeline->parts + at,
                (timeline->count - at) * sizeof *timeline->parts);
        timeline->count++;
        memset(&timeline->parts[at], 0, sizeof timeline->parts[at]);
        memcpy(timeline->parts[at].name, name, sizeof name);
    }
    timeline->parts[at].pairs++;
    return TIC_OK;
}

tic_status tic_timeline_make(tic_timeline *out, const tic_index *index, bool by_month,
                             tic_error *err) {
    const tic_pair *pairs = tic_index_pairs(index);
    size_t capacity = 0;
    *out = (tic_timeline){.by_month = by_month};
    for (size_t i = 0; i < tic_index_size(index); i++) {
        int64_t when = pairs[i].time;
        out->first = i == 0 || when < out->first ? when : out->first;
        out->last = i == 0 || when > out->last ? when : out->last;
        tic_status status = count_one(out, &capacity, when, err);
        if (status != TIC_OK) {
            tic_timeline_free(out);
            return status;
        }
    }
    return TIC_OK;
}

void tic_timeline_free(tic_timeline *timeline) {
    tic_free(timeline->parts);
    *timeline = (tic_timeline){.count = 0};
}

tic_status tic_timeline_print(const tic_timeline *timeline, tic_error *err) {
    char bar[BAR + 1];
    size_t most = 1;
    tic_table table;
    for (size_t i = 0; i < timeline->count; i++)
        most = timeline->parts[i].pairs > most ? timeline->parts[i].pairs : most;
    memset(bar, '#', BAR);
    bar[BAR] = '\0';
    tic_table_begin(&table, timeline->by_month ? "<month\t>pairs\t<" : "<year\t>pairs\t<");
    for (size_t i = 0; i < timeline->count; i++) {
        /* rounded up: a part that has pairs has a bar */
        int length = (int)((timeline->parts[i].pairs * BAR + most - 1) / most);
        tic_table_row(&table, "%s\t%zu\t%.*s", timeline->parts[i].name, timeline->parts[i].pairs,
                      length, bar);
    }
    return tic_table_end(&table, stdout, err);
}

json_t *tic_timeline_json(const tic_timeline *timeline) {
    json_t *object = json_object();
    for (size_t i = 0; i < timeline->count; i++)
        json_object_set_new(object, timeline->parts[i].name,
                            json_integer((json_int_t)timeline->parts[i].pairs));
    return object;
}

json_t *tic_cli_rejects_json(const tic_index *index) {
    json_t *object = json_object();
    for (int reason = TIC_REJECT_NONE + 1; reason < TIC_REJECT_COUNT; reason++) {
        uint64_t count = tic_index_rejected(index, (tic_reject)reason);
        if (count > 0)
            json_object_set_new(object, tic_reject_name((tic_reject)reason),
                                json_integer((json_int_t)count));
    }
    return object;
}

void tic_cli_index_summary(const char *folder, const tic_index *index,
                           const tic_timeline *timeline) {
    char first[24], last[24];
    const tic_rejected *list;
    size_t rejected = tic_index_rejects(index, &list);
    printf("%s: %zu pairs in %d shards", folder, tic_index_size(index), tic_index_shards(index));
    if (tic_index_size(index) > 0)
        printf(", %s to %s", tic_cli_date(first, timeline->first),
               tic_cli_date(last, timeline->last));
    printf("; %zu rejected\n", rejected);
    for (int reason = TIC_REJECT_NONE + 1; reason < TIC_REJECT_COUNT; reason++) {
        uint64_t count = tic_index_rejected(index, (tic_reject)reason);
        if (count > 0)
            printf("  rejected as %-14s %llu\n", tic_reject_name((tic_reject)reason),
                   (unsigned long long)count);
    }
    putchar('\n');
}
