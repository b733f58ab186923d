/* Developer's tool: the contact sheets of docs/world.md, `ninja -C build data/world_sheets` and
 * then `build/data/world_sheets docs/images`. Not part of the library. */
#include "data/world/room.h"
#include <cairo.h>
#include <stdio.h>
#include <string.h>

enum { CELL = 48, GAP = 3, LABEL = 46, COLUMNS = 14, STEPS = 7 }; /* pictures as they are */
enum { BIG_CELL = 80, NAME = 14, BIG_COLUMNS = 12 };              /* kinds, drawn larger */

typedef struct tic_world_sheet {
    cairo_surface_t *surface;
    cairo_t *cairo;
} tic_world_sheet;

static tic_world_sheet sheet_new(int width, int height) {
    tic_world_sheet sheet = {.surface =
                                 cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height)};
    sheet.cairo = cairo_create(sheet.surface);
    cairo_set_source_rgb(sheet.cairo, 1, 1, 1);
    cairo_paint(sheet.cairo);
    cairo_set_font_size(sheet.cairo, 12);
    return sheet;
}

static bool sheet_write(tic_world_sheet *sheet, const char *folder, const char *name) {
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    cairo_destroy(sheet->cairo);
    bool written = cairo_surface_write_to_png(sheet->surface, path) == CAIRO_STATUS_SUCCESS;
    cairo_surface_destroy(sheet->surface);
    return written;
}

static void sheet_text(tic_world_sheet *sheet, int x, int y, const char *text) {
    cairo_set_source_rgb(sheet->cairo, 0, 0, 0);
    cairo_move_to(sheet->cairo, x, y);
    cairo_show_text(sheet->cairo, text);
}

/* One of 16 levels: noise makes the PNG files large. */
static uint32_t few(uint8_t value) {
    return (uint32_t)(value * 15 + 128) / 255 * 17;
}

/* Copies a picture, shrunk to the cell when it is not square. */
static void sheet_copy(tic_world_sheet *sheet, int x, int y, const tic_image *image, int cell) {
    cairo_surface_flush(sheet->surface);
    uint8_t *to = cairo_image_surface_get_data(sheet->surface);
    int stride = cairo_image_surface_get_stride(sheet->surface);
    int longer = image->width > image->height ? image->width : image->height;
    int width = image->width * cell / longer, height = image->height * cell / longer;
    for (int v = 0; v < height; v++)
        for (int u = 0; u < width; u++) {
            int row = v * longer / cell, column = u * longer / cell;
            const uint8_t *rgb = image->pixels + 3 * (row * image->width + column);
            uint32_t word = few(rgb[0]) << 16 | few(rgb[1]) << 8 | few(rgb[2]);
            memcpy(to + (size_t)(y + v) * (size_t)stride + 4 * (size_t)(x + u), &word, 4);
        }
    cairo_surface_mark_dirty(sheet->surface);
}

/* The JPEG as a reader of the shard would see it. */
static tic_status sheet_picture(tic_world_sheet *sheet, int x, int y, const tic_world_scene *scene,
                                tic_world_style style, tic_world_draws *draws, tic_error *err) {
    uint8_t *bytes;
    size_t size;
    tic_image image;
    tic_reject reason;
    TIC_TRY(tic_world_jpeg(scene, style, draws, &bytes, &size, err));
    tic_status status = tic_jpeg_decode(&image, bytes, size, 0, &reason, err);
    tic_free(bytes);
    if (status != TIC_OK)
        return status;
    sheet_copy(sheet, x, y, &image, CELL);
    tic_free(image.pixels);
    return TIC_OK;
}

/* The first sound pictures of every step and of the studio, a row each. */
static tic_status draw_steps(const tic_world_options *options, tic_world_sheet *sheet,
                             tic_error *err) {
    int filled[STEPS + 1] = {0}, rows_full = 0;
    char name[16];
    for (int row = 0; row <= STEPS; row++) {
        snprintf(name, sizeof name, row < STEPS ? "%d" : "studio", 2016 + row);
        sheet_text(sheet, 4, row * (CELL + GAP) + CELL / 2, name);
    }
    for (uint64_t i = 0; i < options->pairs && rows_full <= STEPS; i++) {
        tic_world_sample sample;
        tic_world_sample_at(&sample, options, i);
        int row = sample.scene.studio ? STEPS : (int)tic_world_clock(sample.time);
        if (sample.defect != TIC_WORLD_SOUND || filled[row] == COLUMNS)
            continue;
        tic_world_draws draws = tic_world_draws_at(options->seed, i, TIC_WORLD_PIXELS);
        TIC_TRY(sheet_picture(sheet, LABEL + filled[row] * (CELL + GAP), row * (CELL + GAP),
                              &sample.scene, TIC_WORLD_AS_IS, &draws, err));
        rows_full += ++filled[row] == COLUMNS;
    }
    return TIC_OK;
}

/* Every kind in every look, named; without JPEG, to be small. */
static tic_status draw_kinds(tic_world_sheet *sheet, tic_error *err) {
    int cell = 0;
    for (int kind = 0; kind < TIC_WORLD_KINDS; kind++)
        for (int look = 0; look < TIC_WORLD_LOOKS && tic_world_kinds[kind].look[look]; look++) {
            tic_world_draws draws = tic_world_draws_at(0, (uint64_t)cell, TIC_WORLD_SCENE);
            tic_world_scene scene;
            tic_image image;
            tic_world_single_scene(&scene, &draws, kind, BIG_CELL);
            scene.object[0].look = look;
            int x = cell % BIG_COLUMNS * (BIG_CELL + GAP);
            int y = cell / BIG_COLUMNS * (BIG_CELL + GAP + NAME);
            TIC_TRY(tic_world_paint(&image, &scene, TIC_WORLD_AS_IS, &draws, err));
            sheet_copy(sheet, x, y, &image, BIG_CELL);
            tic_free(image.pixels);
            sheet_text(sheet, x + 2, y + BIG_CELL + NAME - 3, tic_world_kinds[kind].name);
            cell++;
        }
    return TIC_OK;
}

/* The same static scenes in each of the four versions. */
static tic_status draw_versions(tic_world_sheet *sheet, tic_error *err) {
    static const char *const names[] = {"plain", "sketch", "noise", "night"};
    for (int style = TIC_WORLD_AS_IS; style <= TIC_WORLD_AT_NIGHT; style++) {
        sheet_text(sheet, 4, style * (CELL + GAP) + CELL / 2, names[style]);
        for (int i = 0; i < COLUMNS; i++) {
            tic_world_draws draws = tic_world_draws_at(1, (uint64_t)i, TIC_WORLD_SCENE);
            tic_world_scene scene;
            tic_world_single_scene(&scene, &draws, i * 5 % 34, tic_world_parameter.size);
            TIC_TRY(sheet_picture(sheet, LABEL + i * (CELL + GAP), style * (CELL + GAP), &scene,
                                  (tic_world_style)style, &draws, err));
        }
    }
    return TIC_OK;
}

int main(int count, char **arguments) {
    const tic_world_options options = {.pairs = 40000, .size = tic_world_parameter.size};
    const char *folder = count > 1 ? arguments[1] : ".";
    const int wide = COLUMNS * (CELL + GAP);
    tic_error err;
    tic_world_sheet steps = sheet_new(LABEL + wide, (STEPS + 1) * (CELL + GAP));
    tic_world_sheet kinds = sheet_new(BIG_COLUMNS * (BIG_CELL + GAP), 4 * (BIG_CELL + GAP + NAME));
    tic_world_sheet versions = sheet_new(LABEL + wide, 4 * (CELL + GAP));
    bool done = draw_steps(&options, &steps, &err) == TIC_OK &&
                draw_kinds(&kinds, &err) == TIC_OK && draw_versions(&versions, &err) == TIC_OK;
    done = sheet_write(&steps, folder, "world-steps.png") && done;
    done = sheet_write(&kinds, folder, "world-kinds.png") && done;
    done = sheet_write(&versions, folder, "world-versions.png") && done;
    return done ? 0 : 1;
}
