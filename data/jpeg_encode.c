/* RGB to JPEG through libjpeg-turbo, into memory that is ours. */
#include "data/room.h"
#include <setjmp.h>
#include <stdio.h> /* jpeglib.h wants FILE */

#include <jpeglib.h>

typedef struct encoder {
    struct jpeg_compress_struct jpeg; /* first: libjpeg's pointer is also ours */
    struct jpeg_error_mgr errors;
    struct jpeg_destination_mgr sink;
    jmp_buf out;
    uint8_t *bytes;
    size_t capacity;
    tic_status status;
    tic_error *err;
} encoder;

static void on_error(j_common_ptr common) {
    encoder *e = (encoder *)common;
    char text[JMSG_LENGTH_MAX];
    common->err->format_message(common, text);
    if (e->status == TIC_OK)
        e->status = tic_fail(e->err, TIC_EUSAGE, "cannot encode as JPEG: %s", text);
    longjmp(e->out, 1);
}

static void on_output(j_common_ptr common) {
    (void)common; /* the library never prints */
}

static void grow(encoder *e, size_t used) {
    size_t capacity = used + used / 2 + 4096;
    e->status = tic_grow(&e->bytes, used, capacity, 1, e->err);
    if (e->status != TIC_OK)
        longjmp(e->out, 1);
    e->capacity = capacity;
    e->sink.next_output_byte = e->bytes + used;
    e->sink.free_in_buffer = capacity - used;
}

static void sink_begin(j_compress_ptr jpeg) {
    grow((encoder *)jpeg, 0);
}

static boolean sink_full(j_compress_ptr jpeg) {
    encoder *e = (encoder *)jpeg;
    grow(e, e->capacity); /* libjpeg means the whole buffer, whatever free_in_buffer says */
    return TRUE;
}

static void sink_end(j_compress_ptr jpeg) {
    (void)jpeg;
}

static void compress(encoder *e, const tic_image *image, int quality) {
    jpeg_create_compress(&e->jpeg);
    e->jpeg.dest = &e->sink;
    e->jpeg.image_width = (JDIMENSION)image->width;
    e->jpeg.image_height = (JDIMENSION)image->height;
    e->jpeg.input_components = 3;
    e->jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&e->jpeg);
    jpeg_set_quality(&e->jpeg, quality, TRUE);
    jpeg_start_compress(&e->jpeg, TRUE);
    while (e->jpeg.next_scanline < e->jpeg.image_height) {
        JSAMPROW row = image->pixels + (size_t)e->jpeg.next_scanline * (size_t)image->width * 3;
        jpeg_write_scanlines(&e->jpeg, &row, 1);
    }
    jpeg_finish_compress(&e->jpeg);
}

tic_status tic_jpeg_encode(const tic_image *image, int quality, uint8_t **bytes, size_t *size,
                           tic_error *err) {
    encoder e = {.err = err,
                 .sink = {.init_destination = sink_begin,
                          .empty_output_buffer = sink_full,
                          .term_destination = sink_end}};
    e.jpeg.err = jpeg_std_error(&e.errors);
    e.errors.error_exit = on_error;
    e.errors.output_message = on_output;
    *bytes = NULL;
    *size = 0;
    if (!setjmp(e.out))
        compress(&e, image, quality);
    jpeg_destroy_compress(&e.jpeg);
    if (e.status != TIC_OK) {
        tic_free(e.bytes);
        return e.status;
    }
    *bytes = e.bytes;
    *size = e.capacity - e.sink.free_in_buffer;
    return TIC_OK;
}
