/* What happens to a painted picture afterwards: blur, vignette, noise, and the pencil sketch of a
 * shifted static set. Integers only. */
#include "data/world/room.h"
#include <string.h>

/* Binomial 3 x 3 blur, edges repeated. */
static void blur(tic_image *image, const uint8_t *from) {
    static const int weight[3] = {1, 2, 1};
    int width = image->width, height = image->height;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++)
            for (int c = 0; c < 3; c++) {
                int sum = 8;
                for (int j = -1; j <= 1; j++)
                    for (int i = -1; i <= 1; i++) {
                        int v = y + j < 0 ? 0 : y + j >= height ? height - 1 : y + j;
                        int u = x + i < 0 ? 0 : x + i >= width ? width - 1 : x + i;
                        sum += weight[i + 1] * weight[j + 1] * from[3 * (v * width + u) + c];
                    }
                image->pixels[3 * (y * width + x) + c] = (uint8_t)(sum >> 4);
            }
}

/* Darkens towards the corners, down to about 55 %. */
static void vignette(tic_image *image) {
    int width = image->width, height = image->height;
    int most = width * width + height * height;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            int u = 2 * x - width + 1, v = 2 * y - height + 1;
            int keep = 256 - 115 * (u * u + v * v) / most;
            for (int c = 0; c < 3; c++) {
                uint8_t *value = &image->pixels[3 * (y * width + x) + c];
                *value = (uint8_t)(*value * keep >> 8);
            }
        }
}

/* Adds noise of a triangular distribution in [-grain, grain] to every channel. */
static void add_grain(tic_image *image, int grain, tic_world_draws *draws) {
    size_t bytes = 3 * (size_t)image->width * (size_t)image->height;
    uint32_t word = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (i % 2 == 0)
            word = tic_world_word(draws);
        int two = (int)(word & 255) + (int)(word >> 8 & 255) - 255; /* -255 .. 255 */
        word >>= 16;
        int value = image->pixels[i] + two * grain / 255;
        image->pixels[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
}

void tic_world_camera(tic_image *image, const tic_world_scene *scene, uint8_t *copy,
                      tic_world_draws *draws) {
    if (scene->blurred) {
        memcpy(copy, image->pixels, 3 * (size_t)image->width * (size_t)image->height);
        blur(image, copy);
    }
    if (scene->vignetted)
        vignette(image);
    if (scene->grain > 0)
        add_grain(image, scene->grain, draws);
}

static int difference(const uint8_t *a, const uint8_t *b) {
    int most = 0;
    for (int c = 0; c < 3; c++) {
        int d = a[c] > b[c] ? a[c] - b[c] : b[c] - a[c];
        most = d > most ? d : most;
    }
    return most;
}

/* Dark lines on white where neighbouring pixels of `copy` differ. */
void tic_world_sketch(tic_image *image, const uint8_t *copy) {
    int width = image->width, height = image->height;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const uint8_t *here = copy + 3 * (y * width + x);
            int right = x + 1 < width ? difference(here, here + 3) : 0;
            int below = y + 1 < height ? difference(here, here + 3 * width) : 0;
            int edge = 2 * (right > below ? right : below);
            memset(image->pixels + 3 * (y * width + x), 255 - (edge > 220 ? 220 : edge), 3);
        }
}
