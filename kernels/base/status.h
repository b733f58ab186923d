/* Status codes and errors: the one way a ticlip function reports failure.
 *
 * Every function that can fail returns a tic_status and takes a tic_error that the caller owns.
 * On success the error is left untouched. The library never prints, exits or aborts; the command
 * line prints `ticlip: <text>` and exits with the status as its exit code. */
#ifndef TIC_BASE_STATUS_H
#define TIC_BASE_STATUS_H

/* The values are the exit codes of the command line (docs/formats.md). */
typedef enum tic_status {
    TIC_OK = 0,
    TIC_EINTERNAL = 1,    /* a bug in ticlip: an invariant did not hold */
    TIC_EUSAGE = 2,       /* a flag, a name or an argument that cannot be */
    TIC_EINPUT = 3,       /* a file that is not what it should be: file, offset, cause are named */
    TIC_EVERIFY = 4,      /* a claim that was rechecked and does not hold */
    TIC_ERESOURCE = 5,    /* memory, disk, or a folder that another run holds */
    TIC_EINTERRUPTED = 6, /* stopped at the user's wish, state saved: the same command continues */
} tic_status;

enum { TIC_ERROR_TEXT = 768 };

typedef struct tic_error {
    tic_status status;
    char text[TIC_ERROR_TEXT]; /* one line, no newline, UTF-8 */
} tic_error;

/* Fills *err (when not NULL) with the status and the formatted line; returns the status, so that
 * a failing function can end with `return tic_fail(err, TIC_EINPUT, "%s@%lld: ...", ...)`. */
tic_status tic_fail(tic_error *err, tic_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<formatted>: " before the text that is already in *err; returns err->status. */
tic_status tic_fail_in(tic_error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Returns from the calling function when `call` failed. For functions that own nothing. */
#define TIC_TRY(call)                                                                              \
    do {                                                                                           \
        tic_status tic_try_status_ = (call);                                                       \
        if (tic_try_status_ != TIC_OK)                                                             \
            return tic_try_status_;                                                                \
    } while (0)

#endif
