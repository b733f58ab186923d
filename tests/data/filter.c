/* The basic filter's judgement of captions and shapes. */
#include "tests/data/support.h"
#include <criterion/criterion.h>

static void expect(const char *const *captions, size_t count, tic_reject want) {
    for (size_t i = 0; i < count; i++) {
        tic_reject got = tic_filter_caption(captions[i], NULL);
        cr_expect(got == want, "%s: %s", captions[i], tic_reject_name(got));
    }
}
#define EXPECT(want, ...)                                                                          \
    expect((const char *[]){__VA_ARGS__}, sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *),  \
           want)

Test(filter, english) {
    EXPECT(TIC_REJECT_NONE, "Puma Men Ferrari Black Tshirt", "a dog on the beach",
           "United Colors of Benetton Men Solid Black Wallets",
           "York Men Exo Pour Homme Eau De Toilette",
           "J. DEL POZO Women In Black Eau De Toilette Spray 100 ml",
           "Revlon Ooh La La Lilac Nail Polish 324", "Café au lait in Los Angeles with friends",
           "La Jolla Cove in San Diego", "IMG 1234 5678", "🐶 🐱 in the garden");
}

Test(filter, other_languages) {
    EXPECT(TIC_REJECT_NOT_ENGLISH, "Ein roter Hund auf einer Wiese", "Un chat noir sur le canapé",
           "Una taza roja en la mesa", "закат над морем сегодня", "日本の 美しい 山 です",
           "O gato está em cima da mesa", "Il gatto nero sul tavolo della cucina",
           "Een kat op de tafel in het huis", "صورة جميلة من البحر", "เรา ไป ทะเล กัน",
           "chien et chat dans le jardin", "UNE PHOTO DE LA MER");
}

Test(filter, too_short) {
    EXPECT(TIC_REJECT_FEW_WORDS, "", "sunset", "red car", "  red   car ", "a b c", "写真です");
    EXPECT(TIC_REJECT_NONE, "a b cd", "the red car");
}

/* What the json says of the language outweighs what the words look like. */
Test(filter, language_field) {
    cr_expect(tic_filter_caption("a dog on the beach", "de") == TIC_REJECT_NOT_ENGLISH);
    cr_expect(tic_filter_caption("a dog on the beach", "ens") == TIC_REJECT_NOT_ENGLISH);
    cr_expect(tic_filter_caption("a dog on the beach", "") == TIC_REJECT_NONE);
    static const char *const names[] = {"en", "EN", "en-US", "en_GB", "eng", "English"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        cr_expect(tic_filter_caption("la la de la", names[i]) == TIC_REJECT_NONE, "%s", names[i]);
}

Test(filter, shape) {
    cr_expect(tic_filter_shape(300, 100, 0) == TIC_REJECT_NONE);
    cr_expect(tic_filter_shape(301, 100, 0) == TIC_REJECT_SHAPE);
    cr_expect(tic_filter_shape(100, 301, 0) == TIC_REJECT_SHAPE);
    cr_expect(tic_filter_shape(200, 200, 200) == TIC_REJECT_NONE);
    cr_expect(tic_filter_shape(300, 199, 200) == TIC_REJECT_SHAPE);
}
