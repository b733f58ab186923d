/* Whole reads with a limit, atomic writes, appended lines, folders and locks. Interrupted and
 * short system calls are continued; every failure names the file. */
#include "kernels/base/file.h"

#include "kernels/base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- system calls that are carried through -------------------------------------------------- */

/* "cannot <verb>: <cause>"; a full or broken disk and a lack of handles are resources, the rest
 * (missing, forbidden, not a folder) is what the user gave. */
static tic_status fail_errno(tic_error *err, const char *path, const char *verb, int cause) {
    bool resource = cause == ENOSPC || cause == EDQUOT || cause == EIO || cause == EFBIG ||
                    cause == EMFILE || cause == ENFILE || cause == ENOMEM || cause == ENOLCK;
    char text[128];
    return tic_fail(err, resource ? TIC_ERESOURCE : TIC_EINPUT, "%s: cannot %s: %s", path, verb,
                    strerror_r(cause, text, sizeof text));
}

static int open_file(const char *path, int flags) {
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static ssize_t read_some(int fd, void *bytes, size_t size) {
    ssize_t got;
    do
        got = read(fd, bytes, size);
    while (got < 0 && errno == EINTR);
    return got;
}

/* 0, or the errno of the write that failed. */
static int write_all(int fd, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t put = write(fd, bytes, size);
        if (put < 0 && errno != EINTR)
            return errno;
        if (put == 0)
            return ENOSPC; /* a device that takes nothing and says nothing */
        if (put > 0) {
            bytes += put;
            size -= (size_t)put;
        }
    }
    return 0;
}

static int sync_file(int fd) {
    int result;
    do
        result = fsync(fd);
    while (result != 0 && errno == EINTR);
    /* EINVAL, EROFS: something that cannot be synced (a pipe, a device) holds nothing to lose */
    return result == 0 || errno == EINVAL || errno == EROFS ? 0 : errno;
}

/* Makes a new or renamed entry last: syncs the folder that holds `path`. */
static int sync_parent(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = NULL;
    if (tic_strdup(&folder, slash == NULL ? "." : slash == path ? "/" : path, NULL) != TIC_OK)
        return ENOMEM;
    if (slash != NULL && slash != path)
        folder[slash - path] = '\0';
    int fd = open_file(folder, O_RDONLY | O_DIRECTORY);
    int cause = fd < 0 ? errno : sync_file(fd);
    if (fd >= 0)
        close(fd);
    tic_free(folder);
    return cause;
}

/* ---- reading -------------------------------------------------------------------------------- */

static tic_status read_rest(int fd, const char *path, size_t limit, size_t expected, char **bytes,
                            size_t *size, tic_error *err) {
    size_t used = 0, capacity = expected + 1; /* one for the NUL */
    TIC_TRY(tic_alloc(bytes, capacity, 1, err));
    for (;;) {
        if (used + 1 == capacity) { /* a pipe, or a file that grew: look whether there is more */
            size_t wider = capacity * 2 < limit + 2 ? capacity * 2 : limit + 2;
            TIC_TRY(tic_grow(bytes, capacity, wider, 1, err));
            capacity = wider;
        }
        ssize_t got = read_some(fd, *bytes + used, capacity - 1 - used);
        if (got < 0)
            return fail_errno(err, path, "read", errno);
        if (got == 0)
            break;
        used += (size_t)got;
        if (used > limit)
            return tic_fail(err, TIC_EINPUT, "%s: larger than the %zu bytes allowed here", path,
                            limit);
    }
    (*bytes)[used] = '\0';
    *size = used;
    return TIC_OK;
}

tic_status tic_file_read(const char *path, size_t limit, char **bytes, size_t *size,
                         tic_error *err) {
    *bytes = NULL;
    *size = 0;
    int fd = open_file(path, O_RDONLY);
    if (fd < 0)
        return fail_errno(err, path, "open", errno);
    struct stat info;
    tic_status status = TIC_OK;
    if (fstat(fd, &info) != 0)
        status = fail_errno(err, path, "read", errno);
    else if (S_ISDIR(info.st_mode))
        status = fail_errno(err, path, "read", EISDIR);
    else if (S_ISREG(info.st_mode) && (uint64_t)info.st_size > limit)
        status = tic_fail(err, TIC_EINPUT, "%s: %lld bytes, larger than the %zu allowed here", path,
                          (long long)info.st_size, limit);
    else
        status = read_rest(fd, path, limit, S_ISREG(info.st_mode) ? (size_t)info.st_size : 0, bytes,
                           size, err);
    close(fd);
    if (status != TIC_OK) {
        tic_free(*bytes);
        *bytes = NULL;
    }
    return status;
}

/* ---- writing -------------------------------------------------------------------------------- */

enum { WRITER_BUFFER = 1 << 16 };

struct tic_writer {
    int fd;
    size_t used;
    char *path, *temporary; /* both behind the buffer, in the same block */
    char buffer[WRITER_BUFFER];
};

tic_status tic_writer_open(tic_writer **out, const char *path, tic_error *err) {
    enum { SUFFIX = 32 };
    size_t length = strlen(path) + 1;
    tic_writer *writer;
    *out = NULL;
    TIC_TRY(tic_alloc(&writer, sizeof *writer + 2 * length + SUFFIX, 1, err));
    writer->path = (char *)(writer + 1);
    writer->temporary = writer->path + length;
    memcpy(writer->path, path, length);
    snprintf(writer->temporary, length + SUFFIX, "%s.tmp.%ld", path, (long)getpid());
    writer->fd = open_file(writer->temporary, O_WRONLY | O_CREAT | O_TRUNC);
    if (writer->fd < 0) {
        tic_status status = fail_errno(err, path, "create", errno);
        tic_free(writer);
        return status;
    }
    *out = writer;
    return TIC_OK;
}

static int flush(tic_writer *writer) {
    int cause = write_all(writer->fd, writer->buffer, writer->used);
    writer->used = 0;
    return cause;
}

tic_status tic_writer_put(tic_writer *writer, const void *bytes, size_t size, tic_error *err) {
    int cause = 0;
    if (size > WRITER_BUFFER - writer->used)
        cause = flush(writer);
    if (cause == 0 && size > WRITER_BUFFER) {
        cause = write_all(writer->fd, bytes, size);
    } else if (cause == 0 && size > 0) {
        memcpy(writer->buffer + writer->used, bytes, size);
        writer->used += size;
    }
    return cause == 0 ? TIC_OK : fail_errno(err, writer->path, "write", cause);
}

tic_status tic_writer_commit(tic_writer *writer, tic_error *err) {
    int cause = flush(writer);
    if (cause == 0)
        cause = sync_file(writer->fd);
    if (close(writer->fd) != 0 && cause == 0 && errno != EINTR)
        cause = errno;
    writer->fd = -1;
    if (cause == 0 && rename(writer->temporary, writer->path) != 0)
        cause = errno;
    if (cause == 0)
        cause = sync_parent(writer->path);
    tic_status status = cause == 0 ? TIC_OK : fail_errno(err, writer->path, "write", cause);
    if (cause == 0)
        tic_free(writer);
    else
        tic_writer_abandon(writer);
    return status;
}

void tic_writer_abandon(tic_writer *writer) {
    if (writer == NULL)
        return;
    if (writer->fd >= 0)
        close(writer->fd);
    unlink(writer->temporary);
    tic_free(writer);
}

tic_status tic_file_write(const char *path, const void *bytes, size_t size, tic_error *err) {
    tic_writer *writer;
    TIC_TRY(tic_writer_open(&writer, path, err));
    tic_status status = tic_writer_put(writer, bytes, size, err);
    if (status == TIC_OK)
        return tic_writer_commit(writer, err);
    tic_writer_abandon(writer);
    return status;
}

/* Where the last complete line ends: after the last newline, 0 if there is none; -1: errno. */
static off_t end_of_lines(int fd) {
    off_t end = lseek(fd, 0, SEEK_END);
    while (end > 0) {
        char chunk[4096];
        size_t size = end < (off_t)sizeof chunk ? (size_t)end : sizeof chunk;
        if (lseek(fd, end - (off_t)size, SEEK_SET) < 0)
            return -1;
        for (size_t got = 0; got < size;) {
            ssize_t some = read_some(fd, chunk + got, size - got);
            if (some <= 0)
                return -1;
            got += (size_t)some;
        }
        const char *newline = memrchr(chunk, '\n', size);
        if (newline != NULL)
            return end - (off_t)size + (newline - chunk) + 1;
        end -= (off_t)size;
    }
    return end;
}

/* Puts the line at `end`, cutting off what a crash left there; a line that does not fit whole is
 * taken back. */
static int append_at(int fd, off_t end, const char *line, size_t length) {
    if (ftruncate(fd, end) != 0 && errno != EINVAL) /* EINVAL: a device, which keeps nothing */
        return errno;
    if (lseek(fd, end, SEEK_SET) < 0)
        return errno;
    int cause = write_all(fd, line, length);
    if (cause == 0)
        return sync_file(fd);
    /* Best effort: if even this fails, the next append cuts the torn line off. */
    if (ftruncate(fd, end) != 0)
        return cause;
    return cause;
}

tic_status tic_file_append_line(const char *path, const char *line, tic_error *err) {
    size_t length = strlen(line);
    char *text;
    bool existed = tic_file_exists(path);
    TIC_TRY(tic_alloc(&text, length + 1, 1, err));
    memcpy(text, line, length);
    text[length] = '\n';
    int fd = open_file(path, O_RDWR | O_CREAT);
    int cause = fd < 0 ? errno : 0;
    off_t end = cause == 0 ? end_of_lines(fd) : 0;
    if (end < 0)
        cause = errno != 0 ? errno : EIO;
    if (cause == 0)
        cause = append_at(fd, end, text, length + 1);
    if (fd >= 0 && close(fd) != 0 && cause == 0 && errno != EINTR)
        cause = errno;
    if (cause == 0 && !existed)
        cause = sync_parent(path);
    tic_free(text);
    return cause == 0 ? TIC_OK : fail_errno(err, path, "append", cause);
}

/* ---- names, folders, locks ------------------------------------------------------------------ */

bool tic_file_exists(const char *path) {
    return access(path, F_OK) == 0;
}

static tic_status make_one(const char *path, tic_error *err) {
    struct stat info;
    if (mkdir(path, 0777) == 0)
        return TIC_OK;
    int cause = errno;
    if (stat(path, &info) == 0) {
        if (S_ISDIR(info.st_mode))
            return TIC_OK;
        cause = ENOTDIR;
    }
    return fail_errno(err, path, "make the folder", cause);
}

tic_status tic_make_folder(const char *path, tic_error *err) {
    char *part;
    tic_status status = TIC_OK;
    TIC_TRY(tic_strdup(&part, path, err));
    for (char *slash = part + (part[0] == '/'); status == TIC_OK && *slash != '\0'; slash++) {
        if (*slash != '/')
            continue;
        *slash = '\0';
        status = make_one(part, err);
        *slash = '/';
    }
    if (status == TIC_OK)
        status = make_one(part, err);
    tic_free(part);
    return status;
}

tic_status tic_path_join(char *out, size_t size, const char *folder, const char *name,
                         tic_error *err) {
    size_t length = strlen(folder);
    const char *between = length > 0 && folder[length - 1] != '/' ? "/" : "";
    int need = snprintf(out, size, "%s%s%s", folder, between, name);
    if (need < 0 || (size_t)need >= size)
        return tic_fail(err, TIC_EUSAGE, "%s%s%s: the path is longer than %zu bytes", folder,
                        between, name, size - 1);
    return TIC_OK;
}

tic_status tic_lock(const char *path, int *handle, tic_error *err) {
    *handle = -1;
    int fd = open_file(path, O_RDWR | O_CREAT);
    if (fd < 0)
        return fail_errno(err, path, "open the lock", errno);
    int result;
    do
        result = flock(fd, LOCK_EX | LOCK_NB);
    while (result != 0 && errno == EINTR);
    if (result == 0) {
        *handle = fd;
        return TIC_OK;
    }
    int cause = errno;
    close(fd);
    if (cause == EWOULDBLOCK)
        return tic_fail(err, TIC_ERESOURCE, "%s: held by another process; wait for it or end it",
                        path);
    return fail_errno(err, path, "lock", cause);
}

void tic_unlock(int handle) {
    if (handle >= 0)
        close(handle);
}
