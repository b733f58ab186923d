/* Makes what the tests of continual/ train on: make_world FOLDER. Run by Meson before them.
 *   FOLDER/full   a generated world of 1,500 pairs with its evaluation sets
 *   FOLDER/more   200 pairs of another seed
 *   FOLDER/plain  links to the shards of both, no evaluation sets: whole runs in seconds */
#include "tests/continual/folder.h"
#include <unistd.h>

static tic_status make(const char *root, const char *name, uint64_t pairs, uint64_t seed,
                       tic_error *err) {
    char folder[TIC_PATH];
    TIC_TRY(tic_path_join(folder, sizeof folder, root, name, err));
    tic_world_options options = {.folder = folder, .pairs = pairs, .seed = seed, .size = 48};
    return tic_world_generate(&options, err);
}

static tic_status link_shard(const char *root, const char *from, const char *to, tic_error *err) {
    char link[TIC_PATH];
    TIC_TRY(tic_path_join(link, sizeof link, root, to, err));
    return symlink(from, link) == 0 ? TIC_OK : tic_fail(err, TIC_ERESOURCE, "no link %s", link);
}

static tic_status make_all(const char *root, tic_error *err) {
    char plain[TIC_PATH];
    TIC_TRY(make(root, "full", 1500, 1, err));
    TIC_TRY(make(root, "more", 200, 2, err));
    TIC_TRY(tic_path_join(plain, sizeof plain, root, "plain", err));
    TIC_TRY(tic_make_folder(plain, err));
    TIC_TRY(link_shard(root, "../full/000000.tar", "plain/000000.tar", err));
    TIC_TRY(link_shard(root, "../more/000000.tar", "plain/000001.tar", err));
    return link_shard(root, "../full/classes.json", "plain/classes.json", err);
}

int main(int argc, char **argv) {
    tic_error err;
    if (argc != 2)
        return 2;
    remove_test_folder(argv[1]);
    if (make_all(argv[1], &err) != TIC_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}
