/* The real data set, 20,450 dated product photographs, from index to steps and batches. Skipped,
 * and said so, where it is not there. */
#include "tests/data/support.h"
#include <criterion/criterion.h>
#include <string.h>

static tic_index *index_or_skip(const tic_index_options *options) {
    if (!tic_file_exists(TEST_FASHION "/000000.tar"))
        cr_skip("the shared data set is not beside this checkout");
    return must_index(TEST_FASHION, options);
}

/* Every sample is usable; 52 are copies of another, byte for byte with the same caption. */
Test(fashion, index) {
    tic_index *one = index_or_skip(&(tic_index_options){.threads = 1});
    tic_index *two = must_index(TEST_FASHION, &(tic_index_options){.threads = 2});
    const tic_rejected *list;
    cr_expect(tic_index_size(one) == 20450 - 52);
    cr_expect(tic_index_rejects(one, &list) == 52);
    cr_expect(tic_index_rejected(one, TIC_REJECT_DUPLICATE) == 52);
    cr_expect(tic_id_compare(tic_index_hash(one), tic_index_hash(two)) == 0);
    cr_expect(memcmp(tic_index_pairs(one), tic_index_pairs(two),
                     tic_index_size(one) * sizeof(tic_pair)) == 0);
    tic_index_free(one), tic_index_free(two);
}

/* Product titles are English: of them only the ones of two words, ten, are filtered. */
Test(fashion, filter) {
    tic_index *index = index_or_skip(&(tic_index_options){.threads = 2, .filter = true});
    cr_expect(tic_index_rejected(index, TIC_REJECT_NOT_ENGLISH) == 0);
    cr_expect(tic_index_rejected(index, TIC_REJECT_FEW_WORDS) == 10);
    tic_index_free(index);
}

Test(fashion, steps) {
    static const char *const names[] = {"2010", "2011", "2012", "2013", "2015", "2016", "2019"};
    tic_index *index = index_or_skip(&(tic_index_options){.threads = 2});
    tic_steps steps;
    tic_error err = {0};
    tic_steps_options options = {
        .granularity = TIC_YEAR, .first_step = "2010", .min_step = 800, .eval_pairs = 400};
    cr_assert(tic_steps_make(&steps, index, &options, &err) == TIC_OK, "%s", err.text);
    cr_assert(steps.count == 7);
    size_t pairs = 0;
    for (int i = 0; i < 7; i++) {
        cr_expect(strcmp(steps.step[i].name, names[i]) == 0, "%s", steps.step[i].name);
        pairs += steps.step[i].trains + steps.step[i].evals;
    }
    cr_expect(pairs == tic_index_size(index));
    tic_steps_free(&steps);
    tic_index_free(index);
}

/* The paper's dynamic classification: 137 article types under their master category. Counted apart
 * from this code; types of footwear and sporting goods have one category each. */
Test(fashion, classes_from_the_json) {
    tic_index *index = index_or_skip(&(tic_index_options){.threads = 2});
    tic_classes *classes;
    tic_error err = {0};
    int footwear = 0, sporting = 0;
    cr_assert(tic_classes_collect(&classes, index, "articleType", "masterCategory", &err) == TIC_OK,
              "%s", err.text);
    cr_expect(classes->count == 137, "%d", classes->count);
    cr_expect(classes->template_count > 1, "an ensemble");
    for (int i = 0; i < classes->count; i++) {
        footwear += strcmp(classes->subtrees[i], "Footwear") == 0;
        sporting += strcmp(classes->subtrees[i], "Sporting Goods") == 0;
        if (strcmp(classes->labels[i], "Tshirts") == 0)
            cr_expect(strcmp(classes->subtrees[i], "Apparel") == 0);
    }
    cr_expect(footwear == 8 && sporting == 2, "%d, %d", footwear, sporting);
    tic_classes_free(classes);
    tic_index_free(index);
}
