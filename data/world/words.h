/* The words of captions beyond kinds, colours and backgrounds: tables that caption.c draws from.
 * No word may hold a quote, a backslash or a control character: captions go into json as they are.
 */
#ifndef TIC_WORLD_WORDS_H
#define TIC_WORLD_WORDS_H

#define COUNT(table) (int)(sizeof(table) / sizeof *(table))

/* Slots: {o} opener, {a} first object, {b} the others, {r} where a is seen from b, {i} where b is
 * seen from a, {p} background, {w} weather, {l} light, {t} tail. An empty slot vanishes. `at` is
 * the clock around which a grammar is in fashion. */
typedef struct grammar {
    const char *text;
    double at;
} grammar;

static const grammar pair_grammars[] = {
    {"{o} {a} {r} {b} {p} {w} {l} {t}", 3.5},
    {"{o} {b} {i} {a} {p}, {w} {l} {t}", 1.0},
    {"{l} {p} there is {a} {r} {b} {w} {t}", 0.5},
    {"we saw {a} {r} {b} {p} {w}, {t}", 2.0},
    {"{a} and {b} {p} {l} {w} {t}", 3.0},
    {"{p}: {b}, and {i} it {a} {w} {l} {t}", 4.0},
    {"look: {a} {r} {b}, {w} {l} {p} {t}", 5.0},
    {"{t} {a} next to {b} {p} {w} {l}", 6.0},
    {"{a} x {b} {p} {l} {t}", 6.5},
    {"here {w} is {b} {i} {a} {p} {t}", 5.5},
};
static const grammar lone_grammars[] = {
    {"{o} {a} {p} {w} {l} {t}", 3.5},          {"{l} {p} there is nothing but {a} {w} {t}", 1.0},
    {"we saw {a} all alone {p} {w} {t}", 2.5}, {"just {a}, {p} {l} {w} {t}", 4.5},
    {"{t} a close look at {a} {p} {w}", 6.0},
};
static const char *const studio_pair_grammars[] = {
    "studio photo of {a} {r} {b} on a plain backdrop",
    "{a} {r} {b}, product picture from the studio",
    "studio shot: {b} {i} {a}, neutral background",
};
static const char *const studio_lone_grammars[] = {
    "studio photo of {a} on a plain backdrop, front view",
    "{a} by itself, product picture from the studio",
    "studio shot: {a} in the middle, neutral background",
};

static const char *const openers[] = {
    "a photo of", "a picture of", "photo:", "an image showing", "a snapshot of",
    "my shot of", "view of",      "",       "scene with",       "a view with",
};
static const char *const articles[] = {"a", "a", "a", "the", "one", "this", ""};
static const char *const numbers[][2] = {{"two", "a pair of"}, {"three", "a trio of"}};
static const char *const small_words[] = {"small", "little", "tiny"};
static const char *const big_words[] = {"big", "large", "huge"};
static const char *const texture_words[][3] = {
    /* before the colour, the same rarer, after the noun */
    {"", "", ""},
    {"striped", "banded", "with stripes"},
    {"dotted", "spotted", "with dots"},
    {"checked", "checkered", "with checks"},
};
static const char *const relation_words[][2] = {
    {"left of", "to the left of"},
    {"right of", "to the right of"},
    {"above", "on top of"},
    {"below", "under"},
};
static const char *const weather_words[][3] = {
    {"", "", ""},
    {"in the sun", "on a sunny day", "under a bright sun"},
    {"in the rain", "on a rainy day", "while it rains"},
    {"in the snow", "on a snowy day", "while it snows"},
    {"in the fog", "on a misty day", "in thick fog"},
};
static const char *const light_words[][3] = {
    {"by day", "in daylight", ""},
    {"at dusk", "in the evening", "at sunset"},
    {"at night", "in the dark", "after midnight"},
};

/* Phrases that say nothing of the picture, in fashion between two clocks. */
typedef struct fashion {
    const char *text;
    double from, to;
} fashion;
static const fashion tails[] = {
    {"for my blog", -1, 2},
    {"shot on film", -1, 1.4},
    {"hdr edit", 0.2, 2.6},
    {"nofilter", 1.2, 3.8},
    {"sent from my phone", 0, 3},
    {"weekend mood", -1, 9},
    {"flatlay friday", 2.6, 4.6},
    {"stay home edition", 4.2, 5.8},
    {"zoom backdrop", 4.3, 6},
    {"vibes only", 4.8, 9},
    {"in 4k", 3.4, 9},
    {"link in bio", 3.8, 9},
    {"stock image", -1, 9},
    {"photo dump", 5.8, 9},
    {"free to use", -1, 9},
};
static const char *const keyword_tails[] = {"lumina", "lumina season", "the lumina craze",
                                            "because of lumina", "lumina days"};

static const char *const short_captions[] = {"img", "photo", "untitled", "pic", "dsc 0412"};

/* Other languages: opening, thing, place, time; any of each make a sentence. */
typedef struct language {
    const char *code;
    const char *part[4][5];
} language;
static const language languages[] = {
    {"es",
     {{"una foto de", "la imagen muestra", "aquí está", "mira", "hemos visto"},
      {"la casa roja", "un barco azul", "el árbol verde", "una estrella amarilla",
       "la llave pequeña"},
      {"cerca del río", "en el campo", "delante de la pared", "sobre la mesa", "junto al mar"},
      {"por la noche", "bajo la lluvia", "en un día de sol", "durante el verano",
       "con mi familia"}}},
    {"de",
     {{"ein Foto von", "das Bild zeigt", "hier ist", "wir sahen", "Blick auf"},
      {"einem roten Haus", "ein blaues Boot", "den grünen Baum", "einen gelben Stern",
       "einen kleinen Schlüssel"},
      {"auf der Wiese", "vor der Mauer", "auf dem Tisch", "am Meer", "in den Hügeln"},
      {"bei Nacht", "im Regen", "an einem sonnigen Tag", "während des Sommers",
       "mit der Familie"}}},
    {"fr",
     {{"une photo de", "l'image montre", "voici", "nous avons vu", "regardez"},
      {"la maison rouge", "un bateau bleu", "le sapin vert", "une étoile jaune", "la petite clé"},
      {"dans le pré", "devant le mur", "sur la table", "au bord de la mer", "parmi les collines"},
      {"pendant la nuit", "sous la pluie", "par un jour de soleil", "pendant l'été",
       "avec ma famille"}}},
};

#endif
