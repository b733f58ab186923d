/* Progress on stderr: one live line on a terminal, a line now and then in a pipe. There is one
 * stderr, so its state is one static struct; it is used from the main thread only. */
#include "cli/cli.h"
#include <math.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { LINE = 512 };
static const double LIVE_EVERY = 0.1, PIPE_EVERY = 10.0; /* seconds */

static struct {
    bool asked, tty;
    bool live;     /* a live line stands on the terminal */
    double shown;  /* when something was last shown; 0: never */
    char what[64]; /* tic_progress_work: the work in hand, */
    double began;  /* when it began */
} state;

static bool on_terminal(void) {
    if (!state.asked) {
        state.asked = true;
        state.tty = isatty(STDERR_FILENO) == 1;
    }
    return state.tty;
}

/* Cuts to `columns` code points, never inside one. */
static void cut(char *line, int columns) {
    for (char *at = line; *at != '\0'; at++)
        if (((unsigned char)*at & 0xC0) != 0x80 && columns-- == 0) {
            *at = '\0';
            return;
        }
}

static int terminal_columns(void) {
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 20 ? size.ws_col : 80;
}

void tic_progress_show(const char *format, ...) {
    double now = tic_now();
    bool tty = on_terminal();
    if (state.shown != 0 && now - state.shown < (tty ? LIVE_EVERY : PIPE_EVERY))
        return;
    state.shown = now;
    char line[LINE];
    va_list list;
    va_start(list, format);
    vsnprintf(line, sizeof line, format, list);
    va_end(list);
    if (tty) {
        cut(line, terminal_columns() - 3); /* room for the "^C" that a terminal echoes */
        fprintf(stderr, "\r\033[K%s", line);
        fflush(stderr);
        state.live = true;
    } else {
        fprintf(stderr, "%s\n", line);
    }
}

void tic_progress_note(const char *format, ...) {
    tic_progress_end();
    va_list list;
    va_start(list, format);
    vfprintf(stderr, format, list);
    va_end(list);
    fputc('\n', stderr);
}

void tic_progress_end(void) {
    if (state.live)
        fprintf(stderr, "\r\033[K");
    fflush(stderr);
    state.live = false;
}

void tic_progress_work(void *user, const char *what, uint64_t done, uint64_t total) {
    (void)user;
    double now = tic_now();
    if (done == 0 || strncmp(state.what, what, sizeof state.what - 1) != 0) {
        snprintf(state.what, sizeof state.what, "%s", what);
        state.began = now;
    }
    char left[32] = "";
    double spent = now - state.began;
    if (total == 0 || done == 0 || spent < 0.5) {
        if (total == 0 && done == 0)
            tic_progress_show("%s", what);
        else if (total == 0)
            tic_progress_show("%s: %llu", what, (unsigned long long)done);
        else
            tic_progress_show("%s: %llu of %llu", what, (unsigned long long)done,
                              (unsigned long long)total);
        return;
    }
    double share = (double)done / (double)total;
    tic_progress_show("%s: %llu of %llu (%.0f %%), %s left", what, (unsigned long long)done,
                      (unsigned long long)total, 100 * share,
                      tic_duration(left, spent * (1 - share) / share));
}

const char *tic_duration(char text[32], double seconds) {
    long long whole = (long long)(seconds < 0 ? 0 : seconds + 0.5);
    if (seconds < 10)
        snprintf(text, 32, "%.1f s", seconds < 0 ? 0 : seconds);
    else if (whole < 60)
        snprintf(text, 32, "%lld s", whole);
    else if (whole < 3600)
        snprintf(text, 32, "%lld min %02lld s", whole / 60, whole % 60);
    else
        snprintf(text, 32, "%lld h %02lld min", whole / 3600, whole / 60 % 60);
    return text;
}

const char *tic_quantity(char text[32], double value) {
    static const char *const units[] = {"", " k", " M", " G", " T", " P", " E"};
    int unit = 0;
    double size = fabs(value);
    while (size >= 999.5 && unit < 6) {
        size /= 1000;
        value /= 1000;
        unit++;
    }
    int digits = unit == 0 && value == floor(value) ? 0 : size < 9.995 ? 2 : size < 99.95 ? 1 : 0;
    snprintf(text, 32, "%.*f%s", digits, value, units[unit]);
    return text;
}
