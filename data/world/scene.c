/* What is in a picture: objects, background, weather, light, camera, drawn for a time. */
#include "data/world/room.h"

/* cos and sin of a small angle, |a| <= 0.5, to 1e-6: Taylor, so that every machine agrees. */
static void rotate_by(tic_world_object *object, double a) {
    double q = a * a;
    object->cosine = 1 - q / 2 * (1 - q / 12 * (1 - q / 30));
    object->sine = a * (1 - q / 6 * (1 - q / 20 * (1 - q / 42)));
}

tic_world_rgb tic_world_hsv(double hue, double saturation, double value) {
    double turns = hue - (double)(int64_t)hue;
    if (turns < 0)
        turns += 1;
    double sixth = turns * 6;
    int sector = (int)sixth % 6;
    double part = sixth - (int)sixth;
    double p = value * (1 - saturation), q = value * (1 - saturation * part);
    double t = value * (1 - saturation * (1 - part));
    const double table[6][3] = {{value, t, p}, {q, value, p}, {p, value, t},
                                {p, q, value}, {t, p, value}, {value, p, q}};
    const double *rgb = table[sector];
    return (tic_world_rgb){(uint8_t)(rgb[0] * 255 + 0.5), (uint8_t)(rgb[1] * 255 + 0.5),
                           (uint8_t)(rgb[2] * 255 + 0.5)};
}

static int draw_kind(const tic_world_scene *scene, tic_world_draws *draws) {
    double weights[TIC_WORLD_KINDS];
    for (int kind = 0; kind < TIC_WORLD_KINDS; kind++)
        weights[kind] = scene->studio ? tic_world_kinds[kind].life != TIC_WORLD_FAMILY
                                      : tic_world_kind_weight(kind, scene->clock);
    return tic_world_weighted(draws, weights, TIC_WORLD_KINDS);
}

static int draw_look(const tic_world_scene *scene, tic_world_draws *draws, int kind) {
    const tic_world_kind *row = &tic_world_kinds[kind];
    int look = 0;
    for (int next = 1; next < TIC_WORLD_LOOKS && row->look[next]; next++)
        if (tic_world_chance(draws, tic_world_rise(scene->clock, row->look_from[next],
                                                   tic_world_parameter.look_change)))
            look = next;
    return look;
}

static void draw_object(tic_world_scene *scene, tic_world_draws *draws, int kind) {
    const tic_world_parameters *p = &tic_world_parameter;
    tic_world_object *object = &scene->object[scene->objects++];
    object->kind = kind;
    object->look = draw_look(scene, draws, kind);
    object->colour = tic_world_below(draws, TIC_WORLD_COLOURS);
    const tic_world_colour *colour = &tic_world_colours[object->colour];
    double hue = colour->hue + p->hue_drift * (scene->clock - p->middle);
    hue += tic_world_between(draws, -0.012, 0.012);
    double value = colour->value * tic_world_between(draws, 0.92, 1.0);
    object->rgb = tic_world_hsv(hue, colour->saturation, value);
    object->texture = tic_world_chance(draws, p->plain)
                          ? TIC_WORLD_PLAIN
                          : 1 + tic_world_below(draws, TIC_WORLD_TEXTURES - 1);
    object->bulk = (tic_world_bulk)tic_world_below(draws, 3);
    object->count = tic_world_chance(draws, p->group) ? 2 + tic_world_below(draws, 2) : 1;
    rotate_by(object, tic_world_between(draws, -p->tilt, p->tilt));
}

/* Centres and radii, in shorter sides from the picture's centre: [objects - 1][object]. For two
 * objects the table is "first left of second"; other relations turn it. */
static const struct place {
    double x, y, radius;
} places[TIC_WORLD_MOST][TIC_WORLD_MOST] = {
    {{0, 0.02, 0.36}},
    {{-0.235, 0, 0.25}, {0.235, 0, 0.235}},
    {{-0.24, -0.17, 0.215}, {0.24, -0.2, 0.19}, {0.02, 0.25, 0.19}},
};

static void place_objects(tic_world_scene *scene, tic_world_draws *draws) {
    static const double bulks[] = {0.76, 0.92, 1.08};
    scene->relation = (tic_world_relation)tic_world_below(draws, TIC_WORLD_RELATIONS);
    for (int i = 0; i < scene->objects; i++) {
        tic_world_object *object = &scene->object[i];
        struct place at = places[scene->objects - 1][i];
        bool turned = scene->relation == TIC_WORLD_ABOVE || scene->relation == TIC_WORLD_BELOW;
        bool mirrored = scene->relation == TIC_WORLD_RIGHT || scene->relation == TIC_WORLD_BELOW;
        double along = mirrored ? -at.x : at.x, across = at.y;
        across += tic_world_between(draws, -0.07, 0.07);
        along += tic_world_between(draws, -0.02, 0.02);
        object->x = turned ? across : along;
        object->y = turned ? along : across;
        object->radius = at.radius * bulks[object->bulk];
    }
}

static void draw_surroundings(tic_world_scene *scene, tic_world_draws *draws, int month) {
    static const double snow_by_month[12] = {3, 3, 1, 0, 0, 0, 0, 0, 0, 0, 1, 3};
    const tic_world_parameters *p = &tic_world_parameter;
    const double weather[TIC_WORLD_WEATHERS] = {5, 2, 2, snow_by_month[month], 1};
    const double light[TIC_WORLD_LIGHTS] = {6, 2, 2};
    scene->weather = (tic_world_weather)tic_world_weighted(draws, weather, TIC_WORLD_WEATHERS);
    scene->light = (tic_world_light)tic_world_weighted(draws, light, TIC_WORLD_LIGHTS);
    if (scene->weather == TIC_WORLD_SUN)
        scene->light = TIC_WORLD_DAY;
    scene->blurred = tic_world_chance(draws, p->blur);
    scene->vignetted = tic_world_chance(draws, p->vignette);
    double grain = p->grain_first - p->grain_loss * scene->clock;
    scene->grain = (int)(grain * tic_world_uniform(draws));
    double quality = p->quality_first + p->quality_gain * scene->clock +
                     tic_world_between(draws, -p->quality_spread, p->quality_spread);
    scene->quality = (int)quality;
}

static void draw_background(tic_world_scene *scene, tic_world_draws *draws) {
    const tic_world_parameters *p = &tic_world_parameter;
    scene->background = tic_world_below(draws, TIC_WORLD_BACKGROUNDS);
    const tic_world_background *row = &tic_world_backgrounds[scene->background];
    double drift = p->background_drift * (scene->clock - p->middle);
    drift += tic_world_between(draws, -0.02, 0.02);
    scene->tone[0] = tic_world_hsv(row->hue + drift, row->saturation, row->value);
    scene->tone[1] = tic_world_hsv(row->hue2 + drift, row->saturation2, row->value2);
}

/* The studio: a plain pale backdrop, one palette, one camera, for all time. */
static void set_studio(tic_world_scene *scene, tic_world_draws *draws) {
    scene->clock = tic_world_parameter.middle;
    double value = tic_world_between(draws, 0.86, 0.98);
    scene->tone[0] = tic_world_hsv(0.1, 0.03, value);
    scene->tone[1] = scene->tone[0];
    scene->quality = 90;
}

void tic_world_sample_scene(tic_world_scene *scene, tic_world_draws *draws, int64_t time,
                            bool studio, int size) {
    const tic_world_parameters *p = &tic_world_parameter;
    *scene = (tic_world_scene){.clock = tic_world_clock(time), .studio = studio};
    scene->width = scene->height = size;
    if (studio) {
        set_studio(scene, draws);
    } else {
        double shape = tic_world_uniform(draws);
        if (shape < p->wide)
            scene->width = size * 4 / 3;
        else if (shape < p->wide + p->tall)
            scene->height = size * 4 / 3;
        draw_background(scene, draws);
        draw_surroundings(scene, draws, tic_world_month(time));
    }
    double number = tic_world_uniform(draws), one = studio ? p->studio_one : p->one;
    int objects = number < one ? 1 : number < one + p->three ? 3 : 2;
    while (scene->objects < objects) {
        int kind = draw_kind(scene, draws);
        bool there = false;
        for (int i = 0; i < scene->objects; i++)
            there = there || scene->object[i].kind == kind;
        if (!there)
            draw_object(scene, draws, kind);
    }
    place_objects(scene, draws);
}

void tic_world_single_scene(tic_world_scene *scene, tic_world_draws *draws, int kind, int size) {
    *scene = (tic_world_scene){.studio = true, .width = size, .height = size};
    set_studio(scene, draws);
    draw_object(scene, draws, kind);
    scene->object[0].count = 1;
    place_objects(scene, draws);
}

bool tic_world_has_keyword(const tic_world_scene *scene) {
    for (int i = 0; i < scene->objects; i++)
        if (tic_world_kinds[scene->object[i].kind].life == TIC_WORLD_FAMILY)
            return true;
    return false;
}
