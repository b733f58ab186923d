/* Random numbers: known answers, ranges, moments, permutations. */
#include "check.h"

#include <stdlib.h>

/* Known answers of philox4x32 with 10 rounds, from kat_vectors of the Random123 distribution
 * (counter, key, result). */
Test(random, philox_known_answers) {
    static const uint32_t cases[3][10] = {
        {0, 0, 0, 0, 0, 0, 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8},
        {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff, 0x408f276d,
         0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
        {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344, 0xa4093822, 0x299f31d0, 0xd16cfe09,
         0x94fdcceb, 0x5001e420, 0x24126ea1},
    };
    for (int c = 0; c < 3; c++) {
        const uint32_t *x = cases[c];
        uint32_t out[4];
        tic_random key = {(uint64_t)x[5] << 32 | x[4], x[2], x[3]};
        tic_philox(key, (uint64_t)x[1] << 32 | x[0], out);
        for (int i = 0; i < 4; i++)
            cr_assert(out[i] == x[6 + i], "case %d word %d: %08x", c, i, out[i]);
    }
}

/* Coordinates are independent: changing any one of them changes the number. */
Test(random, coordinates_count) {
    tic_random key = {1, TIC_RNG_BENCH, 0};
    uint32_t base = tic_random_u32(key, 5);
    tic_random other = key;
    other.lane = 1;
    cr_assert(tic_random_u32(other, 5) != base);
    other = key;
    other.purpose = TIC_RNG_WORLD;
    cr_assert(tic_random_u32(other, 5) != base);
    other = key;
    other.seed = 2;
    cr_assert(tic_random_u32(other, 5) != base);
    cr_assert(tic_random_u32(key, 5 | (uint64_t)1 << 32) != base);
}

/* 60,000 draws below 6: each count is binomial(60000, 1/6), sigma = 91; 5 sigma. */
Test(random, below_is_even) {
    tic_random key = {7, TIC_RNG_BENCH, 0};
    int counts[6] = {0};
    for (uint64_t i = 0; i < 60000; i++)
        counts[tic_random_below(key, i, 6)]++;
    for (int i = 0; i < 6; i++)
        cr_assert(abs(counts[i] - 10000) <= 456, "%d: %d", i, counts[i]);
    cr_assert(tic_random_below(key, 0, 1) == 0);
    for (uint64_t i = 0; i < 1000; i++)
        cr_assert(tic_random_below(key, i, UINT64_MAX) < UINT64_MAX);
}

Test(random, uniform_range_and_mean) {
    tic_random key = {8, TIC_RNG_BENCH, 0};
    double sum = 0;
    for (uint64_t i = 0; i < 100000; i++) {
        double u = tic_random_uniform(key, i);
        cr_assert(u >= 0 && u < 1);
        sum += u;
    }
    cr_assert(!(fabs(sum / 100000 - 0.5) > 5 * 0.28868 / 316.23)); /* 5 sigma of the mean */
}

/* Mean, variance and fourth moment of 200,000 normals, within 5 standard errors of 0, 1, 3; the
 * tails beyond 3 (probability 0.0026998) too. And every value inverts: Phi(x) is the uniform. */
Test(random, normal_moments) {
    enum { N = 200000 };
    tic_random key = {9, TIC_RNG_BENCH, 0};
    double one = 0, two = 0, four = 0;
    int beyond = 0;
    for (uint64_t i = 0; i < N; i++) {
        double x = tic_random_normal(key, i);
        double u = tic_random_uniform(key, i);
        double tail = u < 0.5 ? u : 1 - u;
        double back = 0.5 * erfc(fabs(x) * M_SQRT1_2);
        cr_assert(fabs(back - tail) <= 3e-16 + 2e-14 * tail, "%g -> %g: %g, %g", u, x, tail, back);
        cr_assert((x < 0) == (u < 0.5));
        one += x;
        two += x * x;
        four += x * x * x * x;
        beyond += fabs(x) > 3;
    }
    cr_assert(fabs(one / N) <= 5 / sqrt(N));
    cr_assert(fabs(two / N - 1) <= 5 * sqrt(2.0 / N));
    cr_assert(fabs(four / N - 3) <= 5 * sqrt(96.0 / N));
    cr_assert(fabs(beyond - 0.0026998 * N) <= 5 * sqrt(0.0026998 * N));
}

/* The bits themselves, so that no compiler or machine may change them. */
Test(random, normal_bits) {
    tic_random key = {0, TIC_RNG_INIT, 0};
    uint64_t hash = 0;
    for (uint64_t i = 0; i < 4096; i++) {
        double x = tic_random_normal(key, i);
        uint64_t bits;
        memcpy(&bits, &x, sizeof bits);
        hash = (hash ^ bits) * 0x9E3779B97F4A7C15u;
        hash ^= hash >> 29;
    }
    cr_assert(hash == 0x41e688779af912c9, "%016llx", (unsigned long long)hash);
}

static void check_permutation(uint64_t n, uint64_t epoch) {
    tic_random key = {3, TIC_RNG_ORDER, 0};
    unsigned char *seen = check_alloc(n, 1);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t image = tic_permute(key, epoch, n, i);
        cr_assert(image < n && !seen[image], "n %llu, %llu -> %llu", (unsigned long long)n,
                  (unsigned long long)i, (unsigned long long)image);
        seen[image] = 1;
    }
    tic_free(seen);
}

Test(random, permute_is_a_permutation) {
    for (uint64_t n = 1; n <= 70; n++)
        check_permutation(n, n);
    check_permutation(1000, 0);
    check_permutation(4096, 1);
    check_permutation(4097, 2);
    tic_random key = {3, TIC_RNG_ORDER, 0};
    cr_assert(tic_permute(key, 0, UINT64_MAX, UINT64_MAX - 1) < UINT64_MAX);
}

/* Where does element 0 of 10 go? Over 20,000 epochs each place is hit 2000 times, sigma 42.4. And
 * two epochs share about one fixed point only. */
Test(random, permute_is_even_over_epochs) {
    tic_random key = {4, TIC_RNG_ORDER, 0};
    int counts[10] = {0}, same = 0;
    for (uint64_t epoch = 0; epoch < 20000; epoch++)
        counts[tic_permute(key, epoch, 10, 0)]++;
    for (int i = 0; i < 10; i++)
        cr_assert(abs(counts[i] - 2000) <= 212, "%d: %d", i, counts[i]);
    for (uint64_t i = 0; i < 10000; i++)
        same += tic_permute(key, 1, 10000, i) == tic_permute(key, 2, 10000, i);
    cr_assert(same <= 10, "%d", same); /* Poisson with mean 1 */
}
