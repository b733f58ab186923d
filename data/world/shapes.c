/* Silhouettes: a path of the kinds' table becomes coverage through cairo's rasteriser. */
#include "data/world/room.h"
#include <cairo.h>
#include <stdlib.h>
#include <string.h>

struct tic_world_mask {
    cairo_surface_t *surface[2]; /* body, detail; A8 */
    cairo_t *cairo[2];
};

static tic_status check(cairo_status_t status, tic_error *err) {
    if (status == CAIRO_STATUS_SUCCESS)
        return TIC_OK;
    tic_status kind = status == CAIRO_STATUS_NO_MEMORY ? TIC_ERESOURCE : TIC_EINTERNAL;
    return tic_fail(err, kind, "cairo: %s", cairo_status_to_string(status));
}

tic_status tic_world_mask_new(tic_world_mask **out, int width, int height, tic_error *err) {
    *out = NULL;
    tic_world_mask *mask = NULL;
    TIC_TRY(tic_alloc(&mask, 1, sizeof *mask, err));
    tic_status status = TIC_OK;
    for (int i = 0; i < 2 && status == TIC_OK; i++) {
        mask->surface[i] = cairo_image_surface_create(CAIRO_FORMAT_A8, width, height);
        mask->cairo[i] = cairo_create(mask->surface[i]);
        status = check(cairo_status(mask->cairo[i]), err);
    }
    if (status != TIC_OK) {
        tic_world_mask_free(mask);
        return status;
    }
    *out = mask;
    return TIC_OK;
}

void tic_world_mask_free(tic_world_mask *mask) {
    if (!mask)
        return;
    for (int i = 0; i < 2; i++) {
        cairo_destroy(mask->cairo[i]);
        cairo_surface_destroy(mask->surface[i]);
    }
    tic_free(mask);
}

const uint8_t *tic_world_mask_body(const tic_world_mask *mask) {
    return cairo_image_surface_get_data(mask->surface[0]);
}

const uint8_t *tic_world_mask_detail(const tic_world_mask *mask) {
    return cairo_image_surface_get_data(mask->surface[1]);
}

int tic_world_mask_stride(const tic_world_mask *mask) {
    return cairo_image_surface_get_stride(mask->surface[0]);
}

struct pen { /* maps the path's box to pixels; done here, not by cairo, to fix the arithmetic */
    cairo_t *cairo;
    double x, y, scale, cosine, sine;
};

struct point {
    double x, y;
};

static struct point map(const struct pen *pen, double x, double y) {
    return (struct point){pen->x + pen->scale * (x * pen->cosine - y * pen->sine),
                          pen->y + pen->scale * (x * pen->sine + y * pen->cosine)};
}

static void move_to(const struct pen *pen, double x, double y) {
    struct point p = map(pen, x, y);
    cairo_move_to(pen->cairo, p.x, p.y);
}

static void line_to(const struct pen *pen, double x, double y) {
    struct point p = map(pen, x, y);
    cairo_line_to(pen->cairo, p.x, p.y);
}

static void curve_to(const struct pen *pen, const double v[6]) {
    struct point a = map(pen, v[0], v[1]), b = map(pen, v[2], v[3]), c = map(pen, v[4], v[5]);
    cairo_curve_to(pen->cairo, a.x, a.y, b.x, b.y, c.x, c.y);
}

/* Four Bezier quarters; 0.5523 makes them a circle to 3e-4 of the radius. */
static void ellipse(const struct pen *pen, double x, double y, double rx, double ry) {
    const double k = 0.5522847498;
    move_to(pen, x + rx, y);
    curve_to(pen, (double[]){x + rx, y + k * ry, x + k * rx, y + ry, x, y + ry});
    curve_to(pen, (double[]){x - k * rx, y + ry, x - rx, y + k * ry, x - rx, y});
    curve_to(pen, (double[]){x - rx, y - k * ry, x - k * rx, y - ry, x, y - ry});
    curve_to(pen, (double[]){x + k * rx, y - ry, x + rx, y - k * ry, x + rx, y});
    cairo_close_path(pen->cairo);
}

static void rectangle(const struct pen *pen, const double v[4]) {
    move_to(pen, v[0], v[1]);
    line_to(pen, v[0] + v[2], v[1]);
    line_to(pen, v[0] + v[2], v[1] + v[3]);
    line_to(pen, v[0], v[1] + v[3]);
    cairo_close_path(pen->cairo);
}

enum { MOST_NUMBERS = 6 };

/* The commands of the path language (room.h) and how many numbers follow each. */
static int numbers_of(char command) {
    static const char commands[] = "MLCZOER";
    static const int numbers[] = {2, 2, 6, 0, 3, 4, 4};
    const char *found = command ? strchr(commands, command) : NULL;
    return found ? numbers[found - commands] : -1;
}

static void draw_command(const struct pen *pen, char command, const double v[MOST_NUMBERS]) {
    switch (command) {
    case 'M':
        move_to(pen, v[0], v[1]);
        break;
    case 'L':
        line_to(pen, v[0], v[1]);
        break;
    case 'C':
        curve_to(pen, v);
        break;
    case 'O':
        ellipse(pen, v[0], v[1], v[2], v[2]);
        break;
    case 'E':
        ellipse(pen, v[0], v[1], v[2], v[3]);
        break;
    case 'R':
        rectangle(pen, v);
        break;
    default: /* Z */
        cairo_close_path(pen->cairo);
    }
}

/* Draws the commands of one part and returns where they end. */
static const char *draw_part(const struct pen *pen, const char *path) {
    for (;;) {
        double v[MOST_NUMBERS];
        path += strspn(path, " ");
        int numbers = numbers_of(*path);
        if (numbers < 0)
            return path;
        char command = *path++;
        for (int i = 0; i < numbers; i++) {
            char *end;
            v[i] = (double)strtol(path, &end, 10);
            path = end;
        }
        draw_command(pen, command, v);
    }
}

static void clear(tic_world_mask *mask) {
    for (int i = 0; i < 2; i++) {
        cairo_set_operator(mask->cairo[i], CAIRO_OPERATOR_CLEAR);
        cairo_paint(mask->cairo[i]);
        cairo_set_operator(mask->cairo[i], CAIRO_OPERATOR_OVER);
    }
}

tic_status tic_world_mask_draw(tic_world_mask *mask, const char *path, double x, double y,
                               double radius, double cosine, double sine, tic_error *err) {
    clear(mask);
    while (*path) {
        char part = *path++;
        if (part != '+' && part != '-' && part != '*')
            return tic_fail(err, TIC_EINTERNAL, "silhouette: '%c' begins no part", part);
        struct pen pen = {.cairo = mask->cairo[part == '*'],
                          .x = x,
                          .y = y,
                          .scale = radius / 100,
                          .cosine = cosine,
                          .sine = sine};
        path = draw_part(&pen, path);
        cairo_set_operator(pen.cairo, part == '-' ? CAIRO_OPERATOR_DEST_OUT : CAIRO_OPERATOR_OVER);
        cairo_fill(pen.cairo);
    }
    for (int i = 0; i < 2; i++) {
        cairo_surface_flush(mask->surface[i]);
        TIC_TRY(check(cairo_status(mask->cairo[i]), err));
    }
    return TIC_OK;
}
