/* Resizing and the two transforms, against Pillow's own output (tests/golden/make_resize.py) and
 * torchvision's arithmetic. */
#include "tests/data/support.h"
#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

typedef struct golden {
    int32_t kind, width, height, box[4], out_w, out_h, seed;
} golden;

/* make_resize.py's draw(). */
static tic_image draw(int width, int height, uint32_t state) {
    tic_image image = {.width = width, .height = height};
    cr_assert(tic_alloc(&image.pixels, (size_t)width * (size_t)height * 3, 1, NULL) == TIC_OK);
    uint8_t *to = image.pixels;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                state = state * 1664525u + 1013904223u;
                bool edge = (x / 5 + y / 7 + c) % 3 == 0;
                unsigned ramp = (unsigned)(x * 7 + y * 3 + c * 50) % 200 + (state >> 24) % 56;
                *to++ = edge ? (state >> 31 ? 255 : 0) : (uint8_t)ramp;
            }
    return image;
}

/* Pillow's arithmetic is followed step by step, so it is not within one level but equal. */
Test(resize, equals_pillow) {
    size_t size, at = 0;
    int cases = 0;
    char *bytes = read_whole(TEST_GOLDEN "/resize.bin", &size);
    for (; at + sizeof(golden) <= size; cases++) {
        golden g;
        tic_error err = {0};
        memcpy(&g, bytes + at, sizeof g);
        at += sizeof g;
        size_t n = (size_t)g.out_w * (size_t)g.out_h * 3;
        uint8_t *out = NULL;
        cr_assert(n <= size - at);
        cr_assert(tic_alloc(&out, n, 1, NULL) == TIC_OK);
        tic_image image = draw(g.width, g.height, (uint32_t)g.seed);
        int box[4] = {g.box[0], g.box[1], g.box[2], g.box[3]};
        cr_assert((g.kind ? tic_preprocess_eval(&image, g.out_w, out, &err)
                          : tic_resize_bicubic(&image, box, g.out_w, g.out_h, out, &err)) == TIC_OK,
                  "%s", err.text);
        for (size_t i = 0; i < n; i++)
            cr_assert(out[i] == (uint8_t)bytes[at + i], "case %d, byte %zu: %d, not %d", cases, i,
                      out[i], (uint8_t)bytes[at + i]);
        at += n;
        tic_free(out);
        tic_free(image.pixels);
    }
    cr_expect(at == size && cases == 28, "%d", cases);
    tic_free(bytes);
}

Test(resize, refused) {
    static const int boxes[][4] = {{-1, 0, 4, 4}, {0, -1, 4, 4}, {0, 0, 9, 4},
                                   {0, 0, 4, 9},  {4, 0, 4, 4},  {0, 5, 4, 4}};
    tic_image image = draw(8, 8, 1);
    uint8_t out[64 * 3];
    for (size_t i = 0; i < sizeof boxes / sizeof *boxes; i++)
        cr_expect(tic_resize_bicubic(&image, boxes[i], 8, 8, out, NULL) == TIC_EUSAGE);
    const int all[4] = {0, 0, 8, 8};
    cr_expect(tic_resize_bicubic(&image, all, 0, 8, out, NULL) == TIC_EUSAGE);
    cr_expect(tic_resize_bicubic(&image, all, 8, -1, out, NULL) == TIC_EUSAGE);
    cr_expect(tic_preprocess_eval(&image, 0, out, NULL) == TIC_EUSAGE);
    tic_free(image.pixels);
}

/* ---- RandomResizedCrop ----------------------------------------------------------------------- */

/* Every box lies in the picture, and area and ratio in their ranges but for the rounding of sides
 * to whole pixels (half a pixel each). Pictures nearer than 4:3 always have a box that fits. */
Test(crop, ranges) {
    static const int sizes[][2] = {{64, 48}, {48, 64}, {200, 200}, {60, 80}, {640, 481}};
    tic_random key = {.seed = 9, .purpose = TIC_RNG_CROP};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++)
        for (uint64_t p = 0; p < 2000; p++) {
            int width = sizes[s][0], height = sizes[s][1], box[4];
            tic_crop_box(width, height, key, p, box);
            int w = box[2] - box[0], h = box[3] - box[1];
            cr_assert(box[0] >= 0 && box[1] >= 0 && box[2] <= width && box[3] <= height);
            double area = (double)width * height;
            cr_assert((w + 0.5) * (h + 0.5) >= 0.9 * area, "%d x %d of %d x %d", w, h, width,
                      height);
            cr_assert((w + 0.5) / (h - 0.5) >= 0.75 && (w - 0.5) / (h + 0.5) <= 4.0 / 3);
        }
}

/* The draws are spread as they should be: share of the area uniform in [0.9, 1], log of the ratio
 * symmetric, places uniform. Bounds are 5 standard deviations of the mean over N draws. */
Test(crop, distribution) {
    enum { N = 20000, SIDE = 1000 };
    tic_random key = {.seed = 4, .purpose = TIC_RNG_CROP};
    double area = 0, ratio = 0, place = 0;
    int placed = 0;
    for (uint64_t p = 0; p < N; p++) {
        int box[4];
        tic_crop_box(SIDE, SIDE, key, p, box);
        int w = box[2] - box[0], h = box[3] - box[1];
        area += (double)w * h / (SIDE * SIDE);
        ratio += log((double)w / h);
        if (w < SIDE) {
            place += box[0] / (double)(SIDE - w);
            placed++;
        }
    }
    /* A square picture takes only boxes whose sides both fit: share s needs |log ratio| <= -log s.
     * So a try is taken with p = E[-log s] / log(4/3) = 0.179901, the shares taken have density
     * ~ -log s, mean 0.933042; and where all ten tries fail, q = (1-p)^10 = 0.13757, it is the
     * whole: mean q + (1-q) 0.933042 = 0.94225, deviation 0.032; log ratio lies within 0.1054. */
    cr_expect(fabs(area / N - 0.94225) <= 5 * 0.032 / sqrt(N), "%g", area / N);
    cr_expect(fabs(ratio / N) <= 5 * 0.1054 / sqrt(N), "%g", ratio / N);
    cr_expect(fabs(place / placed - 0.5) <= 5 * 0.29 / sqrt(placed), "%g", place / placed);
}

/* No try fits a long picture: the middle, at the nearest ratio. torchvision's numbers. */
Test(crop, fallback) {
    tic_random key = {.seed = 1, .purpose = TIC_RNG_CROP};
    int box[4];
    tic_crop_box(300, 30, key, 0, box);
    cr_expect(box[0] == 130 && box[1] == 0 && box[2] == 170 && box[3] == 30);
    tic_crop_box(31, 300, key, 0, box);
    cr_expect(box[0] == 0 && box[1] == 129 && box[2] == 31 && box[3] == 129 + 41);
}

/* A crop is a function of key and position, and another one at another. */
Test(crop, function_of_position) {
    tic_image image = draw(200, 200, 3);
    static uint8_t a[40 * 40 * 3], b[sizeof a];
    tic_random key = {.seed = 5, .purpose = TIC_RNG_CROP}, other = {6, TIC_RNG_CROP, 0};
    cr_assert(tic_preprocess_train(&image, 40, key, 73, a, NULL) == TIC_OK);
    cr_assert(tic_preprocess_train(&image, 40, key, 73, b, NULL) == TIC_OK);
    cr_expect(memcmp(a, b, sizeof a) == 0);
    cr_assert(tic_preprocess_train(&image, 40, key, 74, b, NULL) == TIC_OK);
    cr_expect(memcmp(a, b, sizeof a) != 0);
    cr_assert(tic_preprocess_train(&image, 40, other, 73, b, NULL) == TIC_OK);
    cr_expect(memcmp(a, b, sizeof a) != 0);
    tic_free(image.pixels);
}
