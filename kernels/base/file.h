/* Files: whole reads with a limit, and writes that appear complete or not at all. */
#ifndef TIC_BASE_FILE_H
#define TIC_BASE_FILE_H

#include "status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads a whole file of at most `limit` bytes and adds a NUL after it. On success *bytes is the
 * caller's (tic_free). Missing or unreadable: TIC_EINPUT naming the path and the cause. */
tic_status tic_file_read(const char *path, size_t limit, char **bytes, size_t *size,
                         tic_error *err);

/* A file in the making: written as "<path>.tmp.<pid>", fsynced and renamed by commit. */
typedef struct tic_writer tic_writer;
tic_status tic_writer_open(tic_writer **out, const char *path, tic_error *err);
tic_status tic_writer_put(tic_writer *writer, const void *bytes, size_t size, tic_error *err);
/* Success or failure, the writer is gone afterwards; on failure so is the temporary, and what was
 * at `path` before is untouched. */
tic_status tic_writer_commit(tic_writer *writer, tic_error *err);
void tic_writer_abandon(tic_writer *writer); /* NULL is allowed */

/* The same in one call. */
tic_status tic_file_write(const char *path, const void *bytes, size_t size, tic_error *err);
/* Appends one line (a newline is added) and fsyncs; a torn last line of a crash is cut off first.
 */
tic_status tic_file_append_line(const char *path, const char *line, tic_error *err);

bool tic_file_exists(const char *path);
tic_status tic_make_folder(const char *path,
                           tic_error *err); /* with its parents, existing is fine */
/* Joins with '/', into a caller's buffer; TIC_EUSAGE if it does not fit. */
tic_status tic_path_join(char *out, size_t size, const char *folder, const char *name,
                         tic_error *err);
/* An exclusive lock on a file, held until unlock or the process ends; TIC_ERESOURCE when another
 * process holds it. */
tic_status tic_lock(const char *path, int *handle, tic_error *err);
void tic_unlock(int handle);

#endif
