/* Times of samples, and the calendar under the steps. */
#include "tests/data/support.h"
#include <criterion/criterion.h>
#include <time.h>

static bool parse(const char *text, int64_t *time) {
    json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
    cr_assert(json != NULL, "%s", text);
    bool read = tic_time_parse(json, time);
    json_decref(json);
    return read;
}

Test(times, accepted) {
    static const struct {
        const char *json;
        int64_t time;
    } cases[] = {
        {"1372636800", 1372636800},
        {"1372636800.75", 1372636800},
        {"\"1372636800\"", 1372636800},
        {"1372636800123", 1372636800},
        {"\"1372636800123\"", 1372636800},
        {"631152000", 631152000},   /* 1990-01-01: the first that counts */
        {"4133980799", 4133980799}, /* the last second of 2100 */
        {"\"2013-07-01\"", 1372636800},
        {"\"2013-07\"", 1372636800},
        {"\"2013-07-01T01:02:03\"", 1372636800 + 3723},
        {"\"2013-07-01 01:02\"", 1372636800 + 3720},
        {"\"2013-07-01T01:02:03.999Z\"", 1372636800 + 3723},
        {"\"2013-07-01T01:02:03+01:00\"", 1372636800 + 123},
        {"\"2013-06-30T22:32:03-0130\"", 1372636800 + 123},
        {"\"2013-07-01T02:00:00+02\"", 1372636800},
        {"\"2016-02-29T00:00:00Z\"", 1456704000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t time = 0;
        cr_expect(parse(cases[i].json, &time), "%s", cases[i].json);
        cr_expect(time == cases[i].time, "%s: %lld", cases[i].json, (long long)time);
    }
}

Test(times, refused) {
    static const char *const cases[] = {
        "null",
        "true",
        "[]",
        "\"\"",
        "\"soon\"",
        "0",
        "-1372636800",
        "631151999",  /* 1989 */
        "4133980800", /* 2101 */
        "1e300",
        "\"nan\"",
        "\"inf\"",
        "\"2013\"", /* seconds, not a year */
        "\"2013-13-01\"",
        "\"2013-00-01\"",
        "\"2013-02-29\"",
        "\"2013-07-32\"",
        "\"2013-07-01T\"",
        "\"2013-07-01T25:00:00\"",
        "\"2013-07-01T00:60:00\"",
        "\"2013-07-01T00:00:00+99\"",
        "\"2013-07-01T00:00:00X\"",
        "\"2013-07-01 and more\"",
        "\"01/07/2013\"",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t time;
        cr_expect(!parse(cases[i], &time), "%s", cases[i]);
    }
}

/* Every month of three centuries, against libc. */
Test(times, calendar) {
    for (int year = 1900; year < 2200; year++)
        for (int month = 1; month <= 12; month++) {
            struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = 1};
            int64_t want = timegm(&tm), got = tic_time_of(year, month, 1);
            int y, m;
            cr_assert(got == want, "%d-%d", year, month);
            tic_time_civil(got, &y, &m);
            cr_assert(y == year && m == month);
            tic_time_civil(got - 1, &y, &m);
            cr_assert(y == (month == 1 ? year - 1 : year) && m == (month == 1 ? 12 : month - 1));
        }
}
