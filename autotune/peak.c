/* What the units themselves reach: loops of nothing but multiply-adds, in inline assembly, so that
 * neither compiler nor flags decide what is measured. A share of peak is taken against these, and a
 * sample that stands between two of them means something on a machine whose clock moves. */
#include "autotune/autotune.h"

#include <time.h>

/* Independent sums hide the latency of an FMA, 4 to 5 cycles on two ports, and of VDPBF16PS, 6 on
 * Zen 5's two: twelve of those reach 93 % of what sixteen do. So with 32 registers
 * there are twenty. Sums are of ones, which takes the power that real numbers take. */
#define TWELVE(f)                                                                                  \
    f("0") f("1") f("2") f("3") f("4") f("5") f("6") f("7") f("8") f("9") f("10") f("11")
#define EIGHT_MORE(f) f("16") f("17") f("18") f("19") f("20") f("21") f("22") f("23")
enum { SUMS = 12, SUMS_ZMM = 20 };

#define CLOBBERS                                                                                   \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "xmm12", "xmm13", "cc", "memory"
#define CLOBBERS_MORE                                                                              \
    CLOBBERS, "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23"

/* ---- the loops: `rounds` times 12 (zmm: 20, AMX: 2) instructions ---------------------------- */

typedef float four __attribute__((vector_size(16)));

static void loop_portable(long rounds, const void *unused) {
    four sums[SUMS] = {{0}}, x = {1, 1, 1, 1}, y = {0.5f, 0.5f, 0.5f, 0.5f};
    (void)unused;
    while (rounds-- > 0)
        for (int i = 0; i < SUMS; i++) {
            sums[i] += x * y;
            __asm__ volatile("" : "+x"(sums[i]), "+x"(x));
        }
}

#define CLEAR_YMM(i) "vxorps %%ymm" i ", %%ymm" i ", %%ymm" i "\n"
#define FMA_YMM(i) "vfmadd231ps %%ymm12, %%ymm13, %%ymm" i "\n"
static void loop_avx2(long rounds, const void *unused) {
    const float x = 1, y = 0.5f;
    (void)unused;
    __asm__ volatile("vbroadcastss %1, %%ymm12\nvbroadcastss %2, %%ymm13\n" TWELVE(
                         CLEAR_YMM) "1:\n" TWELVE(FMA_YMM) "dec %0\njnz 1b\nvzeroupper\n"
                     : "+r"(rounds)
                     : "m"(x), "m"(y)
                     : CLOBBERS);
}

#define ZMM __attribute__((target("avx512f"))) /* or registers 16 on can't be clobbered */
#define CLEAR_ZMM(i) "vpxord %%zmm" i ", %%zmm" i ", %%zmm" i "\n"
#define FMA_ZMM(i) "vfmadd231ps %%zmm12, %%zmm13, %%zmm" i "\n"
ZMM static void loop_avx512(long rounds, const void *unused) {
    const float x = 1, y = 0.5f;
    (void)unused;
    __asm__ volatile("vbroadcastss %1, %%zmm12\nvbroadcastss %2, %%zmm13\n" TWELVE(CLEAR_ZMM)
                         EIGHT_MORE(CLEAR_ZMM) "1:\n" TWELVE(FMA_ZMM)
                             EIGHT_MORE(FMA_ZMM) "dec %0\njnz 1b\nvzeroupper\n"
                     : "+r"(rounds)
                     : "m"(x), "m"(y)
                     : CLOBBERS_MORE);
}

#define DOT_ZMM(i) "vdpbf16ps %%zmm12, %%zmm13, %%zmm" i "\n"
ZMM static void loop_vdpbf16(long rounds, const void *unused) {
    const uint32_t ones = 0x3f803f80, halves = 0x3f003f00;
    (void)unused;
    __asm__ volatile("vpbroadcastd %1, %%zmm12\nvpbroadcastd %2, %%zmm13\n" TWELVE(CLEAR_ZMM)
                         EIGHT_MORE(CLEAR_ZMM) "1:\n" TWELVE(DOT_ZMM)
                             EIGHT_MORE(DOT_ZMM) "dec %0\njnz 1b\nvzeroupper\n"
                     : "+r"(rounds)
                     : "m"(ones), "m"(halves)
                     : CLOBBERS_MORE);
}

/* Two tiles by one, every operand loaded where it is used, all from L1. A loop of TDPs alone does
 * not notice what slows them down beside loads: the core's other hardware thread, which in a
 * virtual machine may be a stranger's. Two by two tiles in all eight registers are as fast as this
 * loop while it idles, and much slower while it does not (benchmarks/bench_tiles). */
enum { TILE = 1024, AMX_BYTES = 8 * 3 * TILE };
static void loop_amx(long rounds, const void *operands) {
    struct {
        uint8_t palette, start, reserved[14];
        uint16_t columns[16];
        uint8_t rows[16];
    } config = {.palette = 1};
    for (int i = 0; i < 8; i++) {
        config.columns[i] = 64;
        config.rows[i] = 16;
    }
    const char *base = operands;
    long k = 8, stride = 64;
    __asm__ volatile("ldtilecfg %3\n"
                     "tilezero %%tmm0\ntilezero %%tmm1\n"
                     "1:\n"
                     "tileloadd (%2,%4,1), %%tmm5\n"
                     "tileloadd 1024(%2,%4,1), %%tmm4\n"
                     "tdpbf16ps %%tmm5, %%tmm4, %%tmm0\n"
                     "tileloadd 2048(%2,%4,1), %%tmm4\n"
                     "tdpbf16ps %%tmm5, %%tmm4, %%tmm1\n"
                     "add $3072, %2\n"
                     "dec %1\n"
                     "jnz 2f\n"
                     "mov $8, %1\n" /* around the operands: eight steps */
                     "sub $24576, %2\n"
                     "2:\n"
                     "dec %0\n"
                     "jnz 1b\n"
                     "tilerelease\n"
                     : "+r"(rounds), "+r"(k), "+r"(base)
                     : "m"(config), "r"(stride)
                     : "cc", "memory");
}

/* ---- which loop ------------------------------------------------------------------------------ */

typedef struct unit {
    tic_peak peak;
    unsigned isa;
    void (*loop)(long rounds, const void *operands);
    double macs; /* a round */
} unit;

/* Of a peak the first that the CPU can run. */
static const unit units[] = {
    {TIC_PEAK_F32, TIC_ISA_AVX512, loop_avx512, SUMS_ZMM * 16},
    {TIC_PEAK_F32, TIC_ISA_AVX2, loop_avx2, SUMS * 8},
    {TIC_PEAK_F32, TIC_ISA_PORTABLE, loop_portable, SUMS * 4},
    {TIC_PEAK_VDPBF16, TIC_ISA_AVX512_BF16, loop_vdpbf16, SUMS_ZMM * 32},
    {TIC_PEAK_AMX, TIC_ISA_AMX_BF16, loop_amx, 2 * 16 * 16 * 32},
};

static const unit *unit_of(tic_peak peak, unsigned isa) {
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (units[i].peak == peak && (units[i].isa & ~isa) == 0)
            return &units[i];
    return NULL;
}

const char *tic_peak_name(tic_peak peak) {
    static const char *const names[] = {"f32 FMA", "VDPBF16PS", "AMX bf16"};
    return names[peak];
}

bool tic_peak_exists(tic_peak peak, unsigned isa) {
    return unit_of(peak, isa & tic_cpu_get()->isa) != NULL;
}

/* ---- measuring ------------------------------------------------------------------------------- */

static double thread_time(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* MACs a second of one thread, in bursts short enough to end near the time given. By the time that
 * the thread had the core: what else the machine does is no property of the unit. */
static double thread_rate(const unit *u, double seconds) {
    enum { ROUNDS = 2000 };
    tic_bf16 operands[AMX_BYTES / 2] __attribute__((aligned(4096)));
    /* of both signs around 1: zeros would take less power */
    for (int i = 0; i < AMX_BYTES / 2; i++)
        operands[i] = (tic_bf16)(0x3f00 | (i * 40503u >> 8 & 0x80ff));
    const double begun = tic_now(), before = thread_time();
    long rounds = 0;
    do {
        u->loop(ROUNDS, operands);
        rounds += ROUNDS;
    } while (tic_now() - begun < seconds);
    return (double)rounds * u->macs / (thread_time() - before);
}

double tic_peak_rate(tic_peak peak, unsigned isa, int threads, double seconds) {
    const unit *u = unit_of(peak, isa & tic_cpu_get()->isa);
    double rate = 0;
    if (u == NULL)
        return 0;
#pragma omp parallel num_threads(threads) reduction(+ : rate)
    rate += thread_rate(u, seconds);
    return 1e-9 * rate;
}

tic_peak tic_peak_for(tic_dtype precision, unsigned isa, int threads) {
    static const double warm = 0.15, sample = 0.01;
    double best = 0;
    tic_peak found = TIC_PEAK_F32;
    for (int p = TIC_PEAK_F32; precision == TIC_BF16 && p < TIC_PEAK_COUNT; p++) {
        tic_peak_rate((tic_peak)p, isa, threads, p == TIC_PEAK_AMX ? warm : sample);
        double rate = tic_peak_rate((tic_peak)p, isa, threads, sample);
        if (rate > best) {
            best = rate;
            found = (tic_peak)p;
        }
    }
    return found;
}

/* ---- memory ---------------------------------------------------------------------------------- */

double tic_triad_rate(float *memory, size_t bytes, int threads, double seconds) {
    int64_t n = (int64_t)(bytes / sizeof *memory / 3);
    float *a = memory;
    const float *b = memory + n, *c = memory + 2 * n;
    double begun = tic_now(), shortest = 1e30, now;
    do {
        double before = tic_now();
#pragma omp parallel for simd num_threads(threads) schedule(static)
        for (int64_t i = 0; i < n; i++)
            a[i] = b[i] + 0.5f * c[i];
        now = tic_now();
        if (now - before < shortest)
            shortest = now - before;
    } while (now - begun < seconds);
    return 1e-9 * 3.0 * (double)n * sizeof *memory / shortest;
}
