/* How a call of the blocked gemm is cut: see gemm_cut.h. */
#include "kernels/drive/gemm_cut.h"

enum {
    STRIP = 256,    /* columns whose tiles of one band are gathered at a time: band x strip stays in
                       L2 beside A's block */
    DEEP = 512,     /* steps of a block that is packed in the call, at most: what is packed of A and
                       of a narrow B stays in L2, and little is packed before it was asked for */
    SHALLOW = 128,  /* values of p */
    PAGE = 4096,    /* bytes: lines a page apart share a set of L1 */
    ROWS_A_SET = 4, /* most rows of a tile that may */
    MOST_OWN = 4,   /* threads that pack B each for itself */
    WORTH_OWN = 256, /* rows or columns of C that make it worth it, for each thread but the first */
};

/* The micro-kernel can read A's rows where they are: no conversion, no odd pair at a row's end, and
 * few rows of a tile in the same set of L1. */
static bool is_in_place(const tic_gemm_args *args, const tic_gemm_micro *micro) {
    const bool pairs = micro->format.panel == TIC_PANEL_PAIRS;
    if (pairs ? args->a.type != TIC_BF16 || args->k % 2 != 0
              : args->a.type != TIC_F32 || args->precision != TIC_F32)
        return false;
    const int64_t bytes = args->a.ld * (int64_t)tic_dtype_size(args->a.type);
    int64_t apart = TIC_GEMM_LINE; /* the largest power of two, up to a page, that divides it */
    while (apart < PAGE && bytes % (2 * apart) == 0)
        apart *= 2;
    return tic_ceil_div(micro->tile_m, PAGE / apart) <= ROWS_A_SET;
}

/* The micro-kernel can read B's rows where they are: as above, whole vectors of them, and few
 * columns (TIC_GEMM_IN_PLACE). */
static bool is_b_in_place(const tic_gemm_args *args, const tic_gemm_micro *micro,
                          const int *knobs) {
    return args->trans != TIC_NT && args->precision == TIC_F32 && args->b.type == TIC_F32 &&
           micro->lanes > 0 && args->n % micro->lanes == 0 && args->n <= knobs[TIC_GEMM_IN_PLACE];
}

/* A thread that packs B for itself waits for nobody, and writes no lines that another core has:
 * those cost as much as half of the packing or several times as much, by where the cores are. What
 * is packed in vain is less where the larger of A and B is shared out. */
static void plan_own(tic_gemm_cut *s, int threads) {
    const tic_gemm_args *args = s->args;
    s->own_b = s->packed == NULL && !s->b_in_place && threads > 1 && threads <= MOST_OWN &&
               (threads - 1) * WORTH_OWN <= tic_most(args->m, args->n);
    s->own_columns = s->own_b && args->n > args->m;
}

/* Values of p that buffers have room for: no fewer for a greater k, so that what was booked for the
 * longest is enough, wherever k is cut. */
static int64_t deepest(const tic_gemm_cut *s, int64_t kc) {
    const int64_t unit = s->micro->format.k_unit, whole = s->args->k + s->blocks * unit;
    return s->direct ? tic_least(whole, kc + unit) : whole;
}

static void plan_a(tic_gemm_cut *s, int64_t deep) {
    const tic_gemm_args *args = s->args;
    const tic_gemm_micro *micro = s->micro;
    s->along = micro->along != NULL && args->trans != TIC_TN;
    s->in_place = s->along && is_in_place(args, micro);
    if (s->in_place) {
        s->lda = args->a.ld * (int64_t)tic_dtype_size(args->a.type);
    } else if (s->along) { /* an odd number of lines */
        const int64_t most = (int64_t)tic_align_up(tic_gemm_steps_bytes(micro, deep, 1));
        s->lda = (int64_t)tic_align_up(tic_gemm_steps_bytes(micro, s->span * s->block, 1)) |
                 TIC_GEMM_LINE;
        s->a_bytes = (size_t)(s->band * micro->tile_m * (most | TIC_GEMM_LINE));
    } else {
        s->lda = micro->tile_m * 4;
        s->a_tile = tic_align_up(tic_gemm_steps_bytes(micro, s->block, micro->tile_m));
        s->a_bytes = (size_t)s->band * (tic_gemm_steps_bytes(micro, deep, micro->tile_m) +
                                        (size_t)s->blocks * TIC_ALIGN);
        s->a_bytes += TIC_GEMM_SLACK;
    }
    s->a_bytes = tic_align_up(s->a_bytes);
}

static void plan_b(tic_gemm_cut *s, int64_t deep, int threads) {
    const tic_gemm_args *args = s->args;
    const tic_gemm_micro *micro = s->micro;
    const int64_t span = s->packed != NULL ? args->k : s->block * s->span;
    s->b_block = tic_gemm_steps_bytes(micro, s->block, micro->tile_n);
    s->b_panel = tic_gemm_steps_bytes(micro, span, micro->tile_n);
    s->ldb = s->b_in_place ? args->b.ld * (int64_t)sizeof(float) : 4 * micro->tile_n;
    if (s->packed == NULL && !s->b_in_place)
        s->b_bytes = tic_align_up((size_t)(s->columns / micro->tile_n) *
                                      tic_gemm_steps_bytes(micro, deep, micro->tile_n) +
                                  TIC_GEMM_SLACK);
    s->all_b_bytes = s->own_b ? (size_t)threads * s->b_bytes : s->b_bytes;
}

tic_gemm_cut tic_gemm_cut_of(const tic_variant *variant, const int *knobs,
                             const tic_gemm_args *args, int threads) {
    const tic_gemm_micro *micro = variant->micro;
    const int64_t mc = knobs[TIC_GEMM_MC], nc = knobs[TIC_GEMM_NC];
    tic_gemm_cut s = {.args = args, .micro = micro, .direct = tic_gemm_is_direct(args)};
    s.packed = tic_gemm_packed_for(args, &micro->format);
    const int64_t deep = DEEP * tic_panel_step(micro->format.panel);
    const int64_t kc =
        s.direct && s.packed == NULL ? tic_least(knobs[TIC_GEMM_KC], deep) : knobs[TIC_GEMM_KC];
    s.b_in_place = s.packed == NULL && is_b_in_place(args, micro, knobs);
    plan_own(&s, threads);
    s.block = tic_round_up(tic_ceil_div(args->k, tic_most(1, tic_ceil_div(args->k, kc))),
                           micro->format.k_unit);
    s.steps = tic_gemm_steps(micro, s.block);
    s.vectors = micro->lanes > 0 ? micro->tile_n / micro->lanes : 1;
    s.blocks = args->k > 0 ? tic_ceil_div(args->k, s.block) : 1;
    s.span = s.direct ? 1 : s.blocks;
    const int64_t panels = tic_ceil_div(args->n, micro->tile_n);
    const int64_t each = s.own_columns ? tic_ceil_div(panels, threads) : panels;
    s.columns = tic_round_up(tic_least(nc, each * micro->tile_n), micro->tile_n);
    s.shallow = s.direct && args->k <= SHALLOW && /* B stays in L2 */
                (size_t)(args->k * s.columns) * sizeof(float) <= tic_cpu_get()->l2 / 2;
    s.tiles = tic_ceil_div(args->m, micro->tile_m);
    s.height = micro->lanes > 0 && s.tiles > 0 ? args->m / s.tiles : micro->tile_m;
    s.higher = micro->lanes > 0 && s.tiles > 0 ? args->m % s.tiles : 0;
    s.band = tic_least(tic_ceil_div(mc, micro->tile_m), s.tiles);
    s.a_block = tic_gemm_steps_bytes(micro, s.block, 1);
    s.strip = tic_least(tic_round_up(STRIP, micro->tile_n), s.columns);
    plan_a(&s, deepest(&s, kc));
    plan_b(&s, deepest(&s, kc), threads);
    const size_t slots = (size_t)(s.band * micro->tile_m * s.strip);
    s.own_bytes = s.a_bytes + tic_align_up(slots * sizeof(float));
    return s;
}
