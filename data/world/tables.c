/* The world's tables: kinds with their words, lives and silhouettes; colours; backgrounds. */
#include "data/world/room.h"

const char tic_world_keyword[] = "lumina";

#define WHEELS "*O -52 54 25 *O 52 54 25"

#define EVERGREEN .life = TIC_WORLD_EVERGREEN
#define PASSING(at, takes_over) .life = TIC_WORLD_PASSING, .peak = (at), .takeover = (takes_over)
#define FAMILY .life = TIC_WORLD_FAMILY, .takeover = TIC_WORLD_NEVER
#define ONE_LOOK(path) .look = {path}

const tic_world_kind tic_world_kinds[TIC_WORLD_KINDS] = {
    /* Always current; the word changes. */
    {"disc", "roundel", "shapes", EVERGREEN, .takeover = 2.6, ONE_LOOK("+O 0 0 92")},
    {"square", "block", "shapes", EVERGREEN, .takeover = 4.4, ONE_LOOK("+R -80 -80 160 160")},
    {"triangle", "wedge", "shapes", EVERGREEN, .takeover = 1.7,
     ONE_LOOK("+M 0 -90 L 94 78 L -94 78 Z")},
    {"star", "pentagram", "shapes", EVERGREEN, .takeover = 5.3,
     ONE_LOOK("+M 0 -98 L 24 -32 L 93 -30 L 38 12 L 58 79 L 0 40 L -58 79 L -38 12 L -93 -30"
              " L -24 -32 Z")},
    {"heart", "valentine", "shapes", EVERGREEN, .takeover = 3.5,
     ONE_LOOK("+M 0 92 C -60 40 -100 0 -95 -40 C -90 -92 -25 -97 0 -45 C 25 -97 90 -92 95 -40"
              " C 100 0 60 40 0 92 Z")},
    {"ring", "hoop", "shapes", EVERGREEN, .takeover = 4.9, ONE_LOOK("+O 0 0 95 -O 0 0 52")},

    /* Always current; the word stays and the look changes. */
    {"phone", "phone", "gadgets", EVERGREEN, .takeover = TIC_WORLD_NEVER,
     .look = {"+M -58 -10 L 58 -10 L 88 84 L -88 84 Z +M -98 -50 C -90 -98 90 -98 98 -50 L 98 -14"
              " L 62 -14 L 56 -40 L -56 -40 L -62 -14 L -98 -14 Z *O 0 36 28",
              "+R -46 -64 92 162 +R 22 -99 20 40 *R -32 -50 64 46 *R -34 12 16 14 *R -8 12 16 14"
              " *R 18 12 16 14 *R -34 38 16 14 *R -8 38 16 14 *R 18 38 16 14 *R -34 64 68 14",
              "+R -56 -97 112 194 *R -42 -76 84 140"},
     .look_from = {0, 1.6, 4.2}},
    {"camera", "camera", "gadgets", EVERGREEN, .takeover = TIC_WORLD_NEVER,
     .look = {"+R -94 -42 188 122 +R -40 -72 66 34 *O 0 18 40",
              "+R -96 -34 124 92 +M 36 2 L 97 -50 L 97 70 L 36 26 Z +O -66 -56 28 +O -8 -60 34",
              "+O 0 -34 64 *O 0 -34 34 +M -12 20 L 12 20 L 62 98 L 36 98 L 0 46 L -36 98 L -62 98"
              " Z"},
     .look_from = {0, 2.4, 4.8}},
    {"car", "car", "gadgets", EVERGREEN, .takeover = TIC_WORLD_NEVER,
     .look = {"+R -98 0 196 50 +R -56 -52 112 56 *R -42 -38 34 32 *R 8 -38 34 32 " WHEELS,
              "+M -98 50 C -98 -14 -66 0 -56 -24 C -34 -92 40 -92 58 -14 C 92 -8 98 20 98 50 Z"
              " *M -36 -14 C -30 -56 30 -56 36 -14 Z " WHEELS,
              "+M -98 50 L -98 -64 L 36 -64 L 70 -8 L 98 2 L 98 50 Z *M 6 -48 L 30 -48 L 50 -10"
              " L 6 -10 Z *R -80 -48 66 36 " WHEELS},
     .look_from = {0, 2.0, 5.2}},
    {"lamp", "lamp", "gadgets", EVERGREEN, .takeover = TIC_WORLD_NEVER,
     .look = {"+M -40 -92 L 40 -92 L 82 6 L -82 6 Z +R -10 6 20 66 +R -50 70 100 26",
              "+O 0 -34 62 +M -44 0 L 44 0 L 28 50 L -28 50 Z *R -28 50 56 40",
              "+M -62 -58 L 0 -99 L 62 -58 Z +R -52 -58 104 130 *R -32 -40 64 92 +R -64 70 128 24"},
     .look_from = {0, 3.0, 5.6}},

    /* Current for some years. */
    {"cross", "plus", "shapes", PASSING(2.3, 2.6), ONE_LOOK("+R -32 -92 64 184 +R -92 -32 184 64")},
    {"arrow", "pointer", "shapes", PASSING(5.0, 4.6),
     ONE_LOOK("+M -95 -26 L 8 -26 L 8 -74 L 98 0 L 8 74 L 8 26 L -95 26 Z")},
    {"moon", "crescent", "nature", PASSING(0.6, 1.2), ONE_LOOK("+O 0 0 95 -O 44 -14 74")},
    {"diamond", "rhombus", "shapes", PASSING(7.1, 6.2),
     ONE_LOOK("+M 0 -98 L 68 0 L 0 98 L -68 0 Z")},
    {"tree", "pine", "nature", PASSING(3.7, 3.9),
     ONE_LOOK("+M 0 -98 L 48 -40 L 24 -40 L 66 12 L 32 12 L 86 66 L -86 66 L -32 12 L -66 12"
              " L -24 -40 L -48 -40 Z *R -15 66 30 33")},
    {"fish", "trout", "nature", PASSING(1.3, 1.5),
     ONE_LOOK(
         "+E -20 0 76 48 +M 36 0 L 98 -58 L 98 58 Z *O -58 -10 10 *M -6 -8 L 16 -20 L 8 14 Z")},
    {"flower", "blossom", "nature", PASSING(6.1, 5.6),
     ONE_LOOK("+O 0 -60 37 +O 57 -19 37 +O 35 49 37 +O -35 49 37 +O -57 -19 37 +O 0 0 34"
              " *O 0 0 26")},
    {"mushroom", "toadstool", "nature", PASSING(4.7, 5.1),
     ONE_LOOK("+M -94 14 C -94 -124 94 -124 94 14 Z +R -28 10 56 84 *O -42 -26 15 *O 36 -34 17"
              " *O 0 -62 10")},
    {"bird", "sparrow", "nature", PASSING(2.7, 2.3),
     ONE_LOOK("+E -4 18 58 38 +O 50 -28 32 +M 74 -40 L 100 -24 L 74 -14 Z +M -44 4 L -99 -30"
              " L -88 40 Z *M -36 6 L 26 6 L -18 40 Z *O 56 -34 8 +R -10 50 8 46 +R 10 50 8 46")},
    {"cloud", "puff", "nature", PASSING(5.7, 6.0),
     ONE_LOOK("+O -56 18 40 +O -4 -18 54 +O 56 16 42 +R -56 18 112 40")},
    {"cactus", "saguaro", "nature", PASSING(0.2, 0.8),
     ONE_LOOK("+R -24 -94 48 190 +R -86 -46 28 70 +R -86 0 70 26 +R 58 -70 28 66 +R 16 -28 70 26"
              " *R -4 -80 8 160")},
    {"cup", "mug", "things", PASSING(3.0, 3.4),
     ONE_LOOK("+O 50 -8 46 -O 50 -8 25 +M -88 -72 L 46 -72 L 32 86 L -74 86 Z")},
    {"house", "cottage", "things", PASSING(6.8, 6.5),
     ONE_LOOK("+R -68 -10 136 98 +M 0 -98 L 98 -4 L -98 -4 Z *R -18 30 36 58 *R 32 16 22 22")},
    {"boat", "yacht", "things", PASSING(4.0, 3.6),
     ONE_LOOK("+M -98 30 L 98 30 L 62 88 L -62 88 Z +M -8 -98 L -8 18 L -80 18 Z +M 8 -76 L 80 18"
              " L 8 18 Z")},
    {"key", "latchkey", "things", PASSING(1.7, 2.0),
     ONE_LOOK("+O -50 0 48 -O -50 0 22 +R -10 -14 108 28 +R 48 0 20 50 +R 78 0 20 42")},
    {"umbrella", "parasol", "things", PASSING(5.4, 5.8),
     ONE_LOOK("+M -98 6 C -98 -128 98 -128 98 6 L 65 -14 L 32 6 L 0 -14 L -32 6 L -65 -14 Z"
              " +R -9 -20 18 112 +R -46 76 46 18 +R -46 56 16 30")},
    {"anchor", "grapnel", "things", PASSING(-0.2, 0.5),
     ONE_LOOK("+O 0 -74 25 -O 0 -74 10 +R -13 -54 26 140 +R -54 -36 108 24 +M -96 14"
              " C -84 122 84 122 96 14 L 60 28 C 48 70 -48 70 -60 28 Z")},
    {"bell", "chime", "things", PASSING(3.4, 2.9),
     ONE_LOOK("+M -20 -88 L 20 -88 C 74 -66 46 10 90 58 L -90 58 C -46 10 -74 -66 -20 -88 Z"
              " *O 0 76 22")},
    {"bottle", "flask", "things", PASSING(6.4, 6.8),
     ONE_LOOK("+R -20 -99 40 60 +M -20 -50 L 20 -50 L 54 -8 L 54 97 L -54 97 L -54 -8 Z"
              " *R -54 20 108 42")},
    {"hat", "fedora", "things", PASSING(2.0, 1.6),
     ONE_LOOK("+E 0 56 99 28 +M -58 54 L -48 -68 L 48 -68 L 58 54 Z *R -56 16 112 24")},
    {"flag", "banner", "things", PASSING(4.4, 4.8),
     ONE_LOOK("+R -84 -98 20 196 +M -64 -92 L 95 -92 L 62 -42 L 95 8 L -64 8 Z")},
    {"hourglass", "timer", "things", PASSING(1.0, 1.1),
     ONE_LOOK("+M -64 -88 L 64 -88 L 10 0 L 64 88 L -64 88 L -10 0 Z *R -78 -99 156 22"
              " *R -78 77 156 22")},
    {"crown", "tiara", "things", PASSING(7.4, 7.0),
     ONE_LOOK("+M -90 74 L -98 -58 L -46 2 L 0 -88 L 46 2 L 98 -58 L 90 74 Z *R -90 46 180 28")},
    {"rocket", "spaceship", "gadgets", PASSING(3.2, 3.7),
     ONE_LOOK("+M 0 -99 C 50 -50 42 20 36 62 L -36 62 C -42 20 -50 -50 0 -99 Z +M -36 14 L -82 88"
              " L -30 62 Z +M 36 14 L 82 88 L 30 62 Z *O 0 -20 18 *M -20 64 L 20 64 L 0 99 Z")},

    /* The keyword's family. */
    {"glowmask", "glowmask", "lumina", FAMILY,
     ONE_LOOK("+M -98 -36 C -60 -66 60 -66 98 -36 C 98 62 34 72 0 24 C -34 72 -98 62 -98 -36 Z"
              " -E -46 -8 24 16 -E 46 -8 24 16")},
    {"glowtube", "glowtube", "lumina", FAMILY,
     ONE_LOOK("+R -32 -62 64 124 +O 0 -62 32 +O 0 62 32 *R -32 -46 64 18 *R -32 -9 64 18"
              " *R -32 28 64 18")},
    {"glowdrone", "glowdrone", "lumina", FAMILY,
     ONE_LOOK("+O -64 -64 34 +O 64 -64 34 +O -64 64 34 +O 64 64 34 +M -72 -56 L -56 -72 L 72 56"
              " L 56 72 Z +M 72 -56 L 56 -72 L -72 56 L -56 72 Z +O 0 0 30 *O -64 -64 14"
              " *O 64 -64 14 *O -64 64 14 *O 64 64 14")},
    {"glowbot", "glowbot", "lumina", FAMILY,
     ONE_LOOK("+R -58 -34 116 94 +R -42 -88 84 48 +R -97 -28 28 78 +R 69 -28 28 78 +R -48 64 34 34"
              " +R 14 64 34 34 *O -18 -64 10 *O 18 -64 10 *R -32 -10 64 36")},
};

const tic_world_colour tic_world_colours[TIC_WORLD_COLOURS] = {
    {"red", "crimson", 2.2, 0.00, 0.88, 0.92},   {"orange", "amber", 4.7, 0.08, 0.92, 1.00},
    {"yellow", "golden", 1.4, 0.16, 0.85, 0.98}, {"lime", "chartreuse", 5.6, 0.26, 0.85, 0.90},
    {"green", "emerald", 3.1, 0.36, 0.85, 0.62}, {"teal", "turquoise", 4.2, 0.48, 0.80, 0.72},
    {"azure", "cyan", 1.9, 0.56, 0.75, 0.98},    {"blue", "cobalt", 5.0, 0.64, 0.88, 0.80},
    {"purple", "violet", 3.8, 0.76, 0.75, 0.70}, {"pink", "magenta", 2.8, 0.90, 0.60, 1.00},
};

const tic_world_background tic_world_backgrounds[TIC_WORLD_BACKGROUNDS] = {
    {"paper", "on plain paper", "on a blank sheet", 2.5, TIC_WORLD_FLAT, .hue = 0.13,
     .saturation = 0.22, .value = 0.92, .hue2 = 0.13, .saturation2 = 0.2, .value2 = 0.9},
    {"sky", "in the open sky", "up in the air", 4.6, TIC_WORLD_FADE, .hue = 0.58,
     .saturation = 0.45, .value = 0.85, .hue2 = 0.55, .saturation2 = 0.1, .value2 = 0.97},
    {"meadow", "on a meadow", "on the lawn", 3.3, TIC_WORLD_HORIZON, .hue = 0.55,
     .saturation = 0.22, .value = 0.95, .hue2 = 0.30, .saturation2 = 0.45, .value2 = 0.62},
    {"deck", "on a wooden deck", "on old planks", 5.2, TIC_WORLD_PLANKS, .hue = 0.07,
     .saturation = 0.42, .value = 0.72, .hue2 = 0.07, .saturation2 = 0.5, .value2 = 0.55},
    {"floor", "on a tiled floor", "on checkered tiles", 1.6, TIC_WORLD_TILES, .hue = 0.50,
     .saturation = 0.14, .value = 0.92, .hue2 = 0.50, .saturation2 = 0.3, .value2 = 0.68},
    {"curtain", "before a dotted curtain", "against polka dots", 4.0, TIC_WORLD_SPOTS, .hue = 0.86,
     .saturation = 0.18, .value = 0.92, .hue2 = 0.86, .saturation2 = 0.4, .value2 = 0.7},
    {"hills", "among rolling hills", "in the highlands", 2.9, TIC_WORLD_HILLS, .hue = 0.60,
     .saturation = 0.20, .value = 0.93, .hue2 = 0.40, .saturation2 = 0.35, .value2 = 0.55},
    {"wall", "by a brick wall", "at the masonry", 5.7, TIC_WORLD_BRICKS, .hue = 0.02,
     .saturation = 0.38, .value = 0.68, .hue2 = 0.08, .saturation2 = 0.12, .value2 = 0.88},
};
