/* Files: whole reads, atomic writes, appended lines, folders, locks, and a disk that is full. */
#include "check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char folder[64];

static void make(void) {
    snprintf(folder, sizeof folder, "/tmp/ticlip-test-XXXXXX");
    cr_assert(mkdtemp(folder) != NULL);
}

static void clean(void) {
    char command[96];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    cr_assert(system(command) == 0);
}

TestSuite(file, .init = make, .fini = clean);

static const char *in_folder(const char *name) {
    static char path[4][128];
    static int turn;
    char *out = path[turn++ % 4];
    CHECK_OK(tic_path_join(out, sizeof path[0], folder, name, err));
    return out;
}

static void check_contents(const char *path, const char *expected) {
    char *bytes;
    size_t size;
    CHECK_OK(tic_file_read(path, 1 << 20, &bytes, &size, err));
    cr_assert(size == strlen(expected), "%zu bytes", size);
    cr_assert_str_eq(bytes, expected);
    tic_free(bytes);
}

Test(file, write_and_read) {
    const char *path = in_folder("a");
    CHECK_OK(tic_file_write(path, "hello", 5, err));
    check_contents(path, "hello");
    CHECK_OK(tic_file_write(path, "", 0, err));
    check_contents(path, "");
}

Test(file, read_limits_and_faults) {
    char *bytes = NULL;
    size_t size;
    const char *path = in_folder("b");
    CHECK_OK(tic_file_write(path, "12345", 5, err));
    CHECK_OK(tic_file_read(path, 5, &bytes, &size, err));
    tic_free(bytes);
    CHECK_FAILS(TIC_EINPUT, "larger", tic_file_read(path, 4, &bytes, &size, err));
    cr_assert(bytes == NULL);
    CHECK_FAILS(TIC_EINPUT, "absent", tic_file_read(in_folder("absent"), 100, &bytes, &size, err));
    CHECK_FAILS(TIC_EINPUT, folder, tic_file_read(folder, 100, &bytes, &size, err));
}

/* A pipe has no size: read to its end, and no further than the limit. */
Test(file, read_pipe) {
    const char *path = in_folder("pipe");
    cr_assert(mkfifo(path, 0600) == 0);
    for (size_t limit = 9999; limit <= 10000; limit++) {
        pid_t writer = fork();
        if (writer == 0) {
            signal(SIGPIPE, SIG_IGN);
            FILE *f = fopen(path, "w");
            for (int i = 0; i < 10000; i++)
                fputc('a' + i % 26, f);
            fclose(f);
            _exit(0);
        }
        char *bytes;
        size_t size;
        if (limit == 10000) {
            CHECK_OK(tic_file_read(path, limit, &bytes, &size, err));
            cr_assert(size == 10000 && bytes[9999] == 'a' + 9999 % 26 && bytes[10000] == 0);
            tic_free(bytes);
        } else {
            CHECK_FAILS(TIC_EINPUT, "larger", tic_file_read(path, limit, &bytes, &size, err));
        }
        cr_assert(waitpid(writer, NULL, 0) == writer);
    }
}

Test(file, writer_is_atomic) {
    const char *path = in_folder("c");
    tic_writer *writer;
    CHECK_OK(tic_file_write(path, "old", 3, err));
    CHECK_OK(tic_writer_open(&writer, path, err));
    CHECK_OK(tic_writer_put(writer, "new", 3, err));
    check_contents(path, "old");
    tic_writer_abandon(writer);
    check_contents(path, "old");
    CHECK_OK(tic_writer_open(&writer, path, err));
    char *big = check_alloc(200001, 1); /* larger than the buffer, in odd pieces */
    memset(big, 'z', 200000);
    CHECK_OK(tic_writer_put(writer, big, 1, err));
    CHECK_OK(tic_writer_put(writer, big, 65535, err));
    CHECK_OK(tic_writer_put(writer, big, 134464, err));
    CHECK_OK(tic_writer_commit(writer, err));
    check_contents(path, big);
    tic_free(big);
    char command[160];
    snprintf(command, sizeof command, "test $(ls '%s' | wc -l) = 1", folder);
    cr_assert(system(command) == 0, "a temporary was left");
}

/* A file size limit makes write fail like a full disk does, with EFBIG. */
static void limit_files(rlim_t bytes) {
    struct rlimit limit = {bytes, RLIM_INFINITY};
    signal(SIGXFSZ, SIG_IGN);
    cr_assert(setrlimit(RLIMIT_FSIZE, &limit) == 0);
}

Test(file, failed_write_leaves_the_old_file) {
    const char *path = in_folder("d");
    char big[5000];
    memset(big, 'q', sizeof big);
    CHECK_OK(tic_file_write(path, "old", 3, err));
    CHECK_OK(tic_file_append_line(in_folder("log"), "first", err));
    limit_files(1000);
    CHECK_FAILS(TIC_ERESOURCE, path, tic_file_write(path, big, sizeof big, err));
    big[4999] = '\0';
    CHECK_FAILS(TIC_ERESOURCE, "log", tic_file_append_line(in_folder("log"), big, err));
    limit_files(RLIM_INFINITY);
    check_contents(path, "old");
    check_contents(in_folder("log"), "first\n");
    char command[160];
    snprintf(command, sizeof command, "test $(ls '%s' | wc -l) = 2", folder);
    cr_assert(system(command) == 0, "a temporary was left");
}

Test(file, full_device_is_a_resource) {
    CHECK_FAILS(TIC_ERESOURCE, "/dev/full", tic_file_append_line("/dev/full", "x", err));
    CHECK_FAILS(TIC_EINPUT, "nowhere", tic_file_write(in_folder("nowhere/x"), "x", 1, err));
}

Test(file, append_cuts_a_torn_line) {
    const char *path = in_folder("e");
    CHECK_OK(tic_file_append_line(path, "one", err));
    CHECK_OK(tic_file_append_line(path, "", err));
    CHECK_OK(tic_file_append_line(path, "three", err));
    check_contents(path, "one\n\nthree\n");
    CHECK_OK(tic_file_write(path, "one\ntw", 6, err));
    CHECK_OK(tic_file_append_line(path, "two", err));
    check_contents(path, "one\ntwo\n");
    CHECK_OK(tic_file_write(path, "torn", 4, err));
    CHECK_OK(tic_file_append_line(path, "x", err));
    check_contents(path, "x\n");
    char *torn = check_alloc(9001, 1); /* longer than the chunks it is searched in */
    memset(torn, 'y', 9000);
    memcpy(torn, "good\n", 5);
    CHECK_OK(tic_file_write(path, torn, 9000, err));
    CHECK_OK(tic_file_append_line(path, "z", err));
    check_contents(path, "good\nz\n");
    tic_free(torn);
}

Test(file, folders_and_paths) {
    char small[8];
    CHECK_OK(tic_make_folder(in_folder("f/g/h"), err));
    CHECK_OK(tic_make_folder(in_folder("f/g/h"), err));
    cr_assert(tic_file_exists(in_folder("f/g/h")));
    cr_assert(!tic_file_exists(in_folder("f/x")));
    CHECK_OK(tic_file_write(in_folder("plain"), "", 0, err));
    CHECK_FAILS(TIC_EINPUT, "plain", tic_make_folder(in_folder("plain/g"), err));
    CHECK_OK(tic_path_join(small, sizeof small, "abc/", "def", err));
    cr_assert_str_eq(small, "abc/def");
    CHECK_FAILS(TIC_EUSAGE, "longer", tic_path_join(small, sizeof small, "abcd", "def", err));
}

Test(file, lock_excludes) {
    int first, second;
    const char *path = in_folder("lock");
    CHECK_OK(tic_lock(path, &first, err));
    CHECK_FAILS(TIC_ERESOURCE, "held", tic_lock(path, &second, err));
    cr_assert(second == -1);
    tic_unlock(first);
    CHECK_OK(tic_lock(path, &second, err));
    tic_unlock(second);
    tic_unlock(-1);
}
