/* GEMM around a micro-kernel: blocks, packs, shares tiles out to threads, finishes tiles.
 *
 * k is cut into blocks of at most kc (equal lengths, from the plan only). A piece is a range of
 * columns and a span of blocks: one block when the product packs B and sums go to C ("direct",
 * below), so that what is packed stays in L2; else as many as there are, or as are worth copying A
 * for at a time:
 *
 *   for each range of at most nc columns, for each span of k:
 *     all threads pack B[span, range], unless it came packed           (shared, last-level cache)
 *       or is read where it stands
 *     threads take items = (band of at most mc rows) x (stretch of columns):
 *       A[band, span]: read where it is, or copied, or packed                     (own, L2)
 *       for strips of STRIP columns, for each block, for each panel of B, for each tile of rows:
 *         micro-kernel on one tile; after the last block the epilogue, the tile still in L1
 *
 * Meanwhile (gemm_ahead.h) a micro-kernel prefetches, every step or every few, a line of what is
 * read next of B or A or, for a product that packs both, of what is packed next; and now and then a
 * row of what the tile's epilogue touches.
 *
 * Where k is small and C is only stored or added to, C is most of what moves: then each tile of
 * rows meets all panels before the next, so that C's rows pass as streams.
 *
 * A's rows are cut into tiles as equal as can be, so that no row is computed in vain. A
 * micro-kernel that takes A's rows as they stand gets them in place, or copied where they must be
 * converted or would share cache sets; one that does not gets panels. So does one that takes Aᵀ,
 * unless a plan has it read where it stands, which needs f32, rows that find room in L2 and a
 * product that is not shallow: each step of a tile then reads a line or two of L2, where that takes
 * less time than its multiply-adds, and nothing is packed for few columns.
 *
 * Few threads pack B each for itself ("own"). Where it is the larger operand, each has columns of C
 * of its own, and packs those of B alone: then the first loop is over a thread's columns, and it
 * takes all of their items.
 *
 * Threads that need no B of others' and share out rows go from a span to the next without waiting
 * ("flow"). One that is through with its own items takes those of a thread that is late, whose span
 * of B it packs for that.
 *
 * B of few columns, or of as many as a plan says, is read where it stands: it is used too few times
 * to be worth a packing, and threads need not wait for each other's. Its rows are then far apart
 * and share cache sets, so that each tile reads them from L2; of many columns they would share L2's
 * sets too.
 *
 * A tile's sums of several blocks are gathered in a buffer, since C may be bf16, may be the
 * residual, or may be accumulated to at the end. When the epilogue is nothing but the store or the
 * accumulation, they are gathered in C itself ("direct"), and only then may k have more than one
 * span. Sums begin as what is there already, so that neither blocks nor tiles change their order.
 * Items differ with the thread count, the sums of a tile do not. */
#include "kernels/drive/gemm_item.h"
#include "kernels/drive/share.h"

#include <omp.h>
#include <string.h>

enum {
    NARROWEST_BAND = 48, /* rows: below, a panel of B that was brought in is used too few times */
    NARROWEST_STRETCH = 64, /* columns */
    ITEMS_A_THREAD = 4,     /* wanted, so that a late thread delays the end by little */
    SERIAL_MACS = 1 << 20,  /* below: waking threads costs more than they bring */
};

typedef tic_gemm_cut shape; /* what the threads share */

static size_t flow_bytes(const shape *s) {
    return tic_align_up((size_t)s->tiles * sizeof *s->flow);
}

size_t tic_gemm_blocked_scratch(const tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                                const tic_gemm_args *args) {
    shape s = tic_gemm_cut_of(variant, knobs, args, ctx->threads);
    return s.all_b_bytes + (size_t)ctx->threads * s.own_bytes + flow_bytes(&s);
}

/* Cuts rows, then if need be columns, into enough items for `threads`: equal shares of rows, unless
 * they are too few for it and columns do as well. Every stretch of columns then reads A; where A
 * has to be prepared for it, there are no more than a thread each. */
static void share_out(const shape *s, int threads, tic_gemm_piece *piece) {
    const int64_t wanted = threads == 1 ? 1 : (int64_t)threads * ITEMS_A_THREAD;
    const int64_t panels = tic_ceil_div(piece->columns, s->micro->tile_n);
    const int64_t fewest = tic_ceil_div(s->tiles, s->band);
    const int64_t stretches = s->in_place ? wanted : threads;
    int64_t bands = tic_most(fewest, tic_least(wanted, s->args->m / NARROWEST_BAND));
    const bool by_columns = bands < threads && s->args->m < NARROWEST_BAND * threads &&
                            piece->columns >= NARROWEST_STRETCH * stretches;
    if (by_columns) {
        bands = s->in_place ? bands : fewest;
        piece->stretches = s->in_place ? tic_ceil_div(wanted, bands) : threads;
    } else {
        bands = tic_least(s->tiles, tic_round_up(bands, threads));
        piece->stretches = bands >= threads ? 1 : tic_ceil_div(wanted, bands);
    }
    piece->bands = bands;
    piece->stretches = tic_least(piece->stretches, piece->columns / NARROWEST_STRETCH);
    piece->stretches = tic_most(1, tic_least(piece->stretches, panels));
}

/* The piece of the same range that begins with `block`. */
static tic_gemm_piece piece_at(const shape *s, const tic_gemm_piece *piece, int64_t block) {
    tic_gemm_piece other = *piece;
    other.block = block;
    other.blocks = tic_least(s->span, s->blocks - block);
    return other;
}

/* Item x. In a flow its band must be through with the piece before, where another thread may have
 * taken it. */
static void do_in_turn(tic_ctx *ctx, const shape *s, const tic_gemm_piece *piece, int64_t x,
                       bool flows) {
    const int64_t number = piece->block / s->span;
    if (!flows) {
        tic_gemm_item(ctx, s, piece, x);
        return;
    }
    for (int spins = 0; atomic_load(&s->flow[x]) < number;)
        tic_share_wait(&spins);
    tic_gemm_item(ctx, s, piece, x);
    atomic_store(&s->flow[x], (int32_t)number + 1);
}

/* Items of others, until those of this piece, the thread's last, are taken; they may still be at
 * one before. `first` is the number of the range's first item. */
static void help(tic_ctx *ctx, const shape *s, tic_gemm_piece piece, int64_t first, bool flows) {
    const int64_t items = piece.bands * piece.stretches;
    const int64_t last = first + piece.block / s->span * items;
    for (int64_t x; (x = tic_share_steal(ctx, last, items)) >= 0;) {
        const int64_t block = (x - first) / items * s->span;
        if (block != piece.block) {
            piece = piece_at(s, &piece, block);
            if (s->own_b)
                tic_gemm_pack_b(s, &piece);
        }
        do_in_turn(ctx, s, &piece, (x - first) % items, flows);
    }
}

/* All pieces of a range of columns, all threads together; `first` is as above. Returns how many
 * items that were. */
static int64_t do_range(tic_ctx *ctx, const shape *s, int64_t column, int64_t columns,
                        int64_t first) {
    tic_gemm_piece piece = {.column = column, .columns = columns};
    share_out(s, omp_get_num_threads(), &piece);
    const int64_t items = piece.bands * piece.stretches;
    const bool packs = s->packed == NULL && !s->b_in_place;
    const bool flows = s->blocks > s->span && piece.stretches == 1 && (s->own_b || !packs);
    const int thread = omp_get_thread_num(), threads = omp_get_num_threads();
    const int64_t end = tic_share_first(items, thread + 1, threads);
    if (flows)
        for (int64_t x = tic_share_first(items, thread, threads); x < end; x++)
            atomic_init(&s->flow[x], 0);
    int64_t done = 0;
    for (int64_t block = 0; block < s->blocks; block += s->span, done += items) {
        piece = piece_at(s, &piece, block);
        tic_share_begin(ctx, first + done, items); /* before it packs: others may be done already */
        if (packs)
            tic_gemm_pack_b(s, &piece);
        for (int64_t x; (x = tic_share_own(ctx)) >= 0;)
            do_in_turn(ctx, s, &piece, x - first - done, flows);
        if (flows && block + s->span < s->blocks)
            continue;
        help(ctx, s, piece, first, flows);
#pragma omp barrier
    }
    return done;
}

/* The same of columns that are one thread's own. */
static void do_own_range(tic_ctx *ctx, const shape *s, int64_t column, int64_t columns) {
    tic_gemm_piece piece = {.column = column, .columns = columns};
    share_out(s, 1, &piece);
    for (int64_t block = 0; block < s->blocks; block += s->span) {
        piece = piece_at(s, &piece, block);
        tic_gemm_pack_b(s, &piece);
        for (int64_t x = 0; x < piece.bands * piece.stretches; x++)
            tic_gemm_item(ctx, s, &piece, x);
    }
}

/* All ranges, by every thread of the region: together, or each those of its columns. */
static void do_ranges(tic_ctx *ctx, shape s) {
    const int64_t n = s.args->n, panels = tic_ceil_div(n, s.micro->tile_n);
    const int thread = omp_get_thread_num(), threads = omp_get_num_threads();
    int64_t items = TIC_SHARE_FIRST;
    if (s.own_b)
        s.b += (size_t)thread * s.b_bytes;
    if (!s.own_columns) {
        for (int64_t column = 0; column < n; column += s.columns)
            items += do_range(ctx, &s, column, tic_least(s.columns, n - column), items);
        return;
    }
    const int64_t begin = tic_share_first(panels, thread, threads) * s.micro->tile_n;
    const int64_t end =
        tic_least(n, tic_share_first(panels, thread + 1, threads) * s.micro->tile_n);
    for (int64_t column = begin; column < end; column += s.columns)
        do_own_range(ctx, &s, column, tic_least(s.columns, end - column));
}

tic_status tic_gemm_blocked(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                            const void *arguments, tic_error *err) {
    const tic_gemm_args *args = arguments;
    shape s = tic_gemm_cut_of(variant, knobs, args, ctx->threads);
    if (args->n == 0) /* nothing but column sums */
        return tic_gemm_ref(ctx, NULL, NULL, args, err);
    if (args->colsum != NULL && !args->accumulate)
        memset(args->colsum, 0, sizeof(float) * (size_t)args->m);
    if (args->m == 0)
        return TIC_OK;
    TIC_TRY(tic_ctx_scratch(ctx, tic_gemm_blocked_scratch(ctx, variant, knobs, args), err));
    const size_t mark = tic_arena_mark(&ctx->scratch);
    s.b = tic_arena_take(&ctx->scratch, s.all_b_bytes);
    s.own = tic_arena_take(&ctx->scratch, (size_t)ctx->threads * s.own_bytes);
    s.flow = tic_arena_take(&ctx->scratch, flow_bytes(&s));
    tic_share_reset(ctx);
    double macs = (double)args->m * (double)args->n * (double)args->k;
    int threads = macs < SERIAL_MACS ? 1 : ctx->threads;
#pragma omp parallel num_threads(threads) if (threads > 1)
    do_ranges(ctx, s);
    tic_arena_release(&ctx->scratch, mark);
    return TIC_OK;
}
