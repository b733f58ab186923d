/* Times of samples: unix seconds, milliseconds, ISO 8601; and civil dates (Howard Hinnant,
 * "chrono-Compatible Low-Level Date Algorithms": proleptic Gregorian, no time zones, no libc). */
#include "data/room.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { DAY = 86400 };

static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

int64_t tic_time_of(int year, int month, int day) {
    int64_t y = month <= 2 ? year - 1 : year; /* years that begin in March: leap days come last */
    int64_t era = floor_div(y, 400), of_era = y - era * 400;
    int64_t of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    return (era * 146097 + day_of_era - 719468) * DAY;
}

void tic_time_civil(int64_t time, int *year, int *month) {
    int64_t z = floor_div(time, DAY) + 719468, era = floor_div(z, 146097);
    int64_t doe = z - era * 146097; /* day of the 400-year era */
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    *month = (int)(mp < 10 ? mp + 3 : mp - 9);
    *year = (int)(yoe + era * 400 + (*month <= 2));
}

/* Exactly `count` digits; -1 if they are not. */
static int digits(const char **at, int count) {
    int value = 0;
    for (int i = 0; i < count; i++) {
        if (!isdigit((unsigned char)(*at)[i]))
            return -1;
        value = value * 10 + (*at)[i] - '0';
    }
    *at += count;
    return value;
}

static bool accept(const char **at, char c) {
    if (**at != c)
        return false;
    ++*at;
    return true;
}

static int days_of(int year, int month) {
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
    return days[month - 1] + (month == 2 && leap);
}

/* "hh:mm[:ss[.fraction]]", as seconds. */
static bool parse_clock(const char **at, int64_t *seconds) {
    int hour = digits(at, 2), minute = accept(at, ':') ? digits(at, 2) : -1, second = 0;
    if (hour < 0 || hour > 24 || minute < 0 || minute > 59)
        return false;
    if (accept(at, ':')) {
        second = digits(at, 2);
        if (second < 0 || second > 60) /* 60: a leap second */
            return false;
        if (accept(at, '.') || accept(at, ','))
            while (isdigit((unsigned char)**at))
                ++*at;
    }
    *seconds = (int64_t)hour * 3600 + minute * 60 + second;
    return true;
}

/* "Z", "+hh", "+hhmm", "+hh:mm" or nothing (UTC), as seconds east. */
static bool parse_zone(const char **at, int64_t *east) {
    *east = 0;
    if (accept(at, 'Z') || **at == 0)
        return true;
    int sign = **at == '-' ? -1 : 1;
    if (!accept(at, '+') && !accept(at, '-'))
        return false;
    int hours = digits(at, 2), minutes = 0;
    if (accept(at, ':') || isdigit((unsigned char)**at))
        minutes = digits(at, 2);
    *east = sign * ((int64_t)hours * 3600 + minutes * 60);
    return hours >= 0 && hours <= 14 && minutes >= 0 && minutes < 60;
}

/* "2016-07", "2016-07-01", "2016-07-01T12:30:00.5+02:00", with a blank for the T allowed. */
static bool parse_iso(const char *text, int64_t *time) {
    const char *at = text;
    int64_t clock = 0, east = 0;
    int year = digits(&at, 4), month = accept(&at, '-') ? digits(&at, 2) : -1, day = 1;
    if (year < 0 || month < 1 || month > 12)
        return false;
    if (accept(&at, '-')) {
        day = digits(&at, 2);
        if (day < 1 || day > days_of(year, month))
            return false;
        if ((accept(&at, 'T') || accept(&at, 't') || accept(&at, ' ')) &&
            (!parse_clock(&at, &clock) || !parse_zone(&at, &east)))
            return false;
    }
    *time = tic_time_of(year, month, day) + clock - east;
    return *at == 0;
}

/* Seconds until the year 5138, milliseconds beyond: the ranges of real dates do not meet. */
static bool from_number(double value, int64_t *time) {
    if (!(fabs(value) < 1e15))
        return false;
    *time = (int64_t)floor(fabs(value) < 1e11 ? value : value / 1000);
    return true;
}

static bool from_text(const char *text, int64_t *time) {
    char *end;
    double value = strtod(text, &end);
    if (end != text && *end == 0)
        return from_number(value, time);
    return parse_iso(text, time);
}

bool tic_time_parse(const json_t *value, int64_t *time) {
    bool read = json_is_number(value)   ? from_number(json_number_value(value), time)
                : json_is_string(value) ? from_text(json_string_value(value), time)
                                        : false;
    return read && *time >= tic_time_of(1990, 1, 1) && *time < tic_time_of(2101, 1, 1);
}
