/* No evaluation pair, and no copy of one, is ever trained on: by any step, of any method. */
#include "tests/continual/tiny.h"

static int by_id(const void *a, const void *b) {
    return tic_id_compare(*(const tic_id *)a, *(const tic_id *)b);
}

Test(holdout, no_evaluation_pair_is_in_any_pool) {
    char folder[TIC_PATH];
    tic_error err;
    tic_experiment x;
    tic_index *index;
    tic_steps steps;
    make_test_folder(folder);
    tiny_experiment(&x, folder, "x");
    cr_assert_eq(tic_index_build(&index, x.data, &(tic_index_options){0}, &err), TIC_OK, "%s",
                 err.text);
    cr_assert_gt(tic_index_rejected(index, TIC_REJECT_DUPLICATE), 0, "nothing to tell apart");
    cr_assert_eq(tic_experiment_steps(&x, index, &steps, &err), TIC_OK, "%s", err.text);
    const tic_pair *pairs = tic_index_pairs(index);
    size_t count = 0, trains = 0;
    tic_id *held;
    cr_assert_eq(tic_alloc(&held, 2 * tic_index_size(index), sizeof(tic_id), &err), TIC_OK);
    for (int s = 0; s < steps.count; s++) {
        cr_assert_eq(steps.step[s].evals, 20);
        for (size_t i = 0; i < steps.step[s].evals; i++) {
            held[count++] = pairs[steps.step[s].eval[i]].id;
            held[count++] = pairs[steps.step[s].eval[i]].content;
        }
    }
    qsort(held, count, sizeof(tic_id), by_id);
    for (int s = 0; s < steps.count; s++) {
        const tic_step *step = &steps.step[s];
        for (size_t i = 0; i < step->trains; i++, trains++) {
            const tic_pair *pair = &pairs[step->train[i]];
            cr_assert(bsearch(&pair->id, held, count, sizeof(tic_id), by_id) == NULL);
            cr_assert(bsearch(&pair->content, held, count, sizeof(tic_id), by_id) == NULL);
            cr_assert(pair->time >= step->begin && pair->time < step->end);
        }
    }
    cr_assert_eq(trains + count / 2, tic_index_size(index), "pairs that belong nowhere");
    tic_free(held);
    tic_steps_free(&steps);
    tic_index_free(index);
    remove_test_folder(folder);
}
