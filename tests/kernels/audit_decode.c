/* The auditor's decoder: what each instruction that multiplies is worth, under masks and tile
 * configurations. Instructions are assembled and decoded, never executed: every machine tests all
 * of them. */
#include "kernels/audit/decode.h"
#include "tests/kernels/check.h"

#include <cpuid.h>

/* ---- contexts as a signal handler gets them -------------------------------------------------- */

enum { OPMASK = 5, TILE_CONFIGURATION = 17, AREA = 1 << 16 };

typedef struct frame {
    ucontext_t context;
    unsigned char area[AREA] __attribute__((aligned(64)));
} frame;
static frame saved;

/* Where the component of the extended state stands in the area, which now says that it is there. */
static unsigned char *component(unsigned number) {
    const uint32_t magic = 0x46505853; /* FP_XSTATE_MAGIC1 */
    const uint64_t present = UINT64_C(1) << number;
    unsigned size, offset, flags, unused;
    __cpuid_count(0xd, number, size, offset, flags, unused);
    memset(&saved, 0, sizeof saved);
    memcpy(saved.area + 464, &magic, sizeof magic); /* where the kernel's header says so */
    memcpy(saved.area + 512, &present, sizeof present);
    saved.context.uc_mcontext.fpregs = (void *)saved.area;
    return saved.area + offset;
}

static void set_masks(const uint64_t masks[8]) {
    memcpy(component(OPMASK), masks, 8 * sizeof masks[0]);
}

/* ---- instructions ---------------------------------------------------------------------------- */

typedef struct form {
    const char *text;
    tic_kind kind;
    uint64_t work;
} form;

#define ORDERS(X, stem, type, registers, lanes)                                                    \
    X(stem "132" type " " registers, TIC_FMA, lanes)                                               \
    X(stem "213" type " " registers, TIC_FMA, lanes)                                               \
    X(stem "231" type " " registers, TIC_FMA, lanes)
#define WIDTHS(X, stem, type, lanes)                                                               \
    ORDERS(X, stem, type, "%xmm1, %xmm2, %xmm3", lanes)                                            \
    ORDERS(X, stem, type, "%ymm1, %ymm2, %ymm3", 2 * (lanes))                                      \
    ORDERS(X, stem, type, "%zmm1, %zmm2, %zmm3", 4 * (lanes))
#define PACKED(X, stem) WIDTHS(X, stem, "ps", 4) WIDTHS(X, stem, "pd", 2) WIDTHS(X, stem, "ph", 8)
#define SCALAR(X, stem)                                                                            \
    ORDERS(X, stem, "ss", "%xmm1, %xmm2, %xmm3", 1)                                                \
    ORDERS(X, stem, "sd", "%xmm1, %xmm2, %xmm3", 1)                                                \
    ORDERS(X, stem, "sh", "%xmm1, %xmm2, %xmm3", 1)

/* clang-format off: a form a line */
#define FUSED(X)                                                                                   \
    PACKED(X, "vfmadd")                                                                            \
    PACKED(X, "vfmsub")                                                                            \
    PACKED(X, "vfnmadd")                                                                           \
    PACKED(X, "vfnmsub")                                                                           \
    PACKED(X, "vfmaddsub")                                                                         \
    PACKED(X, "vfmsubadd")                                                                         \
    SCALAR(X, "vfmadd")                                                                            \
    SCALAR(X, "vfmsub")                                                                            \
    SCALAR(X, "vfnmadd")                                                                           \
    SCALAR(X, "vfnmsub")                                                                           \
    X("vfmadd231ps 64(%rax, %rcx, 4), %ymm2, %ymm3", TIC_FMA, 8)                                   \
    X("vfmadd231ps (%rax){1to16}, %zmm2, %zmm3", TIC_FMA, 16)                                      \
    X("vfmadd231pd 8(%rip){1to8}, %zmm31, %zmm30", TIC_FMA, 8)                                     \
    X("vfmaddps %ymm1, %ymm2, %ymm3, %ymm4", TIC_FMA, 8) /* with four operands: AMD */             \
    X("vfnmsubsd %xmm1, %xmm2, %xmm3, %xmm4", TIC_FMA, 1)                                          \
    X("vfmaddcph %zmm1, %zmm2, %zmm3", TIC_FMA, 64) /* 16 complex numbers, 4 products each */      \
    X("vfcmaddcsh %xmm1, %xmm2, %xmm3", TIC_FMA, 4)
/* clang-format on */

#define OTHERS(X)                                                                                  \
    X("vdpbf16ps %xmm1, %xmm2, %xmm3", TIC_DOT, 8)                                                 \
    X("vdpbf16ps %ymm1, %ymm2, %ymm3", TIC_DOT, 16)                                                \
    X("vdpbf16ps (%rax){1to16}, %zmm2, %zmm3", TIC_DOT, 32)                                        \
    X("mulss %xmm1, %xmm2", TIC_MULTIPLY, 1)                                                       \
    X("mulps %xmm1, %xmm2", TIC_MULTIPLY, 4)                                                       \
    X("mulpd (%rax), %xmm2", TIC_MULTIPLY, 2)                                                      \
    X("vmulps %zmm1, %zmm2, %zmm3", TIC_MULTIPLY, 16)                                              \
    X("vmulph %zmm1, %zmm2, %zmm3", TIC_MULTIPLY, 32)                                              \
    X("vfmulcph %ymm1, %ymm2, %ymm3", TIC_MULTIPLY, 32)                                            \
    X("addsd %xmm1, %xmm2", TIC_ADD, 1)                                                            \
    X("subps %xmm1, %xmm2", TIC_ADD, 4)                                                            \
    X("vaddps %ymm1, %ymm2, %ymm3", TIC_ADD, 8)                                                    \
    X("vsubpd %zmm1, %zmm2, %zmm3", TIC_ADD, 8)                                                    \
    X("vaddsubps %ymm1, %ymm2, %ymm3", TIC_ADD, 8)                                                 \
    X("vxorps %zmm1, %zmm2, %zmm3", TIC_OTHER, 0)                                                  \
    X("vmaxps %zmm1, %zmm2, %zmm3", TIC_OTHER, 0)                                                  \
    X("vdivps %zmm1, %zmm2, %zmm3", TIC_OTHER, 0)                                                  \
    X("vmovups (%rax), %zmm3", TIC_OTHER, 0)                                                       \
    X("vcvtneps2bf16 %zmm1, %ymm3", TIC_OTHER, 0)                                                  \
    X("vpaddd %zmm1, %zmm2, %zmm3", TIC_OTHER, 0)                                                  \
    X("vpmulld %zmm1, %zmm2, %zmm3", TIC_OTHER, 0)                                                 \
    X("addl %eax, %ecx", TIC_OTHER, 0)                                                             \
    X("subq $8, %rsp", TIC_OTHER, 0)                                                               \
    X("mulq %rcx", TIC_OTHER, 0)                                                                   \
    X("tileloadd (%rax, %rcx), %tmm1", TIC_OTHER, 0)

/* Masks as in `masks`: what stands above an instruction's lanes does not count. */
#define MASKED(X)                                                                                  \
    X("vfmadd231ps %zmm1, %zmm2, %zmm3{%k1}", TIC_FMA, 6)                                          \
    X("vfmadd231ps %ymm1, %ymm2, %ymm3{%k1}{z}", TIC_FMA, 6)                                       \
    X("vfmadd231ps %xmm1, %xmm2, %xmm3{%k1}", TIC_FMA, 2)                                          \
    X("vfnmadd132pd (%rax){1to8}, %zmm2, %zmm3{%k2}", TIC_FMA, 4)                                  \
    X("vfmsub213ph %zmm1, %zmm2, %zmm3{%k3}", TIC_FMA, 32)                                         \
    X("vfmadd231ss %xmm1, %xmm2, %xmm3{%k1}", TIC_FMA, 1)                                          \
    X("vfmadd231ss %xmm1, %xmm2, %xmm3{%k2}", TIC_FMA, 0)                                          \
    X("vfmadd231ps %zmm1, %zmm2, %zmm3{%k4}", TIC_FMA, 0)                                          \
    X("vfmaddcph %zmm1, %zmm2, %zmm3{%k1}", TIC_FMA, 24)                                           \
    X("vdpbf16ps %zmm1, %zmm2, %zmm3{%k1}", TIC_DOT, 12)                                           \
    X("vdpbf16ps %ymm1, %ymm2, %ymm3{%k7}", TIC_DOT, 14)                                           \
    X("vmulps %zmm1, %zmm2, %zmm3{%k2}", TIC_MULTIPLY, 8)                                          \
    X("vaddps %zmm1, %zmm2, %zmm3{%k1}{z}", TIC_ADD, 6)                                            \
    X("vfmadd231ps %zmm1, %zmm2, %zmm3", TIC_FMA, 16)
static const uint64_t masks[8] = {0, 0xffff00f5, 0xaaaa, ~UINT64_C(0), ~UINT64_C(0xffff),
                                  0, 0,          0x17f};

/* The last operand is the sum: rows and columns of it as in `rows` and `bytes`, and the one before
 * has as many columns as there are terms in a sum. */
#define TILES(X)                                                                                   \
    X("tdpbf16ps %tmm2, %tmm1, %tmm0", TIC_TILE, 16 * 16 * 12 * 2)                                 \
    X("tdpbf16ps %tmm5, %tmm4, %tmm3", TIC_TILE, 7 * 5 * 3 * 2)                                    \
    X("tdpbf16ps %tmm4, %tmm5, %tmm3", TIC_TILE, 7 * 5 * 1 * 2)                                    \
    X("tdpbssd %tmm2, %tmm1, %tmm0", TIC_TILE, 16 * 16 * 12 * 4)                                   \
    X("tdpbuud %tmm5, %tmm4, %tmm3", TIC_TILE, 7 * 5 * 3 * 4)                                      \
    X("tdpbf16ps %tmm2, %tmm1, %tmm7", TIC_TILE, 0)
static const unsigned char rows[8] = {16, 16, 12, 7, 7, 9};
static const uint16_t bytes[8] = {64, 48, 64, 20, 12, 4};

#define AS_TEXT(text, kind, work) text "\n\t"
#define AS_ROW(text, kind, work) {text, kind, work},
#define ASSEMBLED(name, FORMS)                                                                     \
    __asm__(".pushsection .rodata\n" #name "_begin:\n\t" FORMS(AS_TEXT) #name                      \
            "_end:\n\t.popsection");                                                               \
    extern const unsigned char name##_begin[], name##_end[];                                       \
    static const form name[] = {FORMS(AS_ROW)};
ASSEMBLED(fused, FUSED)
ASSEMBLED(others, OTHERS)
ASSEMBLED(masked, MASKED)
ASSEMBLED(tiles, TILES)

/* ---- decoding -------------------------------------------------------------------------------- */

static tic_symbols none;
static tic_branches *branches;
static tic_decoder *decoder;

static void open_decoder(void) {
    CHECK_OK(tic_branches_new(&branches, err));
    CHECK_OK(tic_decoder_new(&decoder, &none, branches, err));
}

static void close_decoder(void) {
    tic_decoder_free(decoder);
    tic_branches_free(branches);
}

static void decodes(const form *forms, size_t count, const unsigned char *at,
                    const unsigned char *end) {
    for (size_t i = 0; i < count; i++) {
        const tic_site *site = tic_decoder_at(decoder, (uintptr_t)at);
        cr_assert_not_null(site, "%s", forms[i].text);
        const uint64_t work = tic_site_work(site, &saved.context);
        cr_assert(site->kind == forms[i].kind && work == forms[i].work,
                  "%s: of kind %d, %llu; not of kind %d, %llu", forms[i].text, site->kind,
                  (unsigned long long)work, forms[i].kind, (unsigned long long)forms[i].work);
        at += site->length;
    }
    cr_assert(at == end, "the instructions are not the table's");
}
#define DECODES(name) decodes(name, sizeof name / sizeof name[0], name##_begin, name##_end)

TestSuite(audit_decode, .init = open_decoder, .fini = close_decoder);

Test(audit_decode, every_form_counts_one_a_lane) {
    DECODES(fused);
    DECODES(others);
}

Test(audit_decode, lanes_that_a_mask_leaves_out_do_not_count) {
    set_masks(masks);
    DECODES(masked);
}

/* The kernel saves no masks that are all zero. */
Test(audit_decode, masks_that_were_not_saved_are_zero) {
    (void)component(TILE_CONFIGURATION);
    const tic_site *site = tic_decoder_at(decoder, (uintptr_t)masked_begin);
    cr_assert_eq(site->mask, 1);
    cr_assert_eq(tic_site_work(site, &saved.context), 0);
}

Test(audit_decode, tiles_count_as_their_configuration_says) {
    unsigned char *configuration = component(TILE_CONFIGURATION);
    memcpy(configuration + 16, bytes, sizeof bytes);
    memcpy(configuration + 48, rows, sizeof rows);
    DECODES(tiles);
}

Test(audit_decode, tiles_without_a_configuration_count_nothing) {
    (void)component(OPMASK);
    cr_assert_eq(tic_site_work(tic_decoder_at(decoder, (uintptr_t)tiles_begin), &saved.context), 0);
}

/* ---- what a function's instructions are in sum ----------------------------------------------- */

Test(audit_decode, a_multiplication_counts_with_an_addition_for_it) {
    tic_tally tally = {.multiplied = 24, .added = 16};
    cr_assert_eq(tic_tally_macs(&tally, TIC_ROLE_PRODUCT), 16);
    tally.added = 30;
    cr_assert_eq(tic_tally_macs(&tally, TIC_ROLE_PRODUCT), 24);
    tally.fma = 100;
    tally.dot = 1000;
    tally.tile = 10000;
    cr_assert_eq(tic_tally_macs(&tally, TIC_ROLE_PRODUCT), 11124);
    cr_assert_eq(tic_tally_macs(&tally, TIC_ROLE_PRODUCT_BF16), 11000);
    cr_assert_eq(tic_tally_macs(&tally, TIC_ELSEWHERE), 0);
}

/* Through the same functions as in an audit: a multiplication of 8 lanes and an addition of 8. */
Test(audit_decode, a_pair_of_instructions_is_a_multiply_add_a_lane) {
    static const char *const pair[] = {"vmulps %zmm1, %zmm2, %zmm3", "vsubpd %zmm1, %zmm2, %zmm3"};
    const unsigned char *at = others_begin;
    tic_tally tally = {.fma = 0};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        const tic_site *site = tic_decoder_at(decoder, (uintptr_t)at);
        if (strcmp(others[i].text, pair[0]) == 0 || strcmp(others[i].text, pair[1]) == 0)
            tic_tally_add(&tally, site, &saved.context);
        at += site->length;
    }
    cr_assert_eq(tally.multiplied, 16);
    cr_assert_eq(tally.added, 8);
    cr_assert_eq(tic_tally_macs(&tally, TIC_ROLE_PRODUCT), 8);
}
