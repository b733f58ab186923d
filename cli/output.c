/* The way out of the process: JSON documents, the last flush of stdout, the cache folder, and the
 * wish to stop. */
#include "cli/cli.h"
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

tic_status tic_cli_flush(tic_error *err) {
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return tic_fail(err, TIC_ERESOURCE, "standard output: %s",
                        errno != 0 ? strerror(errno) : "not all could be written");
    }
    return TIC_OK;
}

tic_status tic_cli_json(json_t *document, tic_error *err) {
    if (document == NULL)
        return tic_fail(
            err, TIC_ERESOURCE,
            "the JSON document cannot be made (a name that is not UTF-8, or no memory)");
    int failed = json_dumpf(document, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(12));
    json_decref(document);
    putchar('\n');
    TIC_TRY(tic_cli_flush(err));
    if (failed)
        return tic_fail(err, TIC_EINTERNAL, "the JSON document could not be written");
    return TIC_OK;
}

const char *tic_cli_text(const json_t *object, const char *key) {
    const char *text = json_string_value(json_object_get(object, key));
    return text != NULL ? text : "";
}

double tic_cli_number(const json_t *object, const char *key) {
    return json_number_value(json_object_get(object, key));
}

tic_status tic_cli_cache_folder(char *out, size_t size, const char *flag, tic_error *err) {
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    /* The XDG specification: a relative path is to be ignored. */
    if (cache != NULL && cache[0] == '/')
        TIC_TRY(tic_path_join(out, size, cache, "ticlip", err));
    else if (home != NULL && home[0] == '/')
        TIC_TRY(tic_path_join(out, size, home, ".cache/ticlip", err));
    else
        return tic_fail(err, TIC_EUSAGE, "no home folder to keep files in; name a file with %s",
                        flag);
    return tic_make_folder(out, err);
}

static volatile sig_atomic_t stop_wished;

static void wish_stop(int signal_number) {
    (void)signal_number;
    stop_wished = 1;
}

void tic_cli_catch_signals(void) {
    struct sigaction action = {.sa_handler = wish_stop, .sa_flags = SA_RESETHAND | SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool tic_cli_stopped(void *user) {
    (void)user;
    return stop_wished != 0;
}
