/* Makes the small world that the tests of continual/ train on: make_world FOLDER. Run by Meson
 * before them. */
#include "tests/continual/folder.h"

int main(int argc, char **argv) {
    tic_error err;
    if (argc != 2)
        return 2;
    remove_test_folder(argv[1]);
    tic_world_options options = {.folder = argv[1], .pairs = 1500, .seed = 1};
    if (tic_world_generate(&options, &err) != TIC_OK) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    return 0;
}
