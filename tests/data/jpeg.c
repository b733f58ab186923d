/* JPEG: colours as Pillow's (tests/golden/make_jpeg.py), scaled decoding, what is refused and why,
 * and that no bytes whatever do harm. */
#include "tests/data/support.h"
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

/* A decode that must be refused. */
static tic_reject reason_of(const void *bytes, size_t size) {
    tic_image image;
    tic_reject reason, checked;
    tic_error err = {0};
    int width, height;
    cr_expect(tic_jpeg_decode(&image, bytes, size, 0, &reason, &err) == TIC_EINPUT);
    cr_expect(image.pixels == NULL && strstr(err.text, tic_reject_name(reason)), "%s", err.text);
    cr_expect(tic_jpeg_check(bytes, size, &checked, &width, &height, &err) == TIC_OK);
    cr_expect(checked == reason, "%s, then %s", tic_reject_name(reason), tic_reject_name(checked));
    return reason;
}

/* 4:4:4 and grey must be equal. Where chroma is interpolated or the colours are Adobe's, Pillow's
 * newer libjpeg-turbo still gives the same bits; so the bound is 0 everywhere. */
Test(jpeg, equals_pillow) {
    size_t size, at = 0;
    int good = 0, bad = 0;
    char *bytes = read_whole(TEST_GOLDEN "/jpeg.bin", &size);
    while (at + 16 <= size) {
        int32_t head[4];
        memcpy(head, bytes + at, sizeof head);
        const char *jpeg = bytes + at + 16;
        at += 16 + (size_t)head[2];
        cr_assert(at <= size);
        if (head[3]) {
            cr_expect(reason_of(jpeg, (size_t)head[2]) == TIC_REJECT_CORRUPT, "bad case %d", bad);
            bad++;
            continue;
        }
        tic_image image;
        tic_reject reason;
        tic_error err = {0};
        cr_assert(tic_jpeg_decode(&image, jpeg, (size_t)head[2], 0, &reason, &err) == TIC_OK,
                  "case %d: %s", good, err.text);
        cr_assert(reason == TIC_REJECT_NONE && image.width == head[0] && image.height == head[1]);
        size_t n = (size_t)head[0] * (size_t)head[1] * 3;
        for (size_t i = 0; i < n; i++)
            cr_assert(image.pixels[i] == (uint8_t)bytes[at + i], "case %d, byte %zu: %d, not %d",
                      good, i, image.pixels[i], (uint8_t)bytes[at + i]);
        tic_free(image.pixels);
        at += n;
        good++;
    }
    cr_expect(at == size && good == 10 && bad == 3);
    tic_free(bytes);
}

Test(jpeg, scaled) {
    static const struct {
        int width, height, min_side, out_w, out_h;
    } cases[] = {{640, 480, 0, 640, 480},   {640, 480, 240, 640, 480}, {640, 480, 121, 640, 480},
                 {640, 480, 120, 320, 240}, {640, 480, 60, 160, 120},  {640, 480, 30, 80, 60},
                 {640, 480, 1, 80, 60},     {641, 479, 40, 161, 120}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        encoded jpeg = make_jpeg(cases[i].width, cases[i].height, 1);
        tic_image image;
        tic_reject reason;
        cr_assert(tic_jpeg_decode(&image, jpeg.bytes, jpeg.size, cases[i].min_side, &reason,
                                  NULL) == TIC_OK);
        cr_expect(image.width == cases[i].out_w && image.height == cases[i].out_h,
                  "case %zu: %d x %d", i, image.width, image.height);
        tic_free(image.pixels);
        tic_free(jpeg.bytes);
    }
}

Test(jpeg, not_a_picture) {
    static const char html[] = "<!DOCTYPE html><html><body>404</body></html>";
    cr_expect(reason_of("", 0) == TIC_REJECT_NOT_IMAGE);
    cr_expect(reason_of("\xff\xd8", 2) == TIC_REJECT_NOT_IMAGE);
    cr_expect(reason_of(html, sizeof html - 1) == TIC_REJECT_NOT_IMAGE);
    cr_expect(reason_of("\x89PNG\r\n\x1a\n", 8) == TIC_REJECT_NOT_IMAGE);
    cr_expect(reason_of("\xff\xd8\xff", 3) == TIC_REJECT_CORRUPT);
    cr_expect(reason_of("\xff\xd8\xff\xd9", 4) == TIC_REJECT_CORRUPT); /* no picture in it */
}

/* Cut anywhere: refused, and never with a crash. The two bytes of the end marker are the only ones
 * that a decoder could do without, and it warns. */
Test(jpeg, every_cut) {
    encoded jpeg = make_jpeg(24, 24, 2);
    for (size_t size = 3; size < jpeg.size; size++) {
        uint8_t *part = NULL; /* of its own, so that a read beyond is found */
        cr_assert(tic_alloc(&part, size, 1, NULL) == TIC_OK);
        memcpy(part, jpeg.bytes, size);
        cr_expect(reason_of(part, size) == TIC_REJECT_CORRUPT, "cut at %zu", size);
        tic_free(part);
    }
    tic_free(jpeg.bytes);
}

/* Bytes changed at random: any verdict, no harm, the same twice. */
Test(jpeg, any_bytes) {
    encoded jpeg = make_jpeg(24, 24, 2);
    tic_random key = {.seed = 1, .purpose = TIC_RNG_BENCH};
    uint8_t *copy = NULL;
    cr_assert(tic_alloc(&copy, jpeg.size, 1, NULL) == TIC_OK);
    for (uint64_t round = 0; round < 3000; round++) {
        tic_reject first, second;
        int width, height;
        memcpy(copy, jpeg.bytes, jpeg.size);
        for (uint32_t k = 0; k < 3; k++) {
            key.lane = k;
            copy[tic_random_below(key, round, jpeg.size)] ^=
                (uint8_t)(1 + tic_random_below(key, ~round, 255));
        }
        cr_assert(tic_jpeg_check(copy, jpeg.size, &first, &width, &height, NULL) == TIC_OK);
        tic_image image;
        cr_assert(tic_jpeg_decode(&image, copy, jpeg.size, 0, &second, NULL) ==
                  (first ? TIC_EINPUT : TIC_OK));
        cr_expect(first == second, "round %llu", (unsigned long long)round);
        tic_free(image.pixels);
    }
    tic_free(copy), tic_free(jpeg.bytes);
}

/* ---- bombs ----------------------------------------------------------------------------------- */

/* A header that promises 65500 x 65500: refused before anything is decoded. */
Test(jpeg, huge_header) {
    encoded jpeg = make_jpeg(24, 24, 2);
    uint8_t *frame = jpeg.bytes;
    while (frame[0] != 0xff || frame[1] != 0xc0)
        frame++;
    frame[5] = frame[7] = 65500 >> 8;
    frame[6] = frame[8] = 65500 & 255;
    cr_expect(reason_of(jpeg.bytes, jpeg.size) == TIC_REJECT_TOO_LARGE);
    frame[5] = frame[7] = 5001 >> 8; /* 25,010,001 pixels */
    frame[6] = frame[8] = 5001 & 255;
    cr_expect(reason_of(jpeg.bytes, jpeg.size) == TIC_REJECT_TOO_LARGE);
    frame[5] = frame[7] = 5000 >> 8; /* 25,000,000: let in, and found cut */
    frame[6] = frame[8] = 5000 & 255;
    cr_expect(reason_of(jpeg.bytes, jpeg.size) == TIC_REJECT_CORRUPT);
    tic_free(jpeg.bytes);
}

/* A progressive grey picture of so many scans, most of which repeat: libjpeg's own writer refuses
 * them, so the last scan of a sound file is copied. */
static encoded many_scans(int scans) {
    struct jpeg_compress_struct c;
    struct jpeg_error_mgr errors;
    uint8_t row[64], *bytes = NULL, *last;
    unsigned long size = 0;
    memset(row, 77, sizeof row);
    c.err = jpeg_std_error(&errors);
    jpeg_create_compress(&c);
    jpeg_mem_dest(&c, &bytes, &size);
    c.image_width = c.image_height = 64;
    c.input_components = 1;
    c.in_color_space = JCS_GRAYSCALE;
    jpeg_set_defaults(&c);
    jpeg_simple_progression(&c);
    jpeg_start_compress(&c, TRUE);
    for (int y = 0; y < 64; y++) {
        JSAMPROW rows = row;
        jpeg_write_scanlines(&c, &rows, 1);
    }
    jpeg_finish_compress(&c);
    jpeg_destroy_compress(&c);
    archive out = {0};
    last = bytes + size - 2;
    while (last[0] != 0xff || last[1] != 0xda)
        last--;
    size_t scan = (size_t)(bytes + size - 2 - last);
    add_bytes(&out, bytes, size - 2);
    for (int i = 0; i < scans; i++)
        add_bytes(&out, last, scan);
    add_bytes(&out, "\xff\xd9", 2);
    free(bytes);
    return (encoded){.bytes = (uint8_t *)out.bytes, .size = out.size};
}

/* 10,000 scans are refused for their number, in much less than the second that they would take. A
 * file of the same kind with few scans is refused for its repetitions alone. */
Test(jpeg, many_scans) {
    encoded bomb = many_scans(10000), few = many_scans(3);
    double began = tic_now();
    cr_expect(reason_of(bomb.bytes, bomb.size) == TIC_REJECT_TOO_LARGE);
    cr_expect(tic_now() - began < 1.0);
    cr_expect(reason_of(few.bytes, few.size) == TIC_REJECT_CORRUPT);
    tic_free(bomb.bytes), tic_free(few.bytes);
}

/* ---- encoding -------------------------------------------------------------------------------- */

Test(jpeg, encode) {
    tic_image none = {0};
    uint8_t *bytes;
    size_t size;
    tic_error err = {0};
    cr_expect(tic_jpeg_encode(&none, 90, &bytes, &size, &err) == TIC_EUSAGE);
    cr_expect(bytes == NULL && size == 0 && strstr(err.text, "JPEG"), "%s", err.text);
    encoded once = make_jpeg(300, 200, 9), twice = make_jpeg(300, 200, 9);
    cr_expect(once.size == twice.size && memcmp(once.bytes, twice.bytes, once.size) == 0);
    cr_expect(once.size > 8192); /* the sink grew on its way */
    tic_free(once.bytes), tic_free(twice.bytes);
}
