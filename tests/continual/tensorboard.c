/* TensorBoard files: the checksum's published values, and every record read back by hand. */
#include "continual/room.h"
#include <criterion/criterion.h>
#include <string.h>

static tic_error err;

Test(tensorboard, crc32c) {
    /* RFC 3720, B.4, and the usual check value. */
    unsigned char bytes[32] = {0};
    cr_assert_eq(tic_crc32c("123456789", 9), 0xE3069283u);
    cr_assert_eq(tic_crc32c(bytes, 32), 0x8A9136AAu);
    memset(bytes, 0xFF, 32);
    cr_assert_eq(tic_crc32c(bytes, 32), 0x62A8AB43u);
    for (int i = 0; i < 32; i++)
        bytes[i] = (unsigned char)i;
    cr_assert_eq(tic_crc32c(bytes, 32), 0x46DD794Eu);
}

/* The data of the record at *at, checked; moves *at to the next. */
static const unsigned char *record(const tic_board *board, size_t *at, uint64_t *length) {
    uint32_t head, tail;
    cr_assert(*at + 12 <= board->size);
    memcpy(length, board->bytes + *at, 8);
    memcpy(&head, board->bytes + *at + 8, 4);
    cr_assert(*at + 16 + *length <= board->size);
    memcpy(&tail, board->bytes + *at + 12 + *length, 4);
    cr_assert_eq(head, tic_crc32c_masked(board->bytes + *at, 8));
    cr_assert_eq(tail, tic_crc32c_masked(board->bytes + *at + 12, *length));
    const unsigned char *data = board->bytes + *at + 12;
    *at += 16 + *length;
    return data;
}

Test(tensorboard, records) {
    tic_board board = {.size = 0};
    const tic_scalar scalars[] = {{"train/loss", 2.5f}, {"train/lr", -0.0f}};
    cr_assert_eq(tic_board_begin(&board, 1.5, &err), TIC_OK);
    cr_assert_eq(tic_board_add(&board, 2.5, 300, scalars, 2, &err), TIC_OK);
    size_t at = 0;
    uint64_t length;
    double wall = 1.5;
    const unsigned char *data = record(&board, &at, &length);
    cr_assert_eq(length, 9 + 2 + 13);
    cr_assert(data[0] == 0x09 && memcmp(data + 1, &wall, 8) == 0);
    cr_assert(memcmp(data + 9,
                     "\x1A\x0D"
                     "brain.Event:2",
                     15) == 0);

    wall = 2.5;
    data = record(&board, &at, &length);
    cr_assert(data[0] == 0x09 && memcmp(data + 1, &wall, 8) == 0);
    cr_assert(memcmp(data + 9, "\x10\xAC\x02", 3) == 0, "step 300 as a varint");
    /* Summary of two values: tags of 10 and 8 bytes, each with two keys, a length and a float. */
    cr_assert(memcmp(data + 12,
                     "\x2A\x24"
                     "\x0A\x11\x0A\x0A"
                     "train/loss\x15\x00\x00\x20\x40",
                     21) == 0);
    cr_assert(memcmp(data + 12 + 2 + 19, "\x0A\x0F\x0A\x08train/lr\x15\x00\x00\x00\x80", 17) == 0);
    cr_assert_eq(length, 12 + 2 + 0x24);
    cr_assert_eq(at, board.size);
    tic_board_free(&board);
}
