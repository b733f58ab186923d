/* open_clip's image transforms (reference/openclip.md, Preprocessing), with torchvision's
 * arithmetic: RandomResizedCrop for training, Resize and CenterCrop for evaluation. */
#include "data/room.h"
#include <math.h>

/* Python's round(): halves go to the even neighbour. */
static int round_even(double x) {
    return (int)rint(x);
}

tic_status tic_preprocess_eval(const tic_image *image, int size, uint8_t *out, tic_error *err) {
    int width = image->width, height = image->height;
    if (width < 1 || height < 1 || size < 1)
        return tic_fail(err, TIC_EUSAGE, "a picture of %d x %d to %d", width, height, size);
    /* int(size * long / short): cut off, not rounded */
    int out_w = width <= height ? size : (int)((int64_t)size * width / height);
    int out_h = width <= height ? (int)((int64_t)size * height / width) : size;
    tic_window centre = {.x0 = round_even((out_w - size) / 2.0),
                         .y0 = round_even((out_h - size) / 2.0),
                         .w = size,
                         .h = size};
    return tic_resize_window(image, (const int[4]){0, 0, width, height}, out_w, out_h, centre, out,
                             err);
}

/* exp for |x| <= 0.3 by its series, whose 12th term is below 2^-53: libm's differs in the last bit
 * from one CPU to another, and a crop may not. */
static double small_exp(double x) {
    double sum = 1;
    for (int k = 14; k >= 1; k--)
        sum = 1 + x / k * sum;
    return sum;
}

static const double log_4_3 = 0.28768207245178092744;  /* ratio is drawn in [3/4, 4/3] by its log */
static const double scale_low = 0.9, scale_high = 1.0; /* share of the area */
enum { TRIES = 10 };

/* Draw `which` (0 .. 3) of try `t` at this position. */
static tic_random draw(tic_random key, int t, int which) {
    key.lane = (uint32_t)(4 * t + which);
    return key;
}

/* When no try fits (a very long picture): the middle, at the nearest allowed ratio. */
static void central_box(int width, int height, int box[4]) {
    double ratio = (double)width / height;
    int w = width, h = height;
    if (ratio < 3.0 / 4.0)
        h = round_even(w / (3.0 / 4.0));
    else if (ratio > 4.0 / 3.0)
        w = round_even(h * (4.0 / 3.0));
    box[0] = (width - w) / 2;
    box[1] = (height - h) / 2;
    box[2] = box[0] + w;
    box[3] = box[1] + h;
}

void tic_crop_box(int width, int height, tic_random key, uint64_t position, int box[4]) {
    double area = (double)width * height;
    for (int t = 0; t < TRIES; t++) {
        double share = tic_random_uniform(draw(key, t, 0), position);
        double target = area * (scale_low + share * (scale_high - scale_low));
        double u = tic_random_uniform(draw(key, t, 1), position);
        double ratio = small_exp((2 * u - 1) * log_4_3);
        int w = round_even(sqrt(target * ratio)), h = round_even(sqrt(target / ratio));
        if (w < 1 || w > width || h < 1 || h > height)
            continue;
        uint64_t free_y = (uint64_t)(height - h + 1), free_x = (uint64_t)(width - w + 1);
        box[1] = (int)tic_random_below(draw(key, t, 2), position, free_y);
        box[0] = (int)tic_random_below(draw(key, t, 3), position, free_x);
        box[2] = box[0] + w;
        box[3] = box[1] + h;
        return;
    }
    central_box(width, height, box);
}

tic_status tic_preprocess_train(const tic_image *image, int size, tic_random key, uint64_t position,
                                uint8_t *out, tic_error *err) {
    int box[4];
    if (image->width < 1 || image->height < 1)
        return tic_fail(err, TIC_EUSAGE, "a picture of %d x %d", image->width, image->height);
    tic_crop_box(image->width, image->height, key, position, box);
    return tic_resize_bicubic(image, box, size, size, out, err);
}
