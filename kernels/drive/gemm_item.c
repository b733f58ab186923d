/* Items of a blocked gemm: see gemm_item.h. */
#include "kernels/drive/gemm_item.h"

#include "kernels/drive/gemm_ahead.h"
#include "kernels/drive/share.h"

#include <string.h>

/* Values of p that a thread packs of B, or a multiple; and of every k_unit here. */
enum { PACKED_AT_A_TIME = 16 };

typedef tic_gemm_cut shape;

/* First row of a tile: of equal heights, give or take one, unless only whole tiles can be. */
static int64_t row_of(const shape *s, int64_t tile) {
    return tic_least(tile * s->height + tic_least(tile, s->higher), s->args->m);
}

/* Rows of a tile whose first row that is. */
static int rows_of(const shape *s, int64_t tile, int64_t row) {
    return (int)tic_least(s->height + (tile < s->higher ? 1 : 0), s->args->m - row);
}

/* ---- one item ------------------------------------------------------------------------------- */

typedef struct item {      /* a rectangle of tiles of the piece */
    int64_t tile, tiles;   /* rows: first tile of C, number */
    int64_t row, rows;     /* of these */
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
static void pack_panels(const shape *s, const tic_gemm_piece *piece, int64_t first, int64_t last,
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
void tic_gemm_pack_b(const shape *s, const tic_gemm_piece *piece) {
    const int thread = s->own_b ? 0 : omp_get_thread_num();
    const int threads = s->own_b ? 1 : omp_get_num_threads();
    const int64_t panels = tic_ceil_div(piece->columns, s->micro->tile_n);
    const bool whole = s->args->trans == TIC_NT;
    const int64_t groups = whole ? panels : tic_ceil_div(s->block, PACKED_AT_A_TIME);
    const int64_t end = tic_share_first(groups * piece->blocks, thread + 1, threads);
    int64_t x = tic_share_first(groups * piece->blocks, thread, threads);
    while (x < end) { /* those of a block at a time */
        const int64_t i = x / groups, group = x % groups;
        const int64_t most = tic_least(groups - group, end - x);
        const int64_t p = whole ? 0 : group * PACKED_AT_A_TIME;
        const int64_t k = block_length(s, piece->block + i) - p;
        if (whole)
            pack_panels(s, piece, group, group + most, i, p, k);
        else if (k > 0)
            pack_panels(s, piece, 0, panels, i, p, tic_least(most * PACKED_AT_A_TIME, k));
        x += most;
    }
    if (!s->own_b) {
#pragma omp barrier
    }
}

/* The item's tiles, block j of the span, or, of an Aᵀ that is read in place, nothing but the sums.
 * The item at the left edge adds its rows' part to the column sums; p rises. */
static void pack_tiles(const shape *s, const tic_gemm_piece *piece, const item *it, int64_t j) {
    const tic_gemm_args *args = s->args;
    const int64_t block = piece->block + j;
    tic_gemm_panels panels = panels_of(s, args->a, args->trans != TIC_TN, it->row, it->rows,
                                       block * s->block, block_length(s, block), s->micro->tile_m,
                                       it->a + (size_t)(j * it->tiles) * s->a_tile, s->a_tile);
    if (args->colsum != NULL && piece->column == 0 && it->panel == 0)
        panels.sums = args->colsum + it->row;
    panels.valid = (int)s->height;
    panels.wider = (int)tic_least(tic_most(0, s->higher - it->tile), it->tiles);
    if (!s->in_place)
        s->micro->format.vec->pack(&panels);
    else if (panels.sums != NULL)
        s->micro->format.vec->sum(&panels);
}

static void prepare_a(const shape *s, const tic_gemm_piece *piece, const item *it) {
    const tic_gemm_args *args = s->args;
    const int64_t from = piece->block * s->block;
    const int64_t to = tic_least(args->k, (piece->block + piece->blocks) * s->block);
    if (s->along && !s->in_place) {
        tic_gemm_rows copy = {.kind = s->micro->format.panel,
                              .from = element(args->a, it->row, from),
                              .type = args->a.type,
                              .ld = args->a.ld,
                              .rows = it->rows,
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
    const tic_gemm_piece *piece;
    const item *it;
    int64_t j, k, steps; /* block of the span; its length in values of p and in steps */
    tic_gemm_asks asks;  /* of a tile */
    int64_t column, vectors;
    int cols;
    const unsigned char *b, *next_b; /* the panel's block, and what is read of B after it */
    bool first;                      /* A is read for the first time */
    bool fits; /* the micro-kernel may write whole tiles into C itself: they end with whole vectors
                */
    int64_t from, end, row;    /* tiles of the item, first row */
    int64_t next_step;         /* bytes of next_b from one prefetch to the next */
    tic_gemm_sources *sources; /* prefetched by the tiles that next_b does not need; NULL */
} pass;

static const unsigned char *b_at(const shape *s, const tic_gemm_piece *piece, int64_t j,
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

/* Panels first .. last - 1 of the item are a strip. Into *x: a copy would wait for its bytes to be
 * stored, once a tile where products are shallow. */
static void begin_pass(pass *x, const shape *s, const tic_gemm_piece *piece, const item *it,
                       int64_t j, int64_t n, int64_t first, int64_t last) {
    const tic_gemm_micro *micro = s->micro;
    x->piece = piece;
    x->it = it;
    x->j = j;
    x->k = block_length(s, piece->block + j);
    int64_t panel = it->panel + n;
    x->steps = x->k == s->block ? s->steps : tic_gemm_steps(micro, x->k);
    x->asks = x->k == s->block ? s->asks : tic_gemm_asks_of(micro, x->steps);
    x->column = piece->column + panel * micro->tile_n;
    x->cols = (int)tic_least(micro->tile_n, s->args->n - x->column);
    x->vectors = x->cols == micro->tile_n ? s->vectors
                 : micro->lanes > 0       ? tic_ceil_div(x->cols, micro->lanes)
                                          : 1;
    x->fits = x->steps > 0 &&
              (x->cols == micro->tile_n || (micro->lanes > 0 && x->cols % micro->lanes == 0));
    x->b = b_at(s, piece, j, panel);
    if (n + 1 < last)
        x->next_b = b_at(s, piece, j, panel + 1);
    else if (j + 1 < piece->blocks)
        x->next_b = b_at(s, piece, j + 1, it->panel + first);
    else
        x->next_b = last < it->panels ? b_at(s, piece, 0, it->panel + last) : x->b;
    x->first = n == 0;
}

/* Rows of tile i, from the pass's block on, as the micro-kernel has them. */
static const unsigned char *a_at(const shape *s, const pass *x, int64_t i, int64_t row) {
    const item *it = x->it;
    const int64_t p = (x->piece->block + x->j) * s->block;
    if (s->in_place)
        return s->along ? element(s->args->a, row, p) : element(s->args->a, p, row);
    if (s->along)
        return it->a + (row - it->row) * s->lda + (int64_t)((size_t)x->j * s->a_block);
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
    if (s->in_place && s->along && x->first && i + 1 < x->it->tiles) {
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

static uint64_t direct_tile(const shape *s, const pass *x, int64_t i, const tic_gemm_tile *tile,
                            tic_gemm_row_list *list, float *slot) {
    const tic_gemm_args *args = s->args;
    const bool add = args->accumulate || x->piece->block + x->j > 0;
    float *c = (float *)args->c.data + tile->i0 * args->c.ld + tile->j0;
    if (x->fits && (tile->rows == s->micro->tile_m || s->micro->lanes > 0))
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
    tic_gemm_tile next = {.i0 = end ? x->row : tile->i0 + tile->rows,
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

/* Adds the pass's block to tile i of the item; finishes the tile after the last block. Its sums are
 * gathered at tile->sums when not in C. */
static uint64_t do_tile(const shape *s, const pass *x, int64_t i, const tic_gemm_tile *tile,
                        float *slot) {
    const tic_gemm_args *args = s->args;
    const bool last = x->j == x->piece->blocks - 1;
    tic_gemm_row_list list;
    list.count = 0;
    if (s->direct) {
        prefetch_c(s, x, i, tile, &list);
        return direct_tile(s, x, i, tile, &list, slot);
    }
    if (last)
        tic_gemm_list_epilogue(&list, args, tile);
    uint64_t issued = run_tile(s, x, i, tile, &list, x->j > 0, slot, tile->ld);
    if (last)
        s->micro->format.vec->finish(args, args->accumulate, tile);
    return issued;
}

/* The pass's tiles, `apart` floats from one's gathered sums to the next one's. */
static uint64_t do_panel(const shape *s, const pass *x, float *slots, int64_t apart) {
    uint64_t issued = 0;
    tic_gemm_tile tile = {.ld = s->micro->tile_n, .i0 = x->row, .j0 = x->column, .cols = x->cols};
    for (int64_t i = x->from; i < x->end; i++, tile.i0 += tile.rows) {
        tile.sums = slots + i * apart;
        tile.rows = rows_of(s, x->it->tile + i, tile.i0);
        issued += do_tile(s, x, i, &tile, slots + i * apart);
    }
    return issued;
}

/* ---- one item's tiles ----------------------------------------------------------------------- */

/* Panels first .. last - 1, block by block. `sources`, or NULL: what the tiles of the last panels
 * also prefetch, of as many panels as it takes. */
static uint64_t do_strip(const shape *s, const tic_gemm_piece *piece, const item *it, int64_t first,
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
            pass x;
            begin_pass(&x, s, piece, it, j, first + n, first, last);
            x.from = from;
            x.row = row_of(s, it->tile + from);
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
static item item_of(const shape *s, const tic_gemm_piece *piece, int64_t x) {
    unsigned char *own = s->own + (size_t)omp_get_thread_num() * s->own_bytes;
    const int64_t panels = tic_ceil_div(piece->columns, s->micro->tile_n);
    const int64_t band = x / piece->stretches, stretch = x % piece->stretches;
    item it = {.tile = s->tiles * band / piece->bands,
               .panel = panels * stretch / piece->stretches,
               .a = own,
               .gather = (float *)(void *)(own + s->a_bytes)};
    it.tiles = s->tiles * (band + 1) / piece->bands - it.tile;
    it.row = row_of(s, it.tile);
    it.rows = row_of(s, it.tile + it.tiles) - it.row;
    it.panels = panels * (stretch + 1) / piece->stretches - it.panel;
    return it;
}

/* What the thread packs (or of an Aᵀ in place, reads) after item x, `it`, if nobody is late: of Aᵀ,
 * and of B where it packs all of its own; nothing after an item of another's. A piece that packs is
 * one block. */
static tic_gemm_sources packed_next(const shape *s, const tic_gemm_piece *piece, const item *it,
                                    int64_t x) {
    const int64_t items = piece->bands * piece->stretches;
    const int thread = s->own_columns ? 0 : omp_get_thread_num();
    const int threads = s->own_columns ? 1 : omp_get_num_threads();
    const int64_t begin = tic_share_first(items, thread, threads);
    const int64_t end = tic_share_first(items, thread + 1, threads);
    const bool more = x + 1 < end;
    const int64_t block = more ? piece->block : piece->block + piece->blocks;
    const item next = item_of(s, piece, more ? x + 1 : begin);
    tic_gemm_sources sources = {0};
    if (s->args->trans != TIC_TN || s->micro->lanes == 0 || s->shallow || piece->blocks > 1 ||
        block >= s->blocks || x < begin || x >= end || (more && next.tile == it->tile))
        return sources;
    const int64_t p = block * s->block;
    sources.of[0] = tic_gemm_source_of(s->args->a, p, next.row, next.rows);
    if (!more && s->own_b)
        sources.of[1] = tic_gemm_source_of(s->args->b, p, piece->column, piece->columns);
    sources.portions = (sources.of[0].lines + sources.of[1].lines) * s->apart;
    return sources;
}

void tic_gemm_item(tic_ctx *ctx, const shape *s, const tic_gemm_piece *piece, int64_t x) {
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
