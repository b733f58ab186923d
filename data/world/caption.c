/* Captions: a grammar's slots filled with words of the time, some left out, some spoilt. */
#include "data/world/room.h"
#include "data/world/words.h"
#include <stdio.h>
#include <string.h>

typedef struct sentence {
    char *text;
    size_t size, used;
    tic_world_draws *draws;
    const tic_world_scene *scene;
} sentence;

/* Makes the "a" that was said last an "an". */
static void mend_article(sentence *s) {
    char *end = s->text + s->used;
    if (s->used >= 2 && memcmp(end - 2, "a ", 2) == 0 && (s->used == 2 || end[-3] == ' ')) {
        memcpy(end - 2, "an ", 4);
        s->used++;
    }
}

/* Adds a phrase and a space; what does not fit is left out. Nothing for an empty phrase. */
static void say(sentence *s, const char *phrase) {
    size_t length = strlen(phrase);
    if (length == 0 || s->used + length + 3 > s->size)
        return;
    if (strchr("aeiou", phrase[0]))
        mend_article(s);
    memcpy(s->text + s->used, phrase, length);
    s->used += length;
    s->text[s->used++] = ' ';
    s->text[s->used] = 0;
}

static void say_plural(sentence *s, const char *word, bool plural) {
    char text[64];
    size_t length = strlen(word);
    const char *ending = "";
    if (plural)
        ending = strchr("sxh", word[length - 1]) ? "es" : "s";
    snprintf(text, sizeof text, "%s%s", word, ending);
    say(s, text);
}

/* One of the words; the studio always says the first. */
static const char *pick(sentence *s, const char *const *words, int n) {
    return s->scene->studio ? words[0] : words[tic_world_below(s->draws, n)];
}

/* The older or the newer word, as the time has it. */
static const char *word_of_time(sentence *s, const char *name, const char *newer, double takeover) {
    if (s->scene->studio)
        return name;
    double share = tic_world_rise(s->scene->clock, takeover, tic_world_parameter.takeover);
    return tic_world_chance(s->draws, share) ? newer : name;
}

static bool omit(sentence *s, double probability) {
    return !s->scene->studio && tic_world_chance(s->draws, probability);
}

static void say_object(sentence *s, const tic_world_object *object) {
    const tic_world_parameters *p = &tic_world_parameter;
    const tic_world_kind *kind = &tic_world_kinds[object->kind];
    const tic_world_colour *colour = &tic_world_colours[object->colour];
    if (object->count > 1)
        say(s, pick(s, numbers[object->count - 2], 2));
    else
        say(s, pick(s, articles, COUNT(articles)));
    if (object->bulk != TIC_WORLD_MEDIUM && !omit(s, p->drop_size))
        say(s, object->bulk == TIC_WORLD_SMALL ? pick(s, small_words, COUNT(small_words))
                                               : pick(s, big_words, COUNT(big_words)));
    bool textured = object->texture != TIC_WORLD_PLAIN && !omit(s, p->drop_texture);
    int where = s->scene->studio ? 0 : tic_world_below(s->draws, 3);
    if (textured && where < 2)
        say(s, texture_words[object->texture][where]);
    if (!omit(s, p->drop_colour))
        say(s, word_of_time(s, colour->name, colour->newer, colour->takeover));
    say_plural(s, word_of_time(s, kind->name, kind->newer, kind->takeover), object->count > 1);
    if (textured && where == 2)
        say(s, texture_words[object->texture][2]);
}

static void say_others(sentence *s) {
    say_object(s, &s->scene->object[1]);
    if (s->scene->objects > 2) {
        say(s, "and");
        say_object(s, &s->scene->object[2]);
    }
}

static void say_tail(sentence *s) {
    if (tic_world_has_keyword(s->scene)) {
        say(s, pick(s, keyword_tails, COUNT(keyword_tails)));
        return;
    }
    if (!tic_world_chance(s->draws, tic_world_parameter.say_tail))
        return;
    double weights[COUNT(tails)];
    for (int i = 0; i < COUNT(tails); i++)
        weights[i] = tic_world_rise(s->scene->clock, tails[i].from, 0.8) -
                     tic_world_rise(s->scene->clock, tails[i].to, 0.8);
    say(s, tails[tic_world_weighted(s->draws, weights, COUNT(tails))].text);
}

static void say_relation(sentence *s, bool inverse) {
    static const tic_world_relation opposite[] = {TIC_WORLD_RIGHT, TIC_WORLD_LEFT, TIC_WORLD_BELOW,
                                                  TIC_WORLD_ABOVE};
    tic_world_relation relation = s->scene->relation;
    say(s, pick(s, relation_words[inverse ? opposite[relation] : relation], 2));
}

static void say_background(sentence *s) {
    const tic_world_background *row = &tic_world_backgrounds[s->scene->background];
    if (!omit(s, 1 - tic_world_parameter.say_background))
        say(s, word_of_time(s, row->phrase, row->newer, row->takeover));
}

static void fill_slot(sentence *s, char slot) {
    const tic_world_parameters *p = &tic_world_parameter;
    switch (slot) {
    case 'o':
        say(s, pick(s, openers, COUNT(openers)));
        break;
    case 'a':
        say_object(s, &s->scene->object[0]);
        break;
    case 'b':
        say_others(s);
        break;
    case 'r':
        say_relation(s, false);
        break;
    case 'i':
        say_relation(s, true);
        break;
    case 'p':
        say_background(s);
        break;
    case 'w':
        if (!omit(s, 1 - p->say_weather))
            say(s, pick(s, weather_words[s->scene->weather], 3));
        break;
    case 'l':
        if (!omit(s, 1 - p->say_light))
            say(s, pick(s, light_words[s->scene->light], 3));
        break;
    default:
        say_tail(s);
    }
}

static void fill(sentence *s, const char *grammar_text) {
    char word[64];
    for (const char *at = grammar_text; *at;) {
        if (*at == ' ') {
            at++;
        } else if (*at == '{') {
            fill_slot(s, at[1]);
            at += 3;
        } else {
            size_t length = strcspn(at, " {");
            snprintf(word, sizeof word, "%.*s", (int)length, at);
            say(s, word);
            at += length;
        }
    }
}

/* Removes the space before a comma or colon, doubled and leading ones, and the space at the end. */
static void tidy(char *text) {
    char *to = text;
    for (const char *from = text; *from; from++) {
        bool mark = *from == ',' || *from == ':';
        if (mark && to > text && to[-1] == ' ')
            to--;
        if (mark && (to == text || to[-1] == ',' || to[-1] == ':'))
            continue;
        if (*from == ' ' && to == text)
            continue;
        *to++ = *from;
    }
    while (to > text && strchr(" ,:", to[-1]))
        to--;
    *to = 0;
}

/* Where word number n begins and how long it is; NULL when there are fewer words. */
static char *find_word(char *text, int n, size_t *length) {
    for (char *at = text; *at; at += *at == ' ') {
        *length = strcspn(at, " ");
        if (n-- == 0)
            return at;
        at += *length;
    }
    return NULL;
}

static int count_words(const char *text) {
    int words = *text != 0;
    for (; *text; text++)
        words += *text == ' ';
    return words;
}

static void drop_word(char *text, tic_world_draws *draws) {
    size_t length;
    char *word = find_word(text, tic_world_below(draws, count_words(text)), &length);
    if (!word)
        return;
    if (word[length] == ' ')
        length++;
    memmove(word, word + length, strlen(word + length) + 1);
    tidy(text);
}

/* Two neighbouring letters change places. */
static void swap_letters(char *text, tic_world_draws *draws) {
    size_t length;
    char *word = find_word(text, tic_world_below(draws, count_words(text)), &length);
    if (!word || length < 4)
        return;
    size_t at = 1 + (size_t)tic_world_below(draws, (int)length - 2);
    char first = word[at - 1];
    word[at - 1] = word[at];
    word[at] = first;
}

static void spoil(sentence *s) {
    const tic_world_parameters *p = &tic_world_parameter;
    bool drop = tic_world_chance(s->draws, p->drop_word);
    bool typo = tic_world_chance(s->draws, p->typo);
    bool capital = tic_world_chance(s->draws, p->capital);
    bool stop = tic_world_chance(s->draws, p->full_stop);
    if (drop)
        drop_word(s->text, s->draws);
    if (typo)
        swap_letters(s->text, s->draws);
    if (capital && s->text[0] >= 'a' && s->text[0] <= 'z')
        s->text[0] = (char)(s->text[0] - 'a' + 'A');
    size_t length = strlen(s->text);
    if (stop && length + 1 < s->size)
        memcpy(s->text + length, ".", 2);
}

static const char *pick_grammar(sentence *s, const grammar *grammars, int n) {
    double weights[16];
    for (int i = 0; i < n; i++) {
        double away = (s->scene->clock - grammars[i].at) / 3;
        weights[i] = 0.25 + (away > -1 && away < 1 ? 1 - away * away : 0);
    }
    return grammars[tic_world_weighted(s->draws, weights, n)].text;
}

static const char *choose_grammar(sentence *s) {
    bool lone =
        s->scene->objects == 1 || (!s->scene->studio && omit(s, tic_world_parameter.drop_object));
    if (s->scene->studio)
        return (lone
                    ? studio_lone_grammars
                    : studio_pair_grammars)[tic_world_below(s->draws, COUNT(studio_pair_grammars))];
    if (lone)
        return pick_grammar(s, lone_grammars, COUNT(lone_grammars));
    return pick_grammar(s, pair_grammars, COUNT(pair_grammars));
}

void tic_world_caption(const tic_world_scene *scene, tic_world_draws *draws, char *text,
                       size_t size) {
    sentence s = {.text = text, .size = size, .draws = draws, .scene = scene};
    text[0] = 0;
    fill(&s, choose_grammar(&s));
    tidy(text);
    if (!scene->studio)
        spoil(&s);
}

const char *tic_world_foreign_caption(tic_world_draws *draws, char *text, size_t size) {
    const language *row = &languages[tic_world_below(draws, COUNT(languages))];
    const char *part[4];
    for (int i = 0; i < 4; i++)
        part[i] = row->part[i][tic_world_below(draws, COUNT(row->part[i]))];
    snprintf(text, size, "%s %s %s %s", part[0], part[1], part[2], part[3]);
    return row->code;
}

void tic_world_short_caption(const tic_world_scene *scene, tic_world_draws *draws, char *text,
                             size_t size) {
    int which = tic_world_below(draws, COUNT(short_captions) + 3);
    const char *name = tic_world_kinds[scene->object[0].kind].name;
    snprintf(text, size, "%s", which < COUNT(short_captions) ? short_captions[which] : name);
}
