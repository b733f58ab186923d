/* AMX beneath gemm: the emulated tiles against the instructions, bit for bit; blocks of products
 * against sums in double under the bound of kernels/amx.h; packing; activations by table. Compiled
 * once a tier (amx, amx_emulated) as the kernels are. */
#include "check.h"

#include "kernels/amx.h"
#include "kernels/amx/activate.h"

#ifdef TIC_AMX_EMULATE
#define NEEDS TIC_ISA_PORTABLE
#else
#define NEEDS TIC_ISA_AMX_BF16
#endif

static const tic_amx_products *const mine = &TIC_TIERED(tic_amx_products);
static const tic_amx_packing *const packing = &TIC_TIERED(tic_amx_packing);

#define SKIP_UNLESS_RUNNABLE()                                                                     \
    do {                                                                                           \
        if ((tic_cpu_get()->isa & NEEDS) != NEEDS)                                                 \
            cr_skip_test("this CPU lacks %s", tic_isa_name(NEEDS));                                \
    } while (0)

static uint32_t draw(uint64_t stream, uint64_t i) {
    return tic_random_u32((tic_random){stream, TIC_RNG_BENCH, 3}, i);
}

/* ---- tiles ----------------------------------------------------------------------------------- */

enum { PRODUCTS = 2000 };
typedef struct tiles {
    tic_bf16 a[512], b[512];
    uint32_t c[256];
} __attribute__((aligned(64))) tiles;

/* Ordinary numbers; results near the smallest normal, denormal operands among them; any finite
 * bits, overflow included; any bits at all. */
enum { ORDINARY, TINY, FINITE, ANY, KINDS };

static tic_bf16 any_bf16(int kind, uint32_t bits, bool left) {
    uint32_t exponent = bits >> 16 & 0x7f;
    if (kind == ORDINARY)
        return (tic_bf16)((bits & 0x807f) | (120 + exponent % 14) << 7);
    if (kind == TINY)
        return (tic_bf16)((bits & 0x807f) | (left ? exponent % 70 : 60 + exponent % 10) << 7);
    if (kind == FINITE && (bits & 0x7f80) == 0x7f80)
        return (tic_bf16)(bits & 0xbfff);
    return (tic_bf16)bits;
}

static void fill(tiles *t, int kind, uint64_t round) {
    for (uint64_t i = 0; i < 512; i++) {
        t->a[i] = any_bf16(kind, draw(1, round * 512 + i), true);
        t->b[i] = any_bf16(kind, draw(2, round * 512 + i), false);
    }
    for (uint64_t i = 0; i < 256; i++) {
        uint32_t bits = draw(3, round * 256 + i);
        if (kind == ORDINARY)
            bits = (bits & 0x807fffff) | (118 + (bits >> 23) % 16) << 23;
        if (kind == TINY)
            bits &= 0x80ffffff;
        if (kind == FINITE && (bits & 0x7f800000) == 0x7f800000)
            bits &= 0xbfffffff;
        t->c[i] = round % 2 ? bits : 0;
    }
}

static void multiply(const tic_amx_products *products, tiles *t) {
    tic_amx_block block = {.a = t->a,
                           .b = t->b,
                           .a_row = 64,
                           .a_step = 1024,
                           .b_step = 1024,
                           .steps = 1,
                           .c = (float *)(void *)t->c,
                           .ldc = 16};
    products->begin();
    products->block[1][0][0](&block);
    products->end();
}

static bool is_nan(uint32_t bits) {
    return (bits & 0x7fffffff) > 0x7f800000;
}

/* The same bits; of a NaN only that it is one: which operand's payload survives is not documented.
 */
Test(amx, emulated_tiles_are_the_cpus) {
    SKIP_UNLESS_RUNNABLE();
    static tiles first, second;
    for (int kind = 0; kind < KINDS; kind++) {
        for (uint64_t round = 0; round < PRODUCTS; round++) {
            fill(&first, kind, round);
            second = first;
            multiply(mine, &first);
            multiply(&tic_amx_products_amx_emulated, &second);
            for (int i = 0; i < 256; i++)
                cr_assert(first.c[i] == second.c[i] || (is_nan(first.c[i]) && is_nan(second.c[i])),
                          "kind %d: %08x, not %08x", kind, first.c[i], second.c[i]);
        }
    }
}

Test(amx, denormals_are_zeros_of_their_sign) {
    SKIP_UNLESS_RUNNABLE();
    static tiles t;
    memset(&t, 0, sizeof t);
    t.a[0] = 0x007f; /* the largest denormal: times 2^100 it would be normal */
    t.b[0] = 0x7180;
    t.c[1] = 0x80000001;
    multiply(mine, &t);
    cr_assert(t.c[0] == 0 && (t.c[1] & 0x7fffffff) == 0);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

static float bf16_value(uint64_t stream, uint64_t i) {
    return tic_from_bf16(tic_to_bf16(check_value(stream, i, 1)));
}

/* A [rows, k] and B [k, cols] from packed tiles, C between sentinels. */
static void check_block(int rows, int cols, int64_t k, bool accumulate) {
    int64_t steps = tic_amx_steps(k), m = 16 * rows, n = 16 * cols, ldc = n + 8;
    tic_bf16 *a = check_alloc((size_t)(m * k), 2), *b = check_alloc((size_t)(k * n), 2);
    unsigned char *packed_a = check_alloc((size_t)(steps * rows), 1024);
    unsigned char *packed_b = check_alloc((size_t)(steps * cols), 1024);
    float *c = check_alloc((size_t)(m * ldc), sizeof *c);
    for (int64_t i = 0; i < m * k; i++)
        a[i] = tic_to_bf16(bf16_value(4, (uint64_t)i));
    for (int64_t i = 0; i < k * n; i++)
        b[i] = tic_to_bf16(bf16_value(5, (uint64_t)i));
    check_fill(c, (size_t)(m * ldc), 6, 1);
    for (int r = 0; r < rows; r++)
        packing->a(&(tic_amx_piece){.from = a + 16 * r * k,
                                    .type = TIC_BF16,
                                    .across = true,
                                    .ld = k,
                                    .k = k,
                                    .valid = 16,
                                    .to = packed_a + 1024 * r,
                                    .step_bytes = 1024 * rows});
    for (int x = 0; x < cols; x++)
        packing->b(&(tic_amx_piece){.from = b + 16 * x,
                                    .type = TIC_BF16,
                                    .ld = n,
                                    .k = k,
                                    .valid = 16,
                                    .to = packed_b + 1024 * x,
                                    .step_bytes = 1024 * cols});
    tic_amx_block block = {.a = packed_a,
                           .b = packed_b,
                           .a_row = 64,
                           .a_tile = 1024,
                           .a_step = 1024 * rows,
                           .b_tile = 1024,
                           .b_step = 1024 * cols,
                           .steps = steps,
                           .c = c,
                           .ldc = ldc};
    mine->begin();
    mine->block[accumulate][rows - 1][cols - 1](&block);
    mine->end();
    for (int64_t i = 0; i < m; i++) {
        for (int64_t j = 0; j < ldc; j++) {
            float before = check_value(6, (uint64_t)(i * ldc + j), 1);
            if (j >= n) {
                cr_assert(c[i * ldc + j] == before);
                continue;
            }
            double sum = accumulate ? before : 0, size = fabs(sum);
            for (int64_t p = 0; p < k; p++) {
                double x = (double)tic_from_bf16(a[i * k + p]) * tic_from_bf16(b[p * n + j]);
                sum += x;
                size += fabs(x);
            }
            double roundings = (double)(k < 32 ? k : 32) / 2 + 1 + (double)steps;
            double bound = roundings * 0x1p-24 * 1.01 * size;
            cr_assert(check_near(c[i * ldc + j], sum, bound), "%d x %d, k %lld: [%lld,%lld]", rows,
                      cols, (long long)k, (long long)i, (long long)j);
        }
    }
    tic_free(a), tic_free(b), tic_free(packed_a), tic_free(packed_b), tic_free(c);
}

Test(amx, blocks_are_products) {
    SKIP_UNLESS_RUNNABLE();
    for (int rows = 1; rows <= 2; rows++)
        for (int cols = 1; cols <= 2; cols++)
            for (int64_t k = 1; k <= 161; k += k < 33 ? 1 : 32)
                check_block(rows, cols, k, k & 1);
}

/* ---- packing --------------------------------------------------------------------------------- */

static tic_bf16 as_operand(float x, tic_dtype type) {
    if (type == TIC_F32 && fabsf(x) < 0x1p-126f)
        return signbit(x) ? 0x8000 : 0;
    return tic_to_bf16(x);
}

/* Every kind of element, behind guard pages; the tiles element by element, the sums in order. */
static void check_piece(tic_dtype type, bool across, bool right, int valid, int64_t k, bool sums) {
    int64_t rows = across ? valid : k, cols = across ? k : valid, ld = cols + 3;
    int64_t count = rows > 0 && cols > 0 ? (rows - 1) * ld + cols : 0;
    check_guarded from = check_guarded_new((size_t)count * tic_dtype_size(type), k % 2);
    for (int64_t i = 0; i < count; i++) {
        float x = check_value(7, (uint64_t)i, 3);
        if (i % 37 == 5)
            x = i % 2 ? 1e-39f : -1e-40f;
        if (i % 53 == 7)
            x = INFINITY;
        if (type == TIC_F32)
            ((float *)from.data)[i] = x;
        else
            ((tic_bf16 *)from.data)[i] = tic_to_bf16(x);
    }
    int64_t steps = tic_amx_steps(k), step_bytes = 2048;
    tic_bf16 *to = check_alloc((size_t)(steps * step_bytes) + 64, 1);
    float got[16], want[16];
    check_fill(got, 16, 8, 1);
    memcpy(want, got, sizeof want);
    tic_amx_piece piece = {from.data, type,       across,           ld, k, valid,
                           to,        step_bytes, sums ? got : NULL};
    (right ? packing->b : packing->a)(&piece);
    for (int64_t p = 0; p < steps * 32; p++) {
        for (int i = 0; i < 16; i++) {
            float x = 0;
            int64_t q = p % 32, at = across ? i * ld + p : p * ld + i;
            if (i < valid && p < k) {
                x = type == TIC_F32 ? ((float *)from.data)[at]
                                    : tic_from_bf16(((tic_bf16 *)from.data)[at]);
                want[i] += x;
            }
            tic_bf16 *tile = to + p / 32 * step_bytes / 2;
            tic_bf16 is = right ? tile[q / 2 * 32 + 2 * i + q % 2] : tile[i * 32 + q];
            cr_assert(is == as_operand(x, type), "type %d across %d right %d [%d,%lld]: %04x, %g",
                      type, across, right, i, (long long)p, is, (double)x);
        }
    }
    cr_assert(!sums || memcmp(got, want, sizeof got) == 0, "sums: type %d", type);
    tic_free(to);
    check_guarded_free(&from);
}

Test(amx, packing) {
    SKIP_UNLESS_RUNNABLE();
    static const int64_t lengths[] = {0, 1, 2, 31, 32, 33, 64, 95, 97};
    for (int which = 0; which < 8; which++)
        for (int valid = 1; valid <= 16; valid++)
            for (size_t x = 0; x < sizeof lengths / sizeof lengths[0]; x++)
                for (int sums = 0; sums <= !(which & 2); sums++)
                    check_piece((tic_dtype)(which & 1), which & 2, which & 4, valid, lengths[x],
                                sums);
}

/* ---- lanes and activations ------------------------------------------------------------------- */

static float lane(lanes v, int i) {
    float x[16];
    memcpy(x, &v, sizeof x);
    return x[i % 16];
}

static double phi(double x) {
    return 0.5 * erfc(-x * M_SQRT1_2);
}

static double sigmoid(double x) {
    return 1 / (1 + exp(-1.702 * x));
}

Test(amx, activations_are_within_their_bounds) {
    SKIP_UNLESS_RUNNABLE();
    double worst[4] = {0};
    for (int i = 0; i <= 3000000; i++) {
        float x = -15.0f + 30.0f * (float)i / 3000000;
        double d = x, s = sigmoid(d);
        double slope = phi(d) + d * exp(-0.5 * d * d) / sqrt(2 * M_PI);
        lanes v = lanes_set(x);
        double errors[4] = {
            fabs(lane(lanes_act(v, TIC_ACT_GELU), i) - d * phi(d)) / (fabs(d) + 1e-30),
            fabs(lane(lanes_act(v, TIC_ACT_QUICK_GELU), i) - d * s) / (fabs(d) + 1e-30),
            fabs(lane(lanes_act_slope(v, TIC_ACT_GELU), i) - slope),
            fabs(lane(lanes_act_slope(v, TIC_ACT_QUICK_GELU), i) - (s + 1.702 * d * s * (1 - s)))};
        for (int e = 0; e < 4; e++)
            worst[e] = errors[e] <= worst[e] || isnan(worst[e]) ? worst[e] : errors[e];
    }
    fprintf(stderr, "errors: gelu %.2g |x|, quick_gelu %.2g |x|, slopes %.2g %.2g\n", worst[0],
            worst[1], worst[2], worst[3]);
    for (int e = 0; e < 4; e++)
        cr_assert(worst[e] <= (e < 2 ? 1.2e-7 : 2e-7), "function %d: %g", e, worst[e]);
}

Test(amx, activations_of_the_extremes) {
    SKIP_UNLESS_RUNNABLE();
    static const tic_act acts[] = {TIC_ACT_GELU, TIC_ACT_QUICK_GELU};
    for (int a = 0; a < 2; a++) {
        cr_assert(lane(lanes_act(lanes_set(0), acts[a]), 0) == 0);
        cr_assert(lane(lanes_act(lanes_set(1e30f), acts[a]), 0) == 1e30f);
        cr_assert(lane(lanes_act(lanes_set(-1e30f), acts[a]), 0) == 0);
        cr_assert(lane(lanes_act(lanes_set(INFINITY), acts[a]), 0) == INFINITY);
        cr_assert(isnan(lane(lanes_act(lanes_set(-INFINITY), acts[a]), 0))); /* as x Phi(x) */
        cr_assert(isnan(lane(lanes_act(lanes_set(NAN), acts[a]), 0)));
        cr_assert(isnan(lane(lanes_act_slope(lanes_set(NAN), acts[a]), 0)));
        cr_assert(lane(lanes_act_slope(lanes_set(1e30f), acts[a]), 0) == 1);
        cr_assert(lane(lanes_act_slope(lanes_set(-INFINITY), acts[a]), 0) == 0);
    }
}

/* Rounding to bf16 is tic_to_bf16's, but for denormals. */
Test(amx, lanes_round_to_bf16) {
    SKIP_UNLESS_RUNNABLE();
    for (uint64_t i = 0; i < 2000000; i++) {
        uint32_t bits = i < 65536 ? (uint32_t)i << 15 : draw(9, i);
        float x;
        memcpy(&x, &bits, sizeof x);
        lanes_h h = lanes_to_bf16(lanes_set(x));
        cr_assert(h[i % 16] == as_operand(x, TIC_F32), "%08x: %04x", bits, h[i % 16]);
    }
}
