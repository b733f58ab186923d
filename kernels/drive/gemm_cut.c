/* How a call of the blocked gemm is cut: see gemm_cut.h. */
#include "kernels/drive/gemm_cut.h"

enum {
    STRIP = 256,   /* columns whose tiles of one band are gathered at a time: band x strip stays in
                      L2 beside A's block */
    SPAN = 2048,   /* values of p, at most, for which A is copied beside a packed B in direct mode,
                      unless one block is longer */
    SHALLOW = 128, /* values of p */
    FEWEST_WAYS = 4,
    PAGE = 4096,     /* bytes: lines a page apart share a set of L1 */
    MOST_OWN = 4,    /* threads that pack B each for itself */
    WORTH_OWN = 128, /* rows or columns of C that make it worth it, for each thread but the first */
};

/* The micro-kernel can read A's rows where they are: no conversion, no odd pair at a row's end, and
 * no more rows of a tile in a set of L1 than it has ways, a page each (FEWEST_WAYS where the CPU
 * does not tell). */
static bool is_in_place(const tic_gemm_args *args, const tic_gemm_micro *micro) {
    const bool pairs = micro->format.panel == TIC_PANEL_PAIRS;
    if (pairs ? args->a.type != TIC_BF16 || args->k % 2 != 0
              : args->a.type != TIC_F32 || args->precision != TIC_F32)
        return false;
    const int64_t bytes = args->a.ld * (int64_t)tic_dtype_size(args->a.type);
    int64_t apart = TIC_GEMM_LINE; /* the largest power of two, up to a page, that divides it */
    while (apart < PAGE && bytes % (2 * apart) == 0)
        apart *= 2;
    return tic_ceil_div(micro->tile_m, PAGE / apart) <=
           tic_most(FEWEST_WAYS, (int64_t)tic_cpu_get()->l1d / PAGE);
}

/* C is most of what moves. */
static bool is_flat(bool direct, int64_t k) {
    return direct && k <= SHALLOW;
}

/* Each panel of B meets all rows of a block again, and L1 does not keep them: no more of them may
 * share a set of L2 than it has ways. Where they do to the last way (rows of 512, blocks of 512) it
 * was still the faster. An unknown L2 has room for none. */
bool tic_gemm_a_fits(const tic_gemm_micro *micro, bool direct, int64_t k, int64_t block,
                     int64_t ld) {
    const int64_t bytes = ld * (int64_t)sizeof(float);
    return micro->lanes > 0 && !is_flat(direct, k) &&
           block * (bytes & -bytes) <= (int64_t)tic_cpu_get()->l2;
}

/* The micro-kernel can read Aᵀ's rows where they are: no conversion, room, and so few columns of C
 * that packing A is not worth it. */
static bool is_transposed_a_in_place(const tic_gemm_cut *s, const int *knobs) {
    const tic_gemm_args *args = s->args;
    return args->trans == TIC_TN && args->precision == TIC_F32 && args->a.type == TIC_F32 &&
           args->n <= knobs[TIC_GEMM_A_IN_PLACE] &&
           tic_gemm_a_fits(s->micro, s->direct, args->k, s->block, args->a.ld);
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

/* What is packed of A and of a narrow B stays in L2, and little is packed before it was prefetched.
 */
int64_t tic_gemm_block(const tic_gemm_micro *micro, bool direct, bool packed, int64_t kc) {
    const int64_t most = TIC_GEMM_DEEP * tic_panel_step(micro->format.panel);
    return direct && !packed ? tic_least(kc, most) : kc;
}

int64_t tic_gemm_equal_block(const tic_gemm_micro *micro, int64_t k, int64_t most) {
    return tic_round_up(tic_ceil_div(k, tic_most(1, tic_ceil_div(k, most))), micro->format.k_unit);
}

/* Values of p that buffers have room for: no fewer for a greater k, so that what was booked for the
 * longest is enough, wherever k is cut. */
static int64_t longest_span(const tic_gemm_cut *s, int64_t kc) {
    const int64_t unit = s->micro->format.k_unit;
    const int64_t whole = s->args->k + tic_ceil_div(s->args->k, kc) * unit;
    const int64_t span = s->packed == NULL ? kc : tic_most(SPAN, kc);
    return s->direct ? tic_least(whole, span + unit) : whole;
}

/* Spans have at most so many blocks, for no lesser k more. */
static void plan_a(tic_gemm_cut *s, const int *knobs, int64_t longest, int64_t most_blocks) {
    const tic_gemm_args *args = s->args;
    const tic_gemm_micro *micro = s->micro;
    s->along = micro->along != NULL && args->trans != TIC_TN;
    s->in_place = s->along ? is_in_place(args, micro) : is_transposed_a_in_place(s, knobs);
    if (s->in_place) {
        s->lda = args->a.ld * (int64_t)tic_dtype_size(args->a.type);
    } else if (s->along) { /* an odd number of lines */
        const int64_t most = (int64_t)tic_align_up(tic_gemm_steps_bytes(micro, longest, 1));
        s->lda = (int64_t)tic_align_up(tic_gemm_steps_bytes(micro, s->span * s->block, 1)) |
                 TIC_GEMM_LINE;
        s->a_bytes = (size_t)(s->band * micro->tile_m * (most | TIC_GEMM_LINE));
    } else {
        s->lda = micro->tile_m * 4;
    }
    if (!s->along) { /* booked where Aᵀ is read in place, too: of a lesser k it may not be */
        s->a_tile = tic_align_up(tic_gemm_steps_bytes(micro, s->block, micro->tile_m));
        s->a_bytes = (size_t)s->band * (tic_gemm_steps_bytes(micro, longest, micro->tile_m) +
                                        (size_t)most_blocks * TIC_ALIGN);
        s->a_bytes += TIC_GEMM_SLACK;
    }
    s->a_bytes = tic_align_up(s->a_bytes);
}

static void plan_b(tic_gemm_cut *s, int64_t longest, int threads) {
    const tic_gemm_args *args = s->args;
    const tic_gemm_micro *micro = s->micro;
    const int64_t span = s->packed != NULL ? args->k : s->block * s->span;
    s->b_block = tic_gemm_steps_bytes(micro, s->block, micro->tile_n);
    s->b_panel = tic_gemm_steps_bytes(micro, span, micro->tile_n);
    s->ldb = s->b_in_place ? args->b.ld * (int64_t)sizeof(float) : 4 * micro->tile_n;
    if (s->packed == NULL && !s->b_in_place)
        s->b_bytes = tic_align_up((size_t)(s->columns / micro->tile_n) *
                                      tic_gemm_steps_bytes(micro, longest, micro->tile_n) +
                                  TIC_GEMM_SLACK);
    s->all_b_bytes = s->own_b ? (size_t)threads * s->b_bytes : s->b_bytes;
}

tic_gemm_cut tic_gemm_cut_of(const tic_variant *variant, const int *knobs,
                             const tic_gemm_args *args, int threads) {
    const tic_gemm_micro *micro = variant->micro;
    const int64_t mc = knobs[TIC_GEMM_MC], nc = knobs[TIC_GEMM_NC];
    tic_gemm_cut s = {.args = args, .micro = micro, .direct = tic_gemm_is_direct(args)};
    s.packed = tic_gemm_packed_for(args, &micro->format);
    const int64_t kc = tic_gemm_block(micro, s.direct, s.packed != NULL, knobs[TIC_GEMM_KC]);
    s.b_in_place = s.packed == NULL && is_b_in_place(args, micro, knobs);
    plan_own(&s, threads);
    s.block = tic_gemm_equal_block(micro, args->k, kc);
    s.steps = tic_gemm_steps(micro, s.block);
    s.asks = tic_gemm_asks_of(micro, s.steps);
    s.vectors = micro->lanes > 0 ? micro->tile_n / micro->lanes : 1;
    s.blocks = args->k > 0 ? tic_ceil_div(args->k, s.block) : 1;
    s.span = !s.direct          ? s.blocks
             : s.packed == NULL ? 1
                                : tic_least(s.blocks, tic_most(1, SPAN / tic_most(1, s.block)));
    s.b_tiles = tic_ceil_div(micro->tile_n * 4, TIC_GEMM_LINE) * micro->next_every;
    s.apart = tic_panel_step(micro->format.panel) * micro->next_every;
    s.apart_bytes = micro->tile_n * 4 * micro->next_every;
    const int64_t panels = tic_ceil_div(args->n, micro->tile_n);
    const int64_t each = s.own_columns ? tic_ceil_div(panels, threads) : panels;
    s.columns = tic_round_up(tic_least(nc, each * micro->tile_n), micro->tile_n);
    s.shallow = is_flat(s.direct, args->k) && /* B stays in L2 */
                (size_t)(args->k * s.columns) * sizeof(float) <= tic_cpu_get()->l2 / 2;
    s.tiles = tic_ceil_div(args->m, micro->tile_m);
    s.height = micro->lanes > 0 && s.tiles > 0 ? args->m / s.tiles : micro->tile_m;
    s.higher = micro->lanes > 0 && s.tiles > 0 ? args->m % s.tiles : 0;
    s.band = tic_least(tic_ceil_div(mc, micro->tile_m), s.tiles);
    s.a_block = tic_gemm_steps_bytes(micro, s.block, 1);
    s.strip = tic_least(tic_round_up(STRIP, micro->tile_n), s.columns);
    const int64_t longest = longest_span(&s, kc);
    plan_a(&s, knobs, longest,
           s.direct && s.packed == NULL ? 1 : tic_most(1, tic_ceil_div(args->k, kc)));
    plan_b(&s, longest, threads);
    const size_t slots = (size_t)(s.band * micro->tile_m * s.strip);
    s.own_bytes = s.a_bytes + tic_align_up(slots * sizeof(float));
    return s;
}
