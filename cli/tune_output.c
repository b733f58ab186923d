/* What `ticlip tune` prints of a key: its row, its candidates, its json. */
#include "cli/tuned.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

static double share_of_peak(const tic_tuned *t, double seconds) {
    return (double)t->macs / seconds * 1e-9 / t->peak;
}

const char *tic_cli_reached(char text[32], const tic_tuned *t, double seconds) {
    if (t->macs > 0)
        snprintf(text, 32, "%.0f %%", 100 * share_of_peak(t, seconds));
    else
        snprintf(text, 32, "%.1f GB/s", (double)t->bytes / seconds * 1e-9);
    return text;
}

/* ---- explain -------------------------------------------------------------------------------- */

static void print_roofline(const tic_tuned *t) {
    const double compute = (double)t->macs / (t->peak * 1e9);
    const double memory = (double)t->bytes / (t->bandwidth * 1e9);
    char macs[32], bytes[32];
    printf("%s: %s\n\n", t->key, t->name);
    printf("  work       %sMAC, %sB for every operand once", tic_quantity(macs, (double)t->macs),
           tic_quantity(bytes, (double)t->bytes));
    if (t->macs > 0)
        printf(": %.1f MAC a byte", (double)t->macs / (double)t->bytes);
    printf("\n  machine    %.0f GMAC/s of %s, %.1f GB/s of triad: even at %.1f MAC a byte\n",
           t->peak, tic_peak_name(t->unit), t->bandwidth, t->peak / t->bandwidth);
    printf("  bound      %s: %.4g ms of multiplying, %.4g ms of moving if nothing is in a cache\n",
           compute >= memory ? "by multiply-adds" : "by memory", 1e3 * compute, 1e3 * memory);
    if (t->shared_cores)
        printf("  times      processor time a thread: other processes took part of the cores\n");
    putchar('\n');
}

/* Measured ones first, fastest first; then as they were made. */
static int by_time(const void *a, const void *b) {
    const tic_candidate *const *x = a, *const *y = b;
    const double first = (*x)->samples > 0 ? (*x)->best : INFINITY;
    const double second = (*y)->samples > 0 ? (*y)->best : INFINITY;
    if (first != second)
        return first < second ? -1 : 1;
    if ((*x)->fate != (*y)->fate)
        return (*x)->fate < (*y)->fate ? -1 : 1;
    return *x < *y ? -1 : *x > *y;
}

static void candidate_row(tic_table *table, const tic_tuned *t, const tic_candidate *c) {
    char reached[32] = "-", time[32] = "-";
    const int i = (int)(c - t->candidates);
    if (c->samples > 0) {
        snprintf(time, sizeof time, "%.4f", 1e3 * c->best);
        tic_cli_reached(reached, t, c->best);
    }
    tic_table_row(
        table, "%s\t%s\t%s\t%d\t%s%s%s%s", c->line, time, reached, c->samples,
        i == 0 ? "the default" : "", i == 0 && (i == t->winner || c->why[0] != '\0') ? "; " : "",
        i == t->winner ? (i == 0 ? "it stays" : "the winner") : "", i == t->winner ? "" : c->why);
}

tic_status tic_cli_explain(const tic_tuned *t, tic_error *err) {
    const tic_candidate **order;
    tic_table table;
    TIC_TRY(tic_alloc(&order, (size_t)t->count, sizeof *order, err));
    for (int i = 0; i < t->count; i++)
        order[i] = &t->candidates[i];
    qsort(order, (size_t)t->count, sizeof *order, by_time);
    tic_progress_end();
    print_roofline(t);
    tic_table_begin(&table, "<candidate\t>ms\t>reached\t>runs\t<why");
    for (int i = 0; i < t->count; i++)
        candidate_row(&table, t, order[i]);
    tic_free(order);
    TIC_TRY(tic_table_end(&table, stdout, err));
    if (t->turns > 0)
        printf("\nfinals: ahead in %d of %d turns, %+.1f %% in the median\n\n", t->ahead, t->turns,
               100 * t->gain);
    else
        printf("\nno candidate came close enough for finals\n\n");
    return TIC_OK;
}

/* ---- json ----------------------------------------------------------------------------------- */

static json_t *candidates_json(const tic_tuned *t) {
    json_t *list = json_array();
    for (int i = 0; i < t->count; i++) {
        const tic_candidate *c = &t->candidates[i];
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:o, s:i, s:I}", "line", c->line, "fate",
                                        tic_fate_name(c->fate), "why", c->why, "seconds",
                                        c->samples > 0 ? json_real(c->best) : json_null(), "runs",
                                        c->samples, "issued", (json_int_t)c->issued));
    }
    return list;
}

json_t *tic_cli_tuned_json(const tic_tuned *t, bool all) {
    json_t *json = json_pack(
        "{s:s, s:s, s:i, s:s, s:s, s:f, s:f, s:f, s:I, s:I, s:s, s:f, s:f, s:f, s:b}", "key",
        t->key, "name", t->name, "calls", t->calls, "default", t->candidates[0].line, "winner",
        t->candidates[t->winner].line, "gain", t->gain, "default_seconds", t->default_seconds,
        "seconds", t->seconds, "macs", (json_int_t)t->macs, "bytes", (json_int_t)t->bytes, "unit",
        tic_peak_name(t->unit), "peak_gmacs", t->peak, "share_of_peak",
        share_of_peak(t, t->seconds), "triad_gbs", t->bandwidth, "shared_cores",
        (int)t->shared_cores);
    if (json != NULL && all)
        json_object_set_new(json, "candidates", candidates_json(t));
    return json;
}
