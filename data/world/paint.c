/* Painting a scene: backgrounds, objects and their textures, weather and light, all blended in
 * 8-bit integers. */
#include "data/world/room.h"
#include <string.h>

typedef struct tic_world_canvas {
    tic_image image;
    tic_world_mask *mask;
    uint8_t *grown; /* [height, width]: a mask, dilated */
    tic_world_draws *draws;
} tic_world_canvas;

/* (a (255 - t) + b t) / 255, rounded */
static uint8_t mix(int a, int b, int t) {
    int v = a * (255 - t) + b * t + 128;
    return (uint8_t)((v + (v >> 8)) >> 8);
}

static void blend(uint8_t *pixel, tic_world_rgb colour, int t) {
    pixel[0] = mix(pixel[0], colour.r, t);
    pixel[1] = mix(pixel[1], colour.g, t);
    pixel[2] = mix(pixel[2], colour.b, t);
}

static uint8_t *at(const tic_image *image, int x, int y) {
    return image->pixels + 3 * ((size_t)y * (size_t)image->width + (size_t)x);
}

/* How much of the second tone a background has at a pixel, 0 .. 255. `unit` is an eighth of the
 * shorter side, `shift` moves the pattern. */
static int pattern_at(tic_world_pattern pattern, int x, int y, int unit, int shift, int height) {
    int u = x + shift, v = y + shift;
    switch (pattern) {
    case TIC_WORLD_FLAT:
        return 0;
    case TIC_WORLD_FADE:
        return y * 255 / height;
    case TIC_WORLD_HORIZON:
        return y * 2 > height + shift % unit ? 255 : 0;
    case TIC_WORLD_PLANKS:
        return u % (2 * unit) < (unit + 3) / 4 ? 255 : u / (2 * unit) % 2 * 70;
    case TIC_WORLD_TILES:
        return (u / (2 * unit) + v / (2 * unit)) % 2 * 255;
    case TIC_WORLD_SPOTS: {
        int a = u % (2 * unit) - unit, b = (v + u / (2 * unit) % 2 * unit) % (2 * unit) - unit;
        return a * a + b * b <= unit * unit / 4 ? 255 : 0;
    }
    case TIC_WORLD_HILLS: {
        int a = u % (6 * unit) - 3 * unit; /* a parabola for every six units */
        return y * 9 * unit > height * 4 * unit + a * a * 3 ? 255 : 0;
    }
    case TIC_WORLD_BRICKS: {
        int row = v / (unit + 2), joint = (unit + 5) / 6;
        int along = (u + row % 2 * unit) % (2 * unit + 2);
        return v % (unit + 2) < joint || along < joint ? 255 : 0;
    }
    }
    return 0;
}

static void paint_background(tic_world_canvas *canvas, const tic_world_scene *scene) {
    tic_image *image = &canvas->image;
    int side = image->width < image->height ? image->width : image->height;
    int unit = side / 8 > 0 ? side / 8 : 1, shift = tic_world_below(canvas->draws, 4 * unit);
    tic_world_pattern pattern =
        scene->studio ? TIC_WORLD_FLAT : tic_world_backgrounds[scene->background].pattern;
    for (int y = 0; y < image->height; y++) {
        for (int x = 0; x < image->width; x++) {
            uint8_t *pixel = at(image, x, y);
            pixel[0] = scene->tone[0].r, pixel[1] = scene->tone[0].g, pixel[2] = scene->tone[0].b;
            blend(pixel, scene->tone[1], pattern_at(pattern, x, y, unit, shift, image->height));
        }
    }
}

/* 3 x 3 maximum of body and detail: an outline around what is drawn. */
static void grow(tic_world_canvas *canvas) {
    const uint8_t *mask[2] = {tic_world_mask_body(canvas->mask),
                              tic_world_mask_detail(canvas->mask)};
    int stride = tic_world_mask_stride(canvas->mask);
    int width = canvas->image.width, height = canvas->image.height;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            int most = 0;
            for (int v = y > 0 ? y - 1 : 0; v <= y + 1 && v < height; v++)
                for (int u = x > 0 ? x - 1 : 0; u <= x + 1 && u < width; u++)
                    for (int i = 0; i < 2; i++)
                        most = mask[i][v * stride + u] > most ? mask[i][v * stride + u] : most;
            canvas->grown[y * width + x] = (uint8_t)most;
        }
    }
}

/* True where a texture shows its second, lighter colour. */
static bool texture_at(tic_world_texture texture, int x, int y, int unit) {
    switch (texture) {
    case TIC_WORLD_STRIPED:
        return (x + y) / unit % 2 == 1;
    case TIC_WORLD_DOTTED:
        return x % (2 * unit) < unit && y % (2 * unit) < unit;
    case TIC_WORLD_CHECKED:
        return (x / unit + y / unit) % 2 == 1;
    default:
        return false;
    }
}

static void paint_mask(tic_world_canvas *canvas, const tic_world_object *object, bool glows) {
    static const tic_world_rgb white = {255, 255, 255}, dark = {24, 22, 30}, halo = {255, 255, 190};
    tic_image *image = &canvas->image;
    const uint8_t *body = tic_world_mask_body(canvas->mask);
    const uint8_t *detail = tic_world_mask_detail(canvas->mask);
    int stride = tic_world_mask_stride(canvas->mask);
    int side = image->width < image->height ? image->width : image->height;
    int unit = side / 16 > 0 ? side / 16 : 1;
    grow(canvas);
    for (int y = 0; y < image->height; y++) {
        for (int x = 0; x < image->width; x++) {
            int rim = canvas->grown[y * image->width + x];
            if (rim == 0)
                continue;
            uint8_t *pixel = at(image, x, y);
            blend(pixel, glows ? halo : dark, glows ? rim : rim * 3 / 4);
            blend(pixel, object->rgb, body[y * stride + x]);
            if (texture_at(object->texture, x, y, unit))
                blend(pixel, white, body[y * stride + x] * 5 / 8);
            blend(pixel, dark, detail[y * stride + x] * 13 / 16);
        }
    }
}

static tic_status paint_object(tic_world_canvas *canvas, const tic_world_object *object,
                               tic_error *err) {
    /* Where the copies of a group stand, in radii, and how large they are. */
    static const struct copy {
        double x, y, scale;
    } copies[TIC_WORLD_MOST][TIC_WORLD_MOST] = {
        {{0, 0, 1}},
        {{-0.5, -0.35, 0.62}, {0.5, 0.35, 0.62}},
        {{-0.55, 0.45, 0.55}, {0.55, 0.45, 0.55}, {0, -0.5, 0.55}},
    };
    const tic_image *image = &canvas->image;
    int side = image->width < image->height ? image->width : image->height;
    const tic_world_kind *kind = &tic_world_kinds[object->kind];
    for (int i = 0; i < object->count; i++) {
        struct copy copy = copies[object->count - 1][i];
        double x = image->width * 0.5 + (object->x + copy.x * object->radius) * side;
        double y = image->height * 0.5 + (object->y + copy.y * object->radius) * side;
        TIC_TRY(tic_world_mask_draw(canvas->mask, kind->look[object->look], x, y,
                                    object->radius * copy.scale * side, object->cosine,
                                    object->sine, err));
        paint_mask(canvas, object, kind->life == TIC_WORLD_FAMILY);
    }
    return TIC_OK;
}

/* Short strokes of rain (slanted) or flakes of snow (two by two), `count` of them. */
static void paint_drops(tic_world_canvas *canvas, tic_world_rgb colour, int count, int length,
                        int slant, int thick) {
    const tic_image *image = &canvas->image;
    for (int i = 0; i < count; i++) {
        int x = tic_world_below(canvas->draws, image->width);
        int y = tic_world_below(canvas->draws, image->height);
        for (int k = 0; k < length; k++)
            for (int j = 0; j < thick; j++) {
                int u = x - k / (slant ? slant : length) + j, v = y + k;
                if (u >= 0 && u < image->width && v < image->height)
                    blend(at(image, u, v), colour, 190);
            }
    }
}

static void paint_sun(const tic_image *image) {
    static const tic_world_rgb gold = {255, 214, 60};
    int side = image->width < image->height ? image->width : image->height;
    int x0 = image->width - side / 12, y0 = side / 12, r = side / 6;
    for (int y = 0; y < y0 + r; y++)
        for (int x = x0 - r > 0 ? x0 - r : 0; x < image->width; x++)
            if ((x - x0) * (x - x0) + (y - y0) * (y - y0) <= r * r)
                blend(at(image, x, y), gold, 235);
}

static void veil(const tic_image *image, tic_world_rgb colour, int t) {
    size_t pixels = (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < pixels; i++)
        blend(image->pixels + 3 * i, colour, t);
}

static void paint_weather(tic_world_canvas *canvas, tic_world_weather weather) {
    const tic_image *image = &canvas->image;
    int area = image->width * image->height, side = image->height / 12 + 1;
    if (weather == TIC_WORLD_RAIN)
        paint_drops(canvas, (tic_world_rgb){130, 150, 190}, area / 64, side + 2, 3, 1);
    else if (weather == TIC_WORLD_SNOW)
        paint_drops(canvas, (tic_world_rgb){255, 255, 255}, area / 50, side / 3 + 1, 0,
                    side / 3 + 1);
    else if (weather == TIC_WORLD_FOG)
        veil(image, (tic_world_rgb){205, 208, 212}, 115);
}

/* Multiplies the channels by n/256. */
static void tint(const tic_image *image, const int factor[3]) {
    size_t bytes = 3 * (size_t)image->width * (size_t)image->height;
    for (size_t i = 0; i < bytes; i++)
        image->pixels[i] = (uint8_t)((image->pixels[i] * factor[i % 3]) >> 8);
}

static tic_status paint_scene(tic_world_canvas *canvas, const tic_world_scene *scene,
                              tic_world_style style, tic_error *err) {
    static const int lights[TIC_WORLD_LIGHTS][3] = {
        {256, 256, 256}, {250, 190, 150}, {110, 120, 175}};
    paint_background(canvas, scene);
    if (scene->weather == TIC_WORLD_SUN)
        paint_sun(&canvas->image);
    for (int i = scene->objects - 1; i >= 0; i--)
        TIC_TRY(paint_object(canvas, &scene->object[i], err));
    paint_weather(canvas, scene->weather);
    tic_world_light light = style == TIC_WORLD_AT_NIGHT ? TIC_WORLD_NIGHT : scene->light;
    if (light != TIC_WORLD_DAY)
        tint(&canvas->image, lights[light]);
    return TIC_OK;
}

/* What the lens, the sensor or the pencil make of it; `copy` is scratch of the picture's size. */
static void apply_style(tic_world_canvas *canvas, const tic_world_scene *scene,
                        tic_world_style style, uint8_t *copy) {
    tic_world_scene as = *scene;
    if (style == TIC_WORLD_NOISE)
        as.grain = 80;
    tic_world_camera(&canvas->image, &as, copy, canvas->draws);
    if (style == TIC_WORLD_SKETCH) {
        size_t bytes = 3 * (size_t)scene->width * (size_t)scene->height;
        memcpy(copy, canvas->image.pixels, bytes);
        tic_world_sketch(&canvas->image, copy);
    }
}

tic_status tic_world_paint(tic_image *image, const tic_world_scene *scene, tic_world_style style,
                           tic_world_draws *draws, tic_error *err) {
    size_t pixels = (size_t)scene->width * (size_t)scene->height;
    tic_world_canvas canvas = {.image = {.width = scene->width, .height = scene->height},
                               .draws = draws};
    uint8_t *scratch = NULL; /* the grown mask, then a copy of the picture */
    tic_status status = tic_alloc(&canvas.image.pixels, 3 * pixels, 1, err);
    if (status == TIC_OK)
        status = tic_alloc(&scratch, 4 * pixels, 1, err);
    if (status == TIC_OK)
        status = tic_world_mask_new(&canvas.mask, scene->width, scene->height, err);
    if (status == TIC_OK) {
        canvas.grown = scratch;
        status = paint_scene(&canvas, scene, style, err);
    }
    if (status == TIC_OK)
        apply_style(&canvas, scene, style, scratch + pixels);
    tic_world_mask_free(canvas.mask);
    tic_free(scratch);
    if (status != TIC_OK) {
        tic_free(canvas.image.pixels);
        return status;
    }
    *image = canvas.image;
    return TIC_OK;
}
