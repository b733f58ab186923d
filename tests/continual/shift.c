/* Shift analysis: eigenvalues, Fréchet distances and total variation against sums by hand and NumPy
 * (tests/golden/make_frechet.py), and which words of a caption count. */
#include "continual/shift.h"
#include "tests/continual/folder.h"
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static tic_error err;
static const double EPS = 0x1p-52;

#define MUST(call) cr_assert((call) == TIC_OK, "%s", err.text)

static void near(double got, double want, double bound, const char *what) {
    cr_assert(fabs(got - want) <= bound, "%s: %.17g, not %.17g (bound %.3g)", what, got, want,
              bound);
}

/* ---- eigenvalues ----------------------------------------------------------------------------- */

static int rising(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Backward stable: an error of a few n eps |A|. */
static double bound_of(int n, double norm) {
    return 8 * n * EPS * norm;
}

Test(eigen, two_by_two) {
    double a[4] = {2, 1, 1, 2}, values[2];
    MUST(tic_eigen_symmetric(a, 2, values, false, &err));
    qsort(values, 2, sizeof *values, rising);
    near(values[0], 1, bound_of(2, 3), "smaller");
    near(values[1], 3, bound_of(2, 3), "larger");
}

/* The second difference: 2 - 2 cos(k pi / (n + 1)). */
Test(eigen, second_difference) {
    enum { N = 40 };
    static double a[N * N], values[N];
    for (int i = 0; i < N; i++) {
        a[i * N + i] = 2;
        if (i > 0)
            a[i * N + i - 1] = a[(i - 1) * N + i] = -1;
    }
    MUST(tic_eigen_symmetric(a, N, values, false, &err));
    qsort(values, N, sizeof *values, rising);
    for (int k = 0; k < N; k++)
        near(values[k], 2 - 2 * cos((k + 1) * M_PI / (N + 1)), bound_of(N, 4), "value");
}

static double random_at(int i) {
    return tic_random_uniform((tic_random){.seed = 5, .purpose = TIC_RNG_BENCH}, (uint64_t)i) - 0.5;
}

/* V is orthogonal, and A V = V L; of full rank, of rank 2, and diagonal with ties. */
Test(eigen, vectors) {
    enum { N = 23 };
    static double a[N * N], v[N * N], values[N];
    for (int kind = 0; kind < 3; kind++) {
        double norm = 0;
        for (int i = 0; i < N; i++)
            for (int j = 0; j <= i; j++) {
                double x = random_at(i * N + j);
                if (kind == 1)
                    x = random_at(i) * random_at(j) + random_at(i + N) * random_at(j + N);
                if (kind == 2)
                    x = i == j ? i / 4 : 0;
                a[i * N + j] = a[j * N + i] = v[i * N + j] = v[j * N + i] = x;
            }
        for (int i = 0; i < N * N; i++)
            norm += a[i] * a[i];
        norm = sqrt(norm);
        MUST(tic_eigen_symmetric(v, N, values, true, &err));
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) {
                double dot = 0, image = 0;
                for (int k = 0; k < N; k++) {
                    dot += v[i * N + k] * v[j * N + k];
                    image += a[j * N + k] * v[i * N + k];
                }
                near(dot, i == j, bound_of(N, 1), "orthogonal");
                near(image, values[i] * v[i * N + j], bound_of(N, norm), "A v = l v");
            }
    }
}

Test(eigen, edges) {
    double one[1] = {-3}, value, zeros[9] = {0}, values[3], nan[4] = {1, 0, 0, NAN};
    MUST(tic_eigen_symmetric(one, 1, &value, true, &err));
    cr_assert(value == -3 && one[0] == 1);
    MUST(tic_eigen_symmetric(zeros, 3, values, true, &err));
    cr_assert(values[0] == 0 && values[1] == 0 && values[2] == 0);
    cr_assert_eq(tic_eigen_symmetric(nan, 2, values, false, &err), TIC_EINPUT);
}

/* ---- Fréchet distance ------------------------------------------------------------------------ */

static double distance_of(const float *a, int64_t n, const float *b, int64_t m, int d) {
    tic_moments x, y;
    double distance;
    MUST(tic_moments_make(&x, a, n, d, &err));
    MUST(tic_moments_make(&y, b, m, d, &err));
    MUST(tic_frechet(&x, &y, &distance, &err));
    tic_moments_free(&x);
    tic_moments_free(&y);
    return distance;
}

/* Means 2 and 5, variances 4 and 1: 9 + (2 - 1)^2. */
Test(frechet, one_number_by_hand) {
    const float a[] = {0, 2, 4}, b[] = {4, 5, 6};
    near(distance_of(a, 3, b, 3, 1), 9 + 1, 64 * EPS * 10, "distance");
}

/* Independent axes add up: variances 8/3 and 2/3, then 0 and 2/3. */
Test(frechet, axes_add_up) {
    const float a[] = {2, 0, -2, 0, 2, 0, -2, 0}, b[] = {1, 1, -1, -1, 1, -1, -1, 1};
    const double first = sqrt(16.0 / 3) - sqrt(4.0 / 3), second = sqrt(4.0 / 3);
    near(distance_of(a, 4, b, 4, 2), first * first + second * second, 64 * EPS * 8, "distance");
}

Test(frechet, moments_by_hand) {
    const float a[] = {1, 2, 3, 6, 5, 4};
    tic_moments m;
    MUST(tic_moments_make(&m, a, 3, 2, &err));
    near(m.mean[0], 3, 4 * EPS, "mean");
    near(m.mean[1], 4, 4 * EPS, "mean");
    near(m.covariance[0], 4, 16 * EPS, "variance");
    near(m.covariance[1], 2, 16 * EPS, "covariance"); /* (-2 * -2 + 0 * 2 + 2 * 0) / 2 */
    near(m.covariance[2], 2, 16 * EPS, "covariance");
    near(m.covariance[3], 4, 16 * EPS, "variance");
    tic_moments_free(&m);
    cr_assert_eq(tic_moments_make(&m, a, 1, 2, &err), TIC_EUSAGE);
}

static const tic_array *array_of(const tic_safetensors *file, const char *name, const char *what) {
    char key[64];
    snprintf(key, sizeof key, "%s.%s", name, what);
    const tic_array *array = tic_safetensors_find(file, key);
    cr_assert(array != NULL, "%s is missing", key);
    return array;
}

static float *copy(const tic_array *array) {
    float *out;
    MUST(tic_alloc(&out, array->bytes, 1, &err));
    memcpy(out, array->data, array->bytes);
    return out;
}

static double trace_of(const float *x, int64_t n, int d) {
    tic_moments m;
    double trace = 0;
    MUST(tic_moments_make(&m, x, n, d, &err));
    for (int k = 0; k < d; k++)
        trace += m.covariance[k * d + k];
    tic_moments_free(&m);
    return trace;
}

Test(frechet, against_numpy) {
    static const char *const names[] = {"square", "wide", "singular", "one", "half"};
    tic_safetensors *file;
    MUST(tic_safetensors_open(&file, TIC_GOLDEN "/frechet.safetensors", &err));
    for (int i = 0; i < 5; i++) {
        const tic_array *a = array_of(file, names[i], "a"), *b = array_of(file, names[i], "b");
        const int64_t n = a->shape[0], m = b->shape[0];
        const int d = (int)a->shape[1];
        float *x = copy(a), *y = copy(b);
        double expect[2];
        memcpy(expect, array_of(file, names[i], "expect")->data, sizeof expect);
        /* An eigenvalue l of the product is off by delta; its root by delta / (2 sqrt(l)), or by
         * sqrt(delta) where l is zero. */
        const double tx = trace_of(x, n, d), ty = trace_of(y, m, d), delta = 8 * d * EPS * tx * ty;
        const double rank = fmin(d, fmin((double)n, (double)m) - 1);
        const double bound = rank * delta / expect[1] + 2 * (d - rank) * sqrt(delta) +
                             16 * d * EPS * (tx + ty + expect[0]);
        near(distance_of(x, n, y, m, d), expect[0], bound, names[i]);
        near(distance_of(y, m, x, n, d), expect[0], bound, "the other way round");
        near(distance_of(x, n, x, n, d), 0, 2 * d * sqrt(8 * d * EPS) * tx, "to itself");
        tic_free(x);
        tic_free(y);
    }
    tic_safetensors_close(file);
}

/* ---- words ----------------------------------------------------------------------------------- */

/* Counts from "red:2 cup:1". */
static json_t *counts_of(const char *text) {
    json_t *counts = json_object();
    char word[32];
    int n, used;
    for (; sscanf(text, " %31[a-z]:%d%n", word, &n, &used) == 2; text += used)
        json_object_set_new(counts, word, json_integer(n));
    return counts;
}

static double variation_of(const char *p, const char *q) {
    json_t *a = counts_of(p), *b = counts_of(q);
    const double there = tic_total_variation(a, b), back = tic_total_variation(b, a);
    json_decref(a);
    json_decref(b);
    cr_assert((isnan(there) && isnan(back)) || fabs(there - back) <= 4 * EPS);
    return there;
}

Test(words, total_variation_by_hand) {
    near(variation_of("a:1 b:1", "a:2 b:2"), 0, 0, "the same shares");
    near(variation_of("a:3", "b:5"), 1, 4 * EPS, "nothing in common");
    /* 1/2 1/2 0 and 1/4 0 3/4: (1/4 + 1/2 + 3/4) / 2. */
    near(variation_of("a:2 b:2", "a:1 c:3"), 0.75, 4 * EPS, "three words");
    near(variation_of("a:1 b:2 c:3", "a:3 b:2 c:1"), (2.0 / 6 + 0 + 2.0 / 6) / 2, 4 * EPS, "order");
    cr_assert(isnan(variation_of("", "a:1")));
}

static void expect_words(const tic_nouns *nouns, const char *caption, int limit, const char *want) {
    char got[256] = "";
    const char *word;
    json_t *unused, *words = tic_nouns_of(nouns, caption, limit);
    json_object_foreach(words, word, unused) {
        strcat(got, got[0] != '\0' ? " " : "");
        strcat(got, word);
    }
    json_decref(words);
    cr_assert_str_eq(got, want, "%s", caption);
}

Test(words, all_but_function_words) {
    tic_nouns *nouns;
    MUST(tic_nouns_load(&nouns, NULL, &err));
    expect_words(nouns, "A photo of THE red Cup, under a cup-board!", 5, "red cup board");
    expect_words(nouns, "one two three four five six seven", 3, "");
    expect_words(nouns, "red blue green pink teal lime", 5, "red blue green pink teal");
    expect_words(nouns, "caf\303\251 \303\251t\303\251 7 cups", 5,
                 "caf\303\251 \303\251t\303\251 cups");
    expect_words(nouns, "", 5, "");
    tic_nouns_free(nouns);
}

static char folder[TIC_PATH];

Test(words, a_list_of_nouns) {
    static const char list[] =
        "  1 This software and database is being provided\n"
        "cup n 8 5 @ ~ #p %p ; 8 3 07930864\n"
        "ice_cream n 1 1 @ 1 1 07614500\n"
        "box n 10 3\nthere n 1\ni n 3\nman n 11 3\r\nberry n 2\nglass n 7\ndog n 1";
    char path[TIC_PATH + 16];
    tic_nouns *nouns;
    make_test_folder(folder);
    snprintf(path, sizeof path, "%s/index.noun", folder);
    MUST(tic_file_write(path, list, strlen(list), &err));
    MUST(tic_nouns_load(&nouns, path, &err));
    expect_words(nouns, "Three men, two boxes and a red cup", 5, "man box cup");
    expect_words(nouns, "Berries of dogs in glasses of ice cream", 5, "berry dog glass");
    expect_words(nouns, "this software is provided", 5, "");
    expect_words(nouns, "Is there a dog that I see", 5, "dog"); /* function words, though listed */
    tic_nouns_free(nouns);
    MUST(tic_file_write(path, "1 2\n", 4, &err));
    cr_assert_eq(tic_nouns_load(&nouns, path, &err), TIC_EINPUT);
    cr_assert(nouns == NULL && strstr(err.text, "index.noun") != NULL, "%s", err.text);
    remove_test_folder(folder);
}
