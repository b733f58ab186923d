/* The generated data set, inside: what data/world/'s files share. docs/world.md explains it.
 *
 * The same seed must give the same bytes on every machine. So nothing here uses libm's
 * transcendental functions, cairo rasterises filled paths only (its strokes and arcs call sin and
 * cos), and colours are blended in integers by paint.c. */
#ifndef TIC_WORLD_ROOM_H
#define TIC_WORLD_ROOM_H

#include "data/data.h"

/* ---- draws.c: random draws of one sample ---------------------------------------------------- */

/* What a sample's draws are for: streams that do not disturb each other when one grows. */
typedef enum tic_world_stream {
    TIC_WORLD_FATE = 0, /* time, domain, defect, identity */
    TIC_WORLD_SCENE,
    TIC_WORLD_CAPTION,
    TIC_WORLD_OTHER, /* the scene of which a mismatched caption tells */
    TIC_WORLD_PIXELS,
} tic_world_stream;

typedef struct tic_world_draws { /* a stream of words at (seed, sample), lanes rising */
    tic_random key;
    uint64_t sample;
    uint32_t words[4];
    int left; /* of words, not yet given */
} tic_world_draws;

tic_world_draws tic_world_draws_at(uint64_t seed, uint64_t sample, tic_world_stream stream);
uint32_t tic_world_word(tic_world_draws *draws);
double tic_world_uniform(tic_world_draws *draws);                          /* [0, 1) */
double tic_world_between(tic_world_draws *draws, double low, double high); /* [low, high) */
int tic_world_below(tic_world_draws *draws, int n);                        /* [0, n), n >= 1 */
bool tic_world_chance(tic_world_draws *draws, double probability);
/* A place in `weights` in proportion to them; their sum must be positive. */
int tic_world_weighted(tic_world_draws *draws, const double *weights, int n);

/* ---- parameters.c: every number that shapes the world ----------------------------------------*/

enum { TIC_WORLD_YEARS = 9, TIC_WORLD_FIRST_YEAR = 2014 };

typedef struct tic_world_parameters {
    int size;                                         /* default pixels of the shorter side */
    uint64_t pairs;                                   /* default number */
    int shard;                                        /* samples a tar */
    double studio;                                    /* share of the stable domain */
    double mismatched, duplicate, foreign, too_short; /* shares of the defects */
    double years[TIC_WORLD_YEARS];                    /* how many pairs, relative */
    double pace[TIC_WORLD_YEARS]; /* how far the clock of drift moves in the year */
    /* Drift, per unit of the clock (one time step). */
    double hue_drift, background_drift; /* of the colour circle */
    double middle;                      /* the clock at which words and hues mean what they say */
    double life;                        /* half the time that a passing kind is current */
    double takeover;                    /* time in which a new word replaces the old */
    double look_change;                 /* time in which a new look replaces the old */
    double evergreen_weight, passing_weight, family_weight; /* of kinds, against each other */
    double family_from, family_peak, family_end;            /* of the keyword's family */
    double quality_first, quality_gain, quality_spread;     /* JPEG quality, gain per clock */
    double grain_first, grain_loss;                         /* camera noise, levels */
    /* Scenes. */
    double one, three;     /* share of scenes of one and of three objects */
    double studio_one;     /* the same, in the studio */
    double group;          /* share of objects shown two or three times */
    double plain;          /* share of untextured objects */
    double tilt;           /* greatest tilt, radians */
    double wide, tall;     /* share of 4:3 and 3:4 pictures */
    double blur, vignette; /* share of pictures */
    /* Captions. */
    double drop_colour, drop_texture, drop_size, drop_object; /* omissions */
    double drop_word, typo, capital, full_stop;               /* noise */
    double say_background, say_weather, say_light, say_tail;
    /* Evaluation sets. */
    int eval_per_class, eval_retrieval, eval_captions;
} tic_world_parameters;
extern const tic_world_parameters tic_world_parameter;

/* ---- timeline.c: what is current when --------------------------------------------------------*/

int64_t tic_world_draw_time(tic_world_draws *draws); /* unix seconds, 2014-01-01 .. 2022-12-31 */
int64_t tic_world_last_second(void);
/* The clock of drift: 0 at the start of 2014, 1 at 2017's, then 1 more each year. */
double tic_world_clock(int64_t time);
int tic_world_month(int64_t time); /* 0 .. 11 */
/* A smooth rise from 0 to 1 of the given width around `at`. */
double tic_world_rise(double clock, double at, double width);
double tic_world_kind_weight(int kind, double clock);

/* ---- tables.c: kinds, colours and words ------------------------------------------------------*/

typedef enum tic_world_life {
    TIC_WORLD_EVERGREEN,
    TIC_WORLD_PASSING, /* current around `peak` */
    TIC_WORLD_FAMILY,  /* of the keyword that appears in 2020 */
} tic_world_life;

enum { TIC_WORLD_LOOKS = 3, TIC_WORLD_KINDS = 38, TIC_WORLD_COLOURS = 10 };
enum { TIC_WORLD_BACKGROUNDS = 8, TIC_WORLD_NEVER = 99 };

/* A silhouette is a path in the box [-100, 100]^2, y down, in parts. A part begins with '+' (adds
 * to the body), '-' (cuts from the body) or '*' (adds a darker detail), followed by: M x y, L x y
 * ..., C x1 y1 x2 y2 x y ..., Z, O cx cy r (disc), E cx cy rx ry (ellipse), R x y w h (rectangle).
 */
typedef struct tic_world_kind {
    const char *name, *newer; /* the word, and the one that takes over */
    const char *subtree;
    tic_world_life life;
    double peak;                       /* clock, of a passing kind */
    double takeover;                   /* clock, TIC_WORLD_NEVER: none */
    const char *look[TIC_WORLD_LOOKS]; /* paths; NULL: no further look */
    double look_from[TIC_WORLD_LOOKS]; /* clock at which a look replaces the one before */
} tic_world_kind;
extern const tic_world_kind tic_world_kinds[TIC_WORLD_KINDS];
extern const char tic_world_keyword[];

typedef struct tic_world_colour {
    const char *name, *newer;
    double takeover;
    double hue, saturation, value; /* at the middle of the clock; hue in turns */
} tic_world_colour;
extern const tic_world_colour tic_world_colours[TIC_WORLD_COLOURS];

typedef enum tic_world_pattern { /* how a background is painted, paint.c */
                                 TIC_WORLD_FLAT,
                                 TIC_WORLD_FADE,
                                 TIC_WORLD_HORIZON,
                                 TIC_WORLD_PLANKS,
                                 TIC_WORLD_TILES,
                                 TIC_WORLD_SPOTS,
                                 TIC_WORLD_HILLS,
                                 TIC_WORLD_BRICKS,
} tic_world_pattern;
typedef struct tic_world_background {
    const char *name, *phrase, *newer; /* "on a meadow" */
    double takeover;
    tic_world_pattern pattern;
    double hue, saturation, value;    /* first tone */
    double hue2, saturation2, value2; /* second tone */
} tic_world_background;
extern const tic_world_background tic_world_backgrounds[TIC_WORLD_BACKGROUNDS];

/* ---- scene.c: what is in a picture -----------------------------------------------------------*/

typedef enum tic_world_texture {
    TIC_WORLD_PLAIN,
    TIC_WORLD_STRIPED,
    TIC_WORLD_DOTTED,
    TIC_WORLD_CHECKED,
    TIC_WORLD_TEXTURES
} tic_world_texture;
typedef enum tic_world_relation { /* where the first object is, seen from the second */
                                  TIC_WORLD_LEFT,
                                  TIC_WORLD_RIGHT,
                                  TIC_WORLD_ABOVE,
                                  TIC_WORLD_BELOW,
                                  TIC_WORLD_RELATIONS
} tic_world_relation;
typedef enum tic_world_weather {
    TIC_WORLD_CLEAR,
    TIC_WORLD_SUN,
    TIC_WORLD_RAIN,
    TIC_WORLD_SNOW,
    TIC_WORLD_FOG,
    TIC_WORLD_WEATHERS
} tic_world_weather;
typedef enum tic_world_light {
    TIC_WORLD_DAY,
    TIC_WORLD_DUSK,
    TIC_WORLD_NIGHT,
    TIC_WORLD_LIGHTS
} tic_world_light;
typedef enum tic_world_bulk { TIC_WORLD_SMALL, TIC_WORLD_MEDIUM, TIC_WORLD_BIG } tic_world_bulk;

typedef struct tic_world_rgb {
    uint8_t r, g, b;
} tic_world_rgb;
tic_world_rgb tic_world_hsv(double hue, double saturation, double value); /* hue in turns, any */

typedef struct tic_world_object {
    int kind, colour, look;
    tic_world_texture texture;
    tic_world_bulk bulk;
    int count; /* 1 .. 3 copies */
    tic_world_rgb rgb;
    double x, y, radius; /* in shorter sides, from the picture's centre */
    double cosine, sine; /* of the tilt */
} tic_world_object;

enum { TIC_WORLD_MOST = 3 };
typedef struct tic_world_scene {
    double clock;
    bool studio;
    tic_world_object object[TIC_WORLD_MOST];
    int objects;
    tic_world_relation relation;
    int background; /* in the studio: only its tone is used */
    tic_world_rgb tone[2];
    tic_world_weather weather;
    tic_world_light light;
    int width, height; /* pixels */
    bool blurred, vignetted;
    int grain;   /* noise, +- levels */
    int quality; /* JPEG */
} tic_world_scene;

/* A scene of that time; `size` is the shorter side in pixels. In the studio the time plays no part.
 */
void tic_world_sample_scene(tic_world_scene *scene, tic_world_draws *draws, int64_t time,
                            bool studio, int size);
/* A studio scene of one given kind, square: the static classification sets. */
void tic_world_single_scene(tic_world_scene *scene, tic_world_draws *draws, int kind, int size);
bool tic_world_has_keyword(const tic_world_scene *scene);

/* ---- caption.c -------------------------------------------------------------------------------*/

enum { TIC_WORLD_CAPTION_BYTES = 512 };
void tic_world_caption(const tic_world_scene *scene, tic_world_draws *draws, char *text,
                       size_t size);
/* A sentence in Spanish, German or French; gives the language's code. */
const char *tic_world_foreign_caption(tic_world_draws *draws, char *text, size_t size);
void tic_world_short_caption(const tic_world_scene *scene, tic_world_draws *draws, char *text,
                             size_t size);

/* ---- shapes.c and paint.c --------------------------------------------------------------------*/

/* Coverage of one silhouette, 8 bits a pixel, rows of `stride` bytes. */
typedef struct tic_world_mask tic_world_mask;
tic_status tic_world_mask_new(tic_world_mask **out, int width, int height, tic_error *err);
void tic_world_mask_free(tic_world_mask *mask); /* NULL is allowed */
/* Draws `path` with its box centred at (x, y), half a box being `radius` pixels, tilted. */
tic_status tic_world_mask_draw(tic_world_mask *mask, const char *path, double x, double y,
                               double radius, double cosine, double sine, tic_error *err);
const uint8_t *tic_world_mask_body(const tic_world_mask *mask);
const uint8_t *tic_world_mask_detail(const tic_world_mask *mask);
int tic_world_mask_stride(const tic_world_mask *mask);

typedef enum tic_world_style { /* shifted versions of the static sets */
                               TIC_WORLD_AS_IS,
                               TIC_WORLD_SKETCH,
                               TIC_WORLD_NOISE,
                               TIC_WORLD_AT_NIGHT,
} tic_world_style;
/* image->pixels is the caller's on success (tic_free). */
tic_status tic_world_paint(tic_image *image, const tic_world_scene *scene, tic_world_style style,
                           tic_world_draws *draws, tic_error *err);
void tic_world_camera(tic_image *image, const tic_world_scene *scene, uint8_t *copy,
                      tic_world_draws *draws);
void tic_world_sketch(tic_image *image, const uint8_t *copy);

/* ---- sample.c: one pair of the stream --------------------------------------------------------*/

typedef enum tic_world_defect {
    TIC_WORLD_SOUND,
    TIC_WORLD_MISMATCHED,
    TIC_WORLD_DUPLICATE,
    TIC_WORLD_FOREIGN,
    TIC_WORLD_TOO_SHORT
} tic_world_defect;
typedef struct tic_world_sample {
    uint64_t number, original; /* `original`: whose picture and caption it has, else its own */
    tic_id uid;
    int64_t time, crawled;
    tic_world_defect defect;
    const char *language;
    tic_world_scene scene;
    char caption[TIC_WORLD_CAPTION_BYTES];
} tic_world_sample;
/* Everything of sample `number` but its picture. */
void tic_world_sample_at(tic_world_sample *sample, const tic_world_options *options,
                         uint64_t number);

/* ---- tarwrite.c and record.c -----------------------------------------------------------------*/

typedef struct tic_world_bytes { /* a growing piece of memory; `at` is freed with tic_free */
    uint8_t *at;
    size_t used, room;
} tic_world_bytes;
tic_status tic_world_put(tic_world_bytes *bytes, const void *from, size_t size, tic_error *err);
tic_status tic_world_format(tic_world_bytes *bytes, tic_error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Appends one ustar member (header, content, padding), with mode 0644, owner 0 and time 0, so that
 * equal contents are equal bytes; `name` has at most 99 bytes. */
tic_status tic_world_tar_member(tic_world_bytes *tar, const char *name, const void *content,
                                size_t size, tic_error *err);
/* Appends the members of one item. */
typedef tic_status (*tic_world_item_fn)(tic_world_bytes *tar, void *user, uint64_t item,
                                        tic_error *err);
typedef struct tic_world_tar {        /* items first .. first + count - 1, made by many threads */
    const tic_world_options *options; /* threads, progress */
    tic_world_item_fn item;
    void *user;
    uint64_t first, count;
    uint64_t done_before, total; /* for progress */
} tic_world_tar;
tic_status tic_world_write_tar(const char *path, const tic_world_tar *tar, tic_error *err);
/* record.c: paints a scene and encodes it: *bytes is the caller's (tic_free). */
tic_status tic_world_jpeg(const tic_world_scene *scene, tic_world_style style,
                          tic_world_draws *draws, uint8_t **bytes, size_t *size, tic_error *err);

/* Appends the members of sample `number`: .jpg, .json, .txt. `options`: tic_world_options with
 * pairs and size filled in. */
tic_status tic_world_put_record(tic_world_bytes *tar, void *options, uint64_t number,
                                tic_error *err);

/* ---- folder.c --------------------------------------------------------------------------------*/

extern const char tic_world_lock_name[];
/* Whether the folder holds this very world, complete. Otherwise it is empty or holds a world that
 * was never finished; anything else is TIC_EUSAGE. */
tic_status tic_world_inspect(const tic_world_options *options, bool *complete, tic_error *err);
tic_status tic_world_mark(const tic_world_options *options, bool complete, tic_error *err);
typedef bool (*tic_world_name_fn)(const char *name);
bool tic_world_is_shard(const char *name);
bool tic_world_is_leftover(const char *name); /* the lock, and temporaries of a killed process */
/* Removes the files of that folder whose names match. */
tic_status tic_world_sweep(const char *folder, tic_world_name_fn matches, tic_error *err);

/* ---- evalsets.c ------------------------------------------------------------------------------*/

/* Pictures in all the evaluation sets: what tic_world_write_evalsets adds to `done`. */
uint64_t tic_world_eval_pictures(void);
/* Writes folder/classes.json and folder/eval/.... `done` and `total` are for progress. */
tic_status tic_world_write_evalsets(const tic_world_options *options, uint64_t done, uint64_t total,
                                    tic_error *err);

#endif
