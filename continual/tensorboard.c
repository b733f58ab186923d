/* TensorBoard event files by hand: TFRecord framing (room.h) around tensorflow.Event protobufs
 * (tensorflow/core/util/event.proto and framework/summary.proto: Event{1 wall_time double,
 * 2 step int64, 3 file_version string, 5 summary}, Summary{1 repeated Value{1 tag string,
 * 2 simple_value float}}). */
#include "room.h"
#include <string.h>
#include <time.h>

double tic_wall_time(void) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* CRC-32C (Castagnoli), reflected polynomial 0x82F63B78; records are short: bit by bit will do. */
uint32_t tic_crc32c(const void *bytes, size_t size) {
    uint32_t crc = 0xFFFFFFFFu;
    for (size_t i = 0; i < size; i++) {
        crc ^= ((const unsigned char *)bytes)[i];
        for (int bit = 0; bit < 8; bit++)
            crc = (crc >> 1) ^ (0x82F63B78u & (0u - (crc & 1)));
    }
    return ~crc;
}

uint32_t tic_crc32c_masked(const void *bytes, size_t size) {
    uint32_t crc = tic_crc32c(bytes, size);
    return ((crc >> 15) | (crc << 17)) + 0xA282EAD8u;
}

/* A message in the making; longer ones than fit are a bug of the caller's. */
typedef struct message {
    unsigned char bytes[2048];
    size_t size;
    bool full;
} message;

static void put(message *m, const void *bytes, size_t size) {
    m->full |= size > sizeof m->bytes - m->size;
    if (m->full)
        return;
    memcpy(m->bytes + m->size, bytes, size);
    m->size += size;
}

static void put_varint(message *m, uint64_t value) {
    do {
        unsigned char byte = (unsigned char)((value & 0x7F) | (value > 0x7F ? 0x80 : 0));
        put(m, &byte, 1);
        value >>= 7;
    } while (value != 0);
}

/* Wire types: 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes. x86-64 is little-endian,
 * as the format is. */
static void put_key(message *m, int field, int wire) {
    put_varint(m, (uint64_t)(field << 3 | wire));
}

static void put_block(message *m, int field, const void *bytes, size_t size) {
    put_key(m, field, 2);
    put_varint(m, size);
    put(m, bytes, size);
}

static tic_status append(tic_board *board, const void *bytes, size_t size, tic_error *err) {
    if (size > board->capacity - board->size) {
        size_t capacity = 2 * board->capacity + size + 4096;
        TIC_TRY(tic_grow(&board->bytes, board->capacity, capacity, 1, err));
        board->capacity = capacity;
    }
    memcpy(board->bytes + board->size, bytes, size);
    board->size += size;
    return TIC_OK;
}

static tic_status add_record(tic_board *board, const message *m, tic_error *err) {
    unsigned char frame[12], tail[4];
    uint64_t length = m->size;
    if (m->full)
        return tic_fail(err, TIC_EINTERNAL, "a TensorBoard record of more than %zu bytes",
                        sizeof m->bytes);
    memcpy(frame, &length, 8);
    memcpy(frame + 8, &(uint32_t){tic_crc32c_masked(frame, 8)}, 4);
    memcpy(tail, &(uint32_t){tic_crc32c_masked(m->bytes, m->size)}, 4);
    TIC_TRY(append(board, frame, sizeof frame, err));
    TIC_TRY(append(board, m->bytes, m->size, err));
    return append(board, tail, sizeof tail, err);
}

tic_status tic_board_begin(tic_board *board, double wall_time, tic_error *err) {
    static const char version[] = "brain.Event:2";
    message m = {.size = 0};
    put_key(&m, 1, 1);
    put(&m, &wall_time, 8);
    put_block(&m, 3, version, sizeof version - 1);
    board->size = 0;
    return add_record(board, &m, err);
}

tic_status tic_board_add(tic_board *board, double wall_time, int64_t step,
                         const tic_scalar *scalars, int count, tic_error *err) {
    message m = {.size = 0}, summary = {.size = 0};
    for (int i = 0; i < count; i++) {
        message value = {.size = 0};
        put_block(&value, 1, scalars[i].tag, strlen(scalars[i].tag));
        put_key(&value, 2, 5);
        put(&value, &scalars[i].value, 4);
        put_block(&summary, 1, value.bytes, value.size);
    }
    put_key(&m, 1, 1);
    put(&m, &wall_time, 8);
    put_key(&m, 2, 0);
    put_varint(&m, (uint64_t)step);
    put_block(&m, 5, summary.bytes, summary.size);
    m.full |= summary.full;
    return add_record(board, &m, err);
}

tic_status tic_board_read(tic_board *board, const char *path, size_t size, tic_error *err) {
    char *bytes;
    size_t have;
    TIC_TRY(tic_file_read(path, TIC_FILE_LIMIT, &bytes, &have, err));
    board->size = 0;
    tic_status status = have < size ? tic_fail(err, TIC_EINPUT,
                                               "%s@%zu: shorter than when it was saved", path, have)
                                    : append(board, bytes, size, err);
    tic_free(bytes);
    return status;
}

static uint32_t word_at(const char *at) {
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

tic_status tic_board_check(const char *path, int *records, tic_error *err) {
    enum { HEAD = 12, TAIL = 4 };
    char *bytes;
    size_t size, at = 0;
    *records = 0;
    TIC_TRY(tic_file_read(path, TIC_FILE_LIMIT, &bytes, &size, err));
    for (; size - at >= HEAD + TAIL; ++*records) {
        const char *record = bytes + at;
        uint64_t length;
        memcpy(&length, record, sizeof length);
        if (length > size - at - HEAD - TAIL ||
            word_at(record + 8) != tic_crc32c_masked(record, 8) ||
            word_at(record + HEAD + length) != tic_crc32c_masked(record + HEAD, length))
            break;
        at += HEAD + length + TAIL;
    }
    tic_free(bytes);
    return at == size && *records > 0
               ? TIC_OK
               : tic_fail(err, TIC_EINPUT, "%s@%zu: no whole record", path, at);
}

void tic_board_free(tic_board *board) {
    tic_free(board->bytes);
    *board = (tic_board){.bytes = NULL};
}
