/* The paper's basic filter (reference/tic-clip.md, Filters): English, more than 2 words and 5
 * characters, aspect at most 3.
 *
 * The paper finds the language with fastText's lid.176, a model of 126 MB. Here a caption is taken
 * for English unless there is evidence against it, so that short titles ("Puma Men Ferrari Black
 * Tshirt") pass: most of its letters are not Latin, or the commonest words of another language
 * outweigh those of English. */
#include "data/room.h"
#include <string.h>
#include <utf8proc.h>

enum { MIN_WORDS = 3, MIN_CHARACTERS = 6, MAX_ASPECT = 3, LONGEST_WORD = 15 };

/* Words that are common in one of these languages; those that are also English words ("die", "on",
 * "no", "me", "in") or common in names ("san", "van") are left out. Between blanks. */
static const char english[] =
    " the a an and of in on with for at by from to is are was this that it its as be or you your "
    "my his her their our near under over behind beside two three four some no not has have ";
static const char *const others[] = {
    /* de */ " der das dem den des ein eine einen einem einer und mit im auf ist nicht von zu zum "
             "zur für bei aus über unter neben vor hinter sind auch sich nach wir ich es zwei drei "
             "kleine großer große rote blaue ",
    /* fr */
    " le la les un une des du de et est dans sur avec pour au aux en ne pas qui que ce "
    "cette sous sa ses devant derrière deux trois une d'un d'une près ",
    /* es */
    " el la los las un una unos unas y de del en con por para es que su sus al se lo como "
    "más pero sobre bajo entre este esta dos tres está rojo roja junto ",
    /* it */
    " il lo la gli le un una uno di del della dei delle e è con per che nel nella sul sulla "
    "al alla dal dalla sotto sopra due tre questo questa ",
    /* pt */
    " os um uma uns umas de da dos das em na nos nas com por para que não e é ao à seu sua "
    "se mais sobre sob dois duas três está perto ",
    /* nl */
    " de het een en op voor bij uit naar niet zijn aan onder naast achter twee drie dat wij "
    "ook maar ",
    /* sv */ " en ett och att det som på är av för med inte från två tre ",
    /* pl */ " na nie się jest że przy pod nad obok dwa trzy oraz dla od po ze ",
    /* tr */ " bir ve bu için ile da de çok olan iki üç üzerinde altında yanında daha var ",
    /* id */ " yang dan di dengan untuk dari ini itu pada ke adalah dua tiga tidak sebuah atas ",
};

static bool is_latin(utf8proc_int32_t c) {
    return c < 0x250 || (c >= 0x1E00 && c < 0x1F00) || (c >= 0x2C60 && c < 0x2C80) ||
           (c >= 0xA720 && c < 0xA800) || (c >= 0xFB00 && c < 0xFB07) ||
           (c >= 0xFF21 && c < 0xFF5B);
}

static bool is_letter(utf8proc_int32_t c) {
    utf8proc_category_t category = utf8proc_category(c);
    return category >= UTF8PROC_CATEGORY_LU && category <= UTF8PROC_CATEGORY_LO;
}

static bool is_space(utf8proc_int32_t c) {
    return (c >= 9 && c <= 13) || (c >= 0x1C && c <= 0x1F) || c == 0x85 ||
           utf8proc_category(c) == UTF8PROC_CATEGORY_ZS || c == 0x2028 || c == 0x2029;
}

typedef struct tally {                       /* what is counted over a caption */
    int words, characters, letters, foreign; /* foreign: letters that are not Latin */
    int english, other[sizeof others / sizeof *others];
} tally;

/* `word` stands between blanks, in lower case. */
static void tally_word(tally *t, const char *word) {
    if (strstr(english, word))
        t->english++;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strstr(others[i], word))
            t->other[i]++;
}

static tally count(const char *caption) {
    tally t = {0};
    char word[LONGEST_WORD * 4 + 3] = " ";
    size_t length = 1;
    bool in_word = false;
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)caption;
    for (;;) {
        utf8proc_int32_t c = 0;
        utf8proc_ssize_t step = *at ? utf8proc_iterate(at, -1, &c) : 0;
        bool ends = step <= 0, letter = !ends && (is_letter(c) || c == '\'' || c == 0x2019);
        if (!letter && length > 1) { /* a run of letters is over */
            word[length] = ' ', word[length + 1] = 0;
            tally_word(&t, word);
            length = 1;
        }
        if (ends)
            return t;
        t.characters++;
        t.words += !in_word && !is_space(c);
        in_word = !is_space(c);
        t.letters += is_letter(c);
        t.foreign += is_letter(c) && !is_latin(c);
        /* A run too long for the buffer loses its tail: no word of the lists is that long. */
        if (letter && length < LONGEST_WORD * 4 - 4)
            length += (size_t)utf8proc_encode_char(c == 0x2019 ? '\'' : utf8proc_tolower(c),
                                                   (utf8proc_uint8_t *)word + length);
        at += step;
    }
}

/* Common words make up a good third of a sentence, but a name may hold one or two of them ("Women
 * In Black Eau De Toilette"): it takes two, 30 % of the caption, and more than there are English
 * ones.
 */
static bool reads_foreign(const tally *t) {
    int most = 0;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        most = t->other[i] > most ? t->other[i] : most;
    return 2 * t->foreign > t->letters ||
           (most >= 2 && most > t->english && 10 * most >= 3 * t->words);
}

/* "en", "eng", "en-US", "English" */
static bool is_english(const char *language) {
    return strncasecmp(language, "en", 2) == 0 &&
           (language[2] == 0 || language[2] == '-' || language[2] == '_' ||
            strcasecmp(language, "eng") == 0 || strcasecmp(language, "english") == 0);
}

tic_reject tic_filter_caption(const char *caption, const char *language) {
    tally t = count(caption);
    if (t.words < MIN_WORDS || t.characters < MIN_CHARACTERS)
        return TIC_REJECT_FEW_WORDS;
    bool named = language && language[0];
    if (named ? !is_english(language) : reads_foreign(&t))
        return TIC_REJECT_NOT_ENGLISH;
    return TIC_REJECT_NONE;
}

tic_reject tic_filter_shape(int width, int height, int min_side) {
    int low = width < height ? width : height, high = width < height ? height : width;
    return high > MAX_ASPECT * low || low < min_side ? TIC_REJECT_SHAPE : TIC_REJECT_NONE;
}
