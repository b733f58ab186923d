/* Folders of tests: made fresh, removed with all that is in them. */
#ifndef TIC_TESTS_CONTINUAL_FOLDER_H
#define TIC_TESTS_CONTINUAL_FOLDER_H

#include "continual/continual.h"
#include <criterion/criterion.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

static inline void make_test_folder(char out[TIC_PATH]) {
    const char *base = getenv("TMPDIR");
    snprintf(out, TIC_PATH, "%.500s/ticlip-continual-XXXXXX", base != NULL ? base : "/tmp");
    cr_assert(mkdtemp(out) != NULL, "no temporary folder");
}

static inline int remove_one(const char *path, const struct stat *status, int type,
                             struct FTW *walk) {
    (void)status, (void)type, (void)walk;
    return remove(path);
}

static inline void remove_test_folder(const char *folder) {
    nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

#endif
