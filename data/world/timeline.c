/* What is current when: dates, the clock of drift, and the popularity of kinds. */
#include "data/world/room.h"

enum { DAY = 86400 };

/* Days from 1970-01-01 to the first of January of `year` (Gregorian, after 1970). */
static int64_t year_begin(int year) {
    int64_t before = year - 1;
    int64_t days = before * 365 + before / 4 - before / 100 + before / 400;
    return (days - 719162) * DAY;
}

int64_t tic_world_last_second(void) {
    return year_begin(TIC_WORLD_FIRST_YEAR + TIC_WORLD_YEARS) - 1;
}

int64_t tic_world_draw_time(tic_world_draws *draws) {
    int year = tic_world_weighted(draws, tic_world_parameter.years, TIC_WORLD_YEARS);
    int64_t begin = year_begin(TIC_WORLD_FIRST_YEAR + year);
    int64_t end = year_begin(TIC_WORLD_FIRST_YEAR + year + 1);
    return begin + (int64_t)(tic_world_uniform(draws) * (double)(end - begin));
}

/* The year's place in the tables, and how much of it has passed, in [0, 1). */
static int split(int64_t time, double *passed) {
    int year = 0;
    while (year + 1 < TIC_WORLD_YEARS && time >= year_begin(TIC_WORLD_FIRST_YEAR + year + 1))
        year++;
    int64_t begin = year_begin(TIC_WORLD_FIRST_YEAR + year);
    int64_t end = year_begin(TIC_WORLD_FIRST_YEAR + year + 1);
    *passed = (double)(time - begin) / (double)(end - begin);
    return year;
}

double tic_world_clock(int64_t time) {
    double passed, clock = 0;
    int year = split(time, &passed);
    for (int y = 0; y < year; y++)
        clock += tic_world_parameter.pace[y];
    return clock + passed * tic_world_parameter.pace[year];
}

int tic_world_month(int64_t time) {
    double passed;
    split(time, &passed);
    return (int)(passed * 12);
}

double tic_world_rise(double clock, double at, double width) {
    double x = (clock - at) / width + 0.5;
    if (x <= 0)
        return 0;
    return x >= 1 ? 1 : x * x * (3 - 2 * x);
}

/* Rises from `from` to its peak, then fades until `end`. */
static double family_weight(double clock) {
    const tic_world_parameters *p = &tic_world_parameter;
    if (clock <= p->family_from || clock >= p->family_end)
        return 0;
    if (clock < p->family_peak)
        return p->family_weight * (clock - p->family_from) / (p->family_peak - p->family_from);
    return p->family_weight * (p->family_end - clock) / (p->family_end - p->family_peak);
}

double tic_world_kind_weight(int kind, double clock) {
    const tic_world_parameters *p = &tic_world_parameter;
    const tic_world_kind *row = &tic_world_kinds[kind];
    if (row->life == TIC_WORLD_EVERGREEN)
        return p->evergreen_weight;
    if (row->life == TIC_WORLD_FAMILY)
        return family_weight(clock);
    double away = (clock - row->peak) / p->life;
    double bump = 1 - away * away;
    return bump > 0 ? p->passing_weight * bump * bump : 0;
}
