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
 * converted or would share cache sets; one that does not, and Aᵀ, gets panels.
 *
 * Few threads pack B each for itself ("own"). Where it is the larger operand, each has columns of C
 * of its own, and packs those of B alone: then the first loop is over a thread's columns, and it
 * takes all of their items.
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
#include "kernels/drive/gemm_ahead.h"
#include "kernels/drive/share.h"

#include <omp.h>
#include <string.h>

enum {
    NARROWEST_BAND = 48, /* rows: below, a panel of B that was brought in is used too few times */
    NARROWEST_STRETCH = 64, /* columns */
    ITEMS_A_THREAD = 4,     /* wanted, so that a late thread delays the end by little */
    SERIAL_MACS = 1 << 20,  /* below: waking threads costs more than they bring */
    PACKED_AT_A_TIME = 16,  /* values of p that a thread packs of B, or a multiple */
};

typedef tic_gemm_cut shape; /* what the threads share */

size_t tic_gemm_blocked_scratch(const tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                                const tic_gemm_args *args) {
    shape s = tic_gemm_cut_of(variant, knobs, args, ctx->threads);
    return s.all_b_bytes + (size_t)ctx->threads * s.own_bytes;
}

/* First row of a tile: of equal heights, give or take one, unless only whole tiles can be. */
static int64_t row_of(const shape *s, int64_t tile) {
    return tic_least(tile * s->height + tic_least(tile, s->higher), s->args->m);
}

/* ---- one item ------------------------------------------------------------------------------- */

typedef struct gemm_piece {  /* what is packed of B at a time, and how the threads share it */
    int64_t column, columns; /* range of C's columns */
    int64_t block, blocks;   /* span: first block of k, number */
    int64_t bands, stretches;
} gemm_piece;

typedef struct item {      /* a rectangle of tiles of the piece */
    int64_t tile, tiles;   /* rows: first tile of C, number */
    int64_t panel, panels; /* columns: first panel of the piece, number */
    unsigned char *a;
    float *gather;
} item;

static int64_t block_length(const shape *s, int64_t block) {
    return tic_least(s->block, s->args->k - block * s->block);
}

static const void *element(tic_mat mat, int64_t i, int64_t j) {
    return (const unsigned char *)mat.data + (size_t)(i * mat.ld + j) * tic_dtype_size(mat.type);
}

/* Columns (of B, rows of A) from `first` on, over p .. p + k - 1, as panels of `width`. */
static tic_gemm_panels panels_of(const shape *s, tic_mat mat, bool across, int64_t first,
                                 int64_t columns, int64_t p, int64_t k, int width, void *to,
                                 size_t next) {
    return (tic_gemm_panels){
        .kind = s->micro->format.panel,
        .from = across ? element(mat, first, p) : element(mat, p, first),
        .type = mat.type,
        .across = across,
        .ld = mat.ld,
        .k = k,
        .columns = columns,
        .valid = width,
        .width = width,
        .stride = width,
        .round = s->args->precision == TIC_BF16 && mat.type == TIC_F32,
        .to = to,
        .next = next,
    };
}

/* Values p .. p + k - 1 of block i of the span, of panels first .. last - 1; panel j stands at
 * b + j * b_panel. */
static void pack_panels(const shape *s, const gemm_piece *piece, int64_t first, int64_t last,
                        int64_t i, int64_t p, int64_t k) {
    const tic_gemm_args *args = s->args;
    const tic_gemm_micro *micro = s->micro;
    const int width = micro->tile_n;
    const int64_t column = piece->column + first * width;
    const int64_t end = tic_least(piece->column + last * width, args->n);
    unsigned char *to = s->b + (size_t)first * s->b_panel + (size_t)i * s->b_block;
    tic_gemm_panels panels = panels_of(s, args->b, args->trans == TIC_NT, column, end - column,
                                       (piece->block + i) * s->block + p, k, width,
                                       to + tic_gemm_steps_bytes(micro, p, width), s->b_panel);
    micro->format.vec->pack(&panels);
}

/* The threads' shares are whole panels where k runs along the rows of B; else some rows, of all of
 * them. */
static void pack_b(const shape *s, const gemm_piece *piece) {
    const int thread = s->own_b ? 0 : omp_get_thread_num();
    const int threads = s->own_b ? 1 : omp_get_num_threads();
    const int64_t panels = tic_ceil_div(piece->columns, s->micro->tile_n);
    const bool whole = s->args->trans == TIC_NT;
    const int64_t groups = whole ? panels : tic_ceil_div(s->block, PACKED_AT_A_TIME);
    const int64_t end = tic_share_first(groups * piece->blocks, thread + 1, threads);
    for (int64_t x = tic_share_first(groups * piece->blocks, thread, threads), most; x < end;
         x += most) {
        const int64_t i = x / groups, group = x % groups;
        most = tic_least(groups - group, end - x);
        const int64_t p = whole ? 0 : group * PACKED_AT_A_TIME;
        const int64_t k = block_length(s, piece->block + i) - p;
        if (whole)
            pack_panels(s, piece, group, group + most, i, p, k);
        else if (k > 0)
            pack_panels(s, piece, 0, panels, i, p, tic_least(most * PACKED_AT_A_TIME, k));
    }
    if (!s->own_b) {
#pragma omp barrier
    }
}

/* The item's tiles, block j of the span. The item at the left edge also adds its rows' part to the
 * column sums; p rises. */
static void pack_tiles(const shape *s, const gemm_piece *piece, const item *it, int64_t j) {
    const tic_gemm_args *args = s->args;
    const int64_t row = row_of(s, it->tile), rows = row_of(s, it->tile + it->tiles) - row;
    const int64_t block = piece->block + j;
    tic_gemm_panels panels = panels_of(s, args->a, args->trans != TIC_TN, row, rows,
                                       block * s->block, block_length(s, block), s->micro->tile_m,
                                       it->a + (size_t)(j * it->tiles) * s->a_tile, s->a_tile);
    panels.valid = (int)s->height;
    panels.wider = (int)tic_least(tic_most(0, s->higher - it->tile), it->tiles);
    if (args->colsum != NULL && piece->column == 0 && it->panel == 0)
        panels.sums = args->colsum + row;
    s->micro->format.vec->pack(&panels);
}

static void prepare_a(const shape *s, const gemm_piece *piece, const item *it) {
    const tic_gemm_args *args = s->args;
    const int64_t row = row_of(s, it->tile), rows = row_of(s, it->tile + it->tiles) - row;
    const int64_t from = piece->block * s->block;
    const int64_t to = tic_least(args->k, (piece->block + piece->blocks) * s->block);
    if (s->along && !s->in_place) {
        tic_gemm_rows copy = {.kind = s->micro->format.panel,
                              .from = element(args->a, row, from),
                              .type = args->a.type,
                              .ld = args->a.ld,
                              .rows = rows,
                              .k = to - from,
                              .stride = s->lda,
                              .round = args->precision == TIC_BF16,
                              .to = it->a};
        s->micro->format.vec->copy(&copy);
    }
    for (int64_t j = 0; !s->along && j < piece->blocks; j++)
        pack_tiles(s, piece, it, j);
}

/* ---- one tile ------------------------------------------------------------------------------- */

/* One block of the span times one panel of B, for tiles of an item. */
typedef struct pass {
    const gemm_piece *piece;
    const item *it;
    int64_t j, k, steps; /* block of the span; its length in values of p and in steps */
    tic_gemm_asks asks;  /* of a tile */
    int64_t column, vectors;
    int cols;
    const unsigned char *b, *next_b; /* the panel's block, and what is read of B after it */
    bool first;                      /* A is read for the first time */
    int64_t from, end;               /* tiles of the item */
    int64_t next_step;               /* bytes of next_b from one prefetch to the next */
    tic_gemm_sources *sources;       /* prefetched by the tiles that next_b does not need; NULL */
} pass;

static const unsigned char *b_at(const shape *s, const gemm_piece *piece, int64_t j,
                                 int64_t panel) {
    const unsigned char *b = s->b;
    if (s->b_in_place)
        return element(s->args->b, (piece->block + j) * s->block,
                       piece->column + panel * s->micro->tile_n);
    if (s->packed != NULL) {
        b = s->packed->data;
        j += piece->block;
        panel += piece->column / s->micro->tile_n;
    }
    return b + (size_t)panel * s->b_panel + (size_t)j * s->b_block;
}

/* Panels first .. last - 1 of the item are a strip. */
static pass begin_pass(const shape *s, const gemm_piece *piece, const item *it, int64_t j,
                       int64_t n, int64_t first, int64_t last) {
    const tic_gemm_micro *micro = s->micro;
    pass x = {.piece = piece, .it = it, .j = j, .k = block_length(s, piece->block + j)};
    int64_t panel = it->panel + n;
    x.steps = x.k == s->block ? s->steps : tic_gemm_steps(micro, x.k);
    x.asks = x.k == s->block ? s->asks : tic_gemm_asks_of(micro, x.steps);
    x.column = piece->column + panel * micro->tile_n;
    x.cols = (int)tic_least(micro->tile_n, s->args->n - x.column);
    x.vectors = x.cols == micro->tile_n ? s->vectors
                : micro->lanes > 0      ? tic_ceil_div(x.cols, micro->lanes)
                                        : 1;
    x.b = b_at(s, piece, j, panel);
    if (n + 1 < last)
        x.next_b = b_at(s, piece, j, panel + 1);
    else if (j + 1 < piece->blocks)
        x.next_b = b_at(s, piece, j + 1, it->panel + first);
    else
        x.next_b = last < it->panels ? b_at(s, piece, 0, it->panel + last) : x.b;
    x.first = n == 0;
    return x;
}

/* Rows of tile i, from the pass's block on, as the micro-kernel has them. */
static const unsigned char *a_at(const shape *s, const pass *x, int64_t i, int64_t row) {
    const item *it = x->it;
    if (s->in_place)
        return element(s->args->a, row, (x->piece->block + x->j) * s->block);
    if (s->along)
        return it->a + (row - row_of(s, it->tile)) * s->lda + (int64_t)((size_t)x->j * s->a_block);
    return it->a + (size_t)(x->j * it->tiles + i) * s->a_tile;
}

/* Runs the micro-kernel of the tile's size; returns the MACs it issued. Meanwhile it prefetches the
 * rows listed; and the tiles of a pass bring in what is read next of B, each its share, or while A
 * is read in place for the first time, the first of its next rows. Where there are sources to be
 * packed, a tile brings in a line of next_b at each prefetch, so that the last tiles are free for
 * them. */
static uint64_t run_tile(const shape *s, const pass *x, int64_t i, const tic_gemm_tile *tile,
                         tic_gemm_row_list *list, bool add, float *c, int64_t ldc) {
    const tic_gemm_micro *micro = s->micro;
    tic_gemm_run *const *family = s->along ? micro->along : micro->across;
    const void *a = a_at(s, x, i, tile->i0), *next = x->b;
    const int64_t n = i - x->from;
    int64_t which = 0, size = micro->tile_m * micro->tile_n, next_step = TIC_GEMM_LINE;
    if (x->steps == 0) {
        for (int64_t r = 0; !add && r < micro->tile_m; r++)
            memset(c + r * ldc, 0, sizeof(float) * (size_t)micro->tile_n);
        return 0;
    }
    if (micro->lanes > 0) {
        which = (tile->rows - 1) * s->vectors + x->vectors - 1;
        size = tile->rows * x->vectors * micro->lanes;
    }
    if (s->in_place && x->first && i + 1 < x->it->tiles) {
        next = (const char *)a + tile->rows * s->lda;
    } else if (x->sources != NULL && n >= s->b_tiles) {
        next = tic_gemm_next_portion(x->sources, s->apart, x->b, &next_step);
    } else if (s->b_in_place) { /* a column of lines takes so many tiles */
        const int64_t every = micro->next_every;
        next = n < s->b_tiles ? x->next_b + n / every * TIC_GEMM_LINE + n % every * s->ldb : x->b;
        next_step = n < s->b_tiles ? every * s->ldb : 0;
    } else if (micro->lanes > 0) {
        next_step = x->next_step;
        next = x->next_b + n * x->asks.lines * next_step;
    }
    tic_gemm_prefetch_rest(list, micro, x->asks.rows);
    const tic_gemm_ahead ahead = {next, next_step, list->at};
    family[which](x->steps, a, s->lda, x->b, s->ldb, add, c, ldc, &ahead);
    const int64_t length = x->steps * tic_panel_step(micro->format.panel);
    return (uint64_t)(size * length + (add ? micro->update : 0));
}

/* The micro-kernel may write the tile into C itself: it ends with whole vectors. */
static bool fits(const tic_gemm_micro *micro, const tic_gemm_tile *tile) {
    return micro->lanes > 0 ? tile->cols % micro->lanes == 0
                            : tile->rows == micro->tile_m && tile->cols == micro->tile_n;
}

static uint64_t direct_tile(const shape *s, const pass *x, int64_t i, const tic_gemm_tile *tile,
                            tic_gemm_row_list *list, float *slot) {
    const tic_gemm_args *args = s->args;
    const bool add = args->accumulate || x->piece->block + x->j > 0;
    float *c = (float *)args->c.data + tile->i0 * args->c.ld + tile->j0;
    if (x->steps > 0 && fits(s->micro, tile))
        return run_tile(s, x, i, tile, list, add, c, args->c.ld);
    for (int64_t r = 0; add && r < tile->rows; r++)
        memcpy(slot + r * tile->ld, c + r * args->c.ld, sizeof(float) * (size_t)tile->cols);
    uint64_t issued = run_tile(s, x, i, tile, list, add, slot, tile->ld);
    tic_gemm_args store = {.c = args->c};
    s->micro->format.vec->finish(&store, false, tile);
    return issued;
}

/* Sums that begin as C wait for it: it is prefetched a tile before. */
static void prefetch_c(const shape *s, const pass *x, int64_t i, const tic_gemm_tile *tile,
                       tic_gemm_row_list *list) {
    const tic_gemm_args *args = s->args;
    const item *it = x->it;
    const bool end = i + 1 == x->end;
    tic_gemm_tile next = {.i0 = end ? row_of(s, it->tile + x->from) : tile->i0 + tile->rows,
                          .j0 = end ? tile->j0 + s->micro->tile_n : tile->j0};
    const int64_t first = x->piece->column + it->panel * s->micro->tile_n;
    if (s->shallow && next.j0 >= first + it->panels * s->micro->tile_n) {
        next.i0 = row_of(s, it->tile + x->end);
        next.j0 = first;
    }
    next.rows = (int)tic_least(s->micro->tile_m, args->m - next.i0);
    next.cols = (int)tic_least(s->micro->tile_n, args->n - next.j0);
    if (!args->accumulate && x->piece->block + x->j == 0)
        next = *tile; /* written only: after the product */
    if (next.cols > 0)
        tic_gemm_list_rows(list, args->c.data, args->c.type, args->c.ld, &next);
}

/* Adds the pass's block to tile i; finishes the tile after the last block. `slot` is where its sums
 * are gathered when not in C. */
static uint64_t do_tile(const shape *s, const pass *x, int64_t i, float *slot) {
    const tic_gemm_args *args = s->args;
    const int64_t row = row_of(s, x->it->tile + i);
    const tic_gemm_tile tile = {.sums = slot,
                                .ld = s->micro->tile_n,
                                .i0 = row,
                                .j0 = x->column,
                                .rows = (int)(row_of(s, x->it->tile + i + 1) - row),
                                .cols = x->cols};
    const bool last = x->j == x->piece->blocks - 1;
    tic_gemm_row_list list;
    list.count = 0;
    if (s->direct) {
        prefetch_c(s, x, i, &tile, &list);
        return direct_tile(s, x, i, &tile, &list, slot);
    }
    if (last)
        tic_gemm_list_epilogue(&list, args, &tile);
    uint64_t issued = run_tile(s, x, i, &tile, &list, x->j > 0, slot, tile.ld);
    if (last)
        s->micro->format.vec->finish(args, args->accumulate, &tile);
    return issued;
}

/* The pass's tiles, `apart` floats from one's gathered sums to the next one's. */
static uint64_t do_panel(const shape *s, const pass *x, float *slots, int64_t apart) {
    uint64_t issued = 0;
    for (int64_t i = x->from; i < x->end; i++)
        issued += do_tile(s, x, i, slots + i * apart);
    return issued;
}

/* ---- one item's tiles ----------------------------------------------------------------------- */

/* Panels first .. last - 1, block by block. `sources`, or NULL: what the tiles of the last panels
 * also prefetch, of as many panels as it takes. */
static uint64_t do_strip(const shape *s, const gemm_piece *piece, const item *it, int64_t first,
                         int64_t last, tic_gemm_sources *sources) {
    const int64_t tile_size = s->micro->tile_m * s->micro->tile_n, panels = last - first;
    const int64_t group = s->shallow ? 1 : it->tiles; /* that meet a panel one after the other */
    const int64_t groups = tic_ceil_div(it->tiles, group);
    const bool gathers = piece->blocks > 1 && !s->direct; /* else a tile is finished at once */
    uint64_t issued = 0;
    const int64_t spare = it->tiles - s->b_tiles; /* tiles of a panel */
    const int64_t busy = sources == NULL || spare <= 0 ? 0 : tic_ceil_div(sources->portions, spare);
    for (int64_t i = 0; i < piece->blocks * groups; i++) {
        const int64_t j = i / groups, from = i % groups * group;
        for (int64_t n = 0; n < panels; n++) {
            pass x = begin_pass(s, piece, it, j, first + n, first, last);
            x.from = from;
            x.end = tic_least(from + group, it->tiles);
            x.sources = n + busy >= panels ? sources : NULL;
            x.next_step = group == 1 || x.sources != NULL
                              ? TIC_GEMM_LINE
                              : tic_least(TIC_GEMM_LINE, s->apart_bytes / (x.end - from));
            float *slots = it->gather + (gathers ? n * it->tiles * tile_size : 0);
            issued += do_panel(s, &x, slots, gathers ? tile_size : 0);
        }
    }
    return issued;
}

/* Item x of the piece's bands x stretches. */
static item item_of(const shape *s, const gemm_piece *piece, int64_t x) {
    unsigned char *own = s->own + (size_t)omp_get_thread_num() * s->own_bytes;
    const int64_t panels = tic_ceil_div(piece->columns, s->micro->tile_n);
    const int64_t band = x / piece->stretches, stretch = x % piece->stretches;
    item it = {.tile = s->tiles * band / piece->bands,
               .panel = panels * stretch / piece->stretches,
               .a = own,
               .gather = (float *)(void *)(own + s->a_bytes)};
    it.tiles = s->tiles * (band + 1) / piece->bands - it.tile;
    it.panels = panels * (stretch + 1) / piece->stretches - it.panel;
    return it;
}

/* What the thread packs after item x, `it`, if nobody is late: of Aᵀ, and of B where it packs all
 * of its own. A piece that packs is one block. */
static tic_gemm_sources packed_next(const shape *s, const gemm_piece *piece, const item *it,
                                    int64_t x) {
    const int64_t items = piece->bands * piece->stretches;
    const int thread = s->own_columns ? 0 : omp_get_thread_num();
    const int threads = s->own_columns ? 1 : omp_get_num_threads();
    const int64_t begin = tic_share_first(items, thread, threads);
    const bool more = x + 1 < tic_share_first(items, thread + 1, threads);
    const int64_t block = more ? piece->block : piece->block + piece->blocks;
    const item next = item_of(s, piece, more ? x + 1 : begin);
    tic_gemm_sources sources = {0};
    if (s->args->trans != TIC_TN || s->micro->lanes == 0 || s->shallow || piece->blocks > 1 ||
        block >= s->blocks || (more && next.tile == it->tile))
        return sources;
    const int64_t p = block * s->block, row = row_of(s, next.tile);
    sources.of[0] = tic_gemm_source_of(s->args->a, p, row, row_of(s, next.tile + next.tiles) - row);
    if (!more && s->own_b)
        sources.of[1] = tic_gemm_source_of(s->args->b, p, piece->column, piece->columns);
    sources.portions = (sources.of[0].lines + sources.of[1].lines) * s->apart;
    return sources;
}

static void do_item(tic_ctx *ctx, const shape *s, const gemm_piece *piece, int64_t x) {
    const int64_t panels = tic_ceil_div(piece->columns, s->micro->tile_n);
    const int64_t strip = s->shallow ? panels : s->strip / s->micro->tile_n;
    const item it = item_of(s, piece, x);
    prepare_a(s, piece, &it);
    tic_gemm_sources sources = packed_next(s, piece, &it, x);
    uint64_t issued = 0;
    for (int64_t first = 0; first < it.panels; first += strip) {
        const int64_t last = tic_least(first + strip, it.panels);
        const bool prefetch = last == it.panels && sources.portions > 0;
        issued += do_strip(s, piece, &it, first, last, prefetch ? &sources : NULL);
    }
    tic_count_issued(ctx, omp_get_thread_num(), ctx->gemm_op, issued);
}

/* ---- all items ------------------------------------------------------------------------------ */

/* Cuts rows, then if need be columns, into enough items for `threads`: equal shares of rows, unless
 * they are too few for it and columns do as well. Every stretch of columns then reads A; where A
 * has to be prepared for it, there are no more than a thread each. */
static void share_out(const shape *s, int threads, gemm_piece *piece) {
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

static void do_piece(tic_ctx *ctx, const shape *s, gemm_piece *piece) {
    share_out(s, s->own_columns ? 1 : omp_get_num_threads(), piece);
    if (!s->own_columns) /* before it packs: others may be done already, and help */
        tic_share_begin(ctx, piece->bands * piece->stretches);
    if (s->packed == NULL && !s->b_in_place)
        pack_b(s, piece);
    if (s->own_columns) { /* all of the piece is this thread's */
        for (int64_t x = 0; x < piece->bands * piece->stretches; x++)
            do_item(ctx, s, piece, x);
        return;
    }
    for (int64_t x; (x = tic_share_take(ctx)) >= 0;)
        do_item(ctx, s, piece, x);
#pragma omp barrier
}

/* All pieces, by every thread of the region: together, or each those of its columns. */
static void do_pieces(tic_ctx *ctx, shape s) {
    const int64_t n = s.args->n, panels = tic_ceil_div(n, s.micro->tile_n);
    const int thread = omp_get_thread_num(), threads = omp_get_num_threads();
    int64_t first = 0, end = n;
    if (s.own_b)
        s.b += (size_t)thread * s.b_bytes;
    if (s.own_columns) {
        first = tic_share_first(panels, thread, threads) * s.micro->tile_n;
        end = tic_least(n, tic_share_first(panels, thread + 1, threads) * s.micro->tile_n);
    }
    for (int64_t column = first; column < end; column += s.columns)
        for (int64_t block = 0; block < s.blocks; block += s.span) {
            gemm_piece piece = {.column = column,
                                .columns = tic_least(s.columns, end - column),
                                .block = block,
                                .blocks = tic_least(s.span, s.blocks - block)};
            do_piece(ctx, &s, &piece);
        }
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
    double macs = (double)args->m * (double)args->n * (double)args->k;
    int threads = macs < SERIAL_MACS ? 1 : ctx->threads;
#pragma omp parallel num_threads(threads) if (threads > 1)
    do_pieces(ctx, s);
    tic_arena_release(&ctx->scratch, mark);
    return TIC_OK;
}
