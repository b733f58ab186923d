/* JPEG to RGB through libjpeg-turbo, which by itself has no limits: its scans, memory and pixels
 * are bounded here, and its warnings of damaged data count as errors. Colours are converted as
 * Pillow does. */
#include "data/room.h"
#include <setjmp.h>
#include <stdio.h> /* jpeglib.h wants FILE */
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

enum { MAX_PIXELS = 25000000, MAX_SCANS = 500 };
/* Coefficients of a progressive picture of MAX_PIXELS in full colour, 2 bytes each, and room. */
static const long max_memory = 256L << 20;

typedef struct decoder {
    struct jpeg_decompress_struct jpeg; /* first: libjpeg's pointer is also ours */
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr monitor;
    jmp_buf out; /* where a fatal error of libjpeg lands */
    bool scans_exceeded;
    const uint8_t *bytes;
    size_t size;
    int min_side; /* see tic_jpeg_decode */
    bool check;   /* only look whether it decodes: at 1/8 scale, rows thrown away */
    uint8_t *row; /* one row of CMYK, or what is thrown away */
    tic_image image;
    tic_reject reason;
    tic_status status;
    tic_error *err;
} decoder;

static void on_error(j_common_ptr common) {
    longjmp(((decoder *)common)->out, 1);
}

static void on_message(j_common_ptr common, int level) {
    if (level < 0)
        common->err->num_warnings++;
}

static void on_output(j_common_ptr common) {
    (void)common; /* the library never prints */
}

static void on_progress(j_common_ptr common) {
    decoder *d = (decoder *)common;
    if (d->jpeg.input_scan_number > MAX_SCANS) {
        d->scans_exceeded = true;
        longjmp(d->out, 1);
    }
}

/* The largest of 1, 2, 4, 8 by which the shorter side can be divided and stay 2 * min_side. */
static int scale_for(int width, int height, int min_side) {
    int side = width < height ? width : height, denominator = 1;
    while (min_side > 0 && denominator < 8 && side / (2 * denominator) >= 2 * (int64_t)min_side)
        denominator *= 2;
    return denominator;
}

/* Reads the header and sets the decompression up. False when it is refused, with the reason. */
static bool begin(decoder *d) {
    struct jpeg_decompress_struct *jpeg = &d->jpeg;
    jpeg_create_decompress(jpeg);
    jpeg->mem->max_memory_to_use = max_memory;
    d->monitor.progress_monitor = on_progress;
    jpeg->progress = &d->monitor;
    jpeg_mem_src(jpeg, d->bytes, d->size);
    jpeg_read_header(jpeg, TRUE);
    if ((uint64_t)jpeg->image_width * jpeg->image_height > MAX_PIXELS) {
        d->reason = TIC_REJECT_TOO_LARGE;
        return false;
    }
    if (jpeg->jpeg_color_space == JCS_UNKNOWN) { /* two components, or more than four */
        d->reason = TIC_REJECT_CORRUPT;
        return false;
    }
    bool cmyk = jpeg->jpeg_color_space == JCS_CMYK || jpeg->jpeg_color_space == JCS_YCCK;
    jpeg->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    jpeg->scale_num = 1;
    jpeg->scale_denom = d->check ? 8
                                 : (unsigned)scale_for((int)jpeg->image_width,
                                                       (int)jpeg->image_height, d->min_side);
    jpeg_start_decompress(jpeg);
    return true;
}

/* Pillow takes every CMYK JPEG for one of Adobe's, whose values are inverted (JpegImagePlugin.py,
 * "CMYK;I"), and converts without a colour profile (Convert.c, cmyk2rgb). */
static void cmyk_to_rgb(const uint8_t *from, uint8_t *to, int width) {
    for (int x = 0; x < width; x++)
        for (int c = 0; c < 3; c++) {
            int white = from[4 * x + 3], product = (255 - from[4 * x + c]) * white + 128;
            to[3 * x + c] = (uint8_t)(white - (((product >> 8) + product) >> 8));
        }
}

static tic_status allocate(decoder *d) {
    int width = (int)d->jpeg.output_width, height = (int)d->jpeg.output_height;
    d->image.width = width;
    d->image.height = height;
    TIC_TRY(tic_alloc(&d->row, (size_t)width * (size_t)d->jpeg.output_components, 1, d->err));
    if (d->check)
        return TIC_OK;
    return tic_alloc(&d->image.pixels, (size_t)width * (size_t)height * 3, 1, d->err);
}

static void read_rows(decoder *d) {
    bool cmyk = d->jpeg.output_components == 4, direct = !cmyk && !d->check;
    while (d->jpeg.output_scanline < d->jpeg.output_height) {
        uint8_t *to = direct || cmyk ? d->image.pixels : NULL;
        if (to)
            to += (size_t)d->jpeg.output_scanline * (size_t)d->image.width * 3;
        JSAMPROW row = direct ? to : d->row;
        jpeg_read_scanlines(&d->jpeg, &row, 1);
        if (cmyk && !d->check)
            cmyk_to_rgb(d->row, to, d->image.width);
    }
    jpeg_finish_decompress(&d->jpeg);
    if (d->errors.num_warnings > 0)
        d->reason = TIC_REJECT_CORRUPT;
}

/* What a fatal error means for the sample. */
static void judge(decoder *d) {
    int code = d->errors.msg_code;
    if (d->scans_exceeded || code == JERR_NO_BACKING_STORE || code == JERR_IMAGE_TOO_BIG)
        d->reason = TIC_REJECT_TOO_LARGE;
    else if (code == JERR_OUT_OF_MEMORY)
        d->status = tic_fail(d->err, TIC_ERESOURCE, "no memory to decode a JPEG");
    else
        d->reason = TIC_REJECT_CORRUPT;
}

/* All state is in *d: nothing here lives in a register across the longjmp. */
static void decode(decoder *d) {
    d->jpeg.err = jpeg_std_error(&d->errors);
    d->errors.error_exit = on_error;
    d->errors.emit_message = on_message;
    d->errors.output_message = on_output;
    if (setjmp(d->out))
        judge(d);
    else if (begin(d) && (d->status = allocate(d)) == TIC_OK)
        read_rows(d);
    jpeg_destroy_decompress(&d->jpeg);
    tic_free(d->row);
    if (d->status != TIC_OK || d->reason != TIC_REJECT_NONE) {
        tic_free(d->image.pixels);
        d->image.pixels = NULL;
    }
}

/* A file that does not even begin as a JPEG is something else: HTML, nothing, another format. */
static bool begins_as_jpeg(const uint8_t *bytes, size_t size) {
    return size >= 3 && bytes[0] == 0xff && bytes[1] == 0xd8 && bytes[2] == 0xff;
}

tic_status tic_jpeg_decode(tic_image *image, const void *bytes, size_t size, int min_side,
                           tic_reject *reason, tic_error *err) {
    decoder d = {.bytes = bytes, .size = size, .min_side = min_side, .err = err};
    *image = (tic_image){0};
    if (begins_as_jpeg(bytes, size))
        decode(&d);
    else
        d.reason = TIC_REJECT_NOT_IMAGE;
    *reason = d.reason;
    if (d.status != TIC_OK)
        return d.status;
    if (d.reason != TIC_REJECT_NONE)
        return tic_fail(err, TIC_EINPUT, "not a JPEG that decodes: %s", tic_reject_name(d.reason));
    *image = d.image;
    return TIC_OK;
}

tic_status tic_jpeg_check(const void *bytes, size_t size, tic_reject *reason, int *width,
                          int *height, tic_error *err) {
    decoder d = {.bytes = bytes, .size = size, .check = true, .err = err};
    if (begins_as_jpeg(bytes, size))
        decode(&d);
    else
        d.reason = TIC_REJECT_NOT_IMAGE;
    *reason = d.reason;
    *width = (int)d.jpeg.image_width;
    *height = (int)d.jpeg.image_height;
    return d.status;
}
