/* GEMM around a micro-kernel: blocks, packs, shares tiles out to threads, finishes tiles.
 *
 * k is cut into blocks of at most kc (equal lengths, from the plan only, so that the order of a sum
 * depends on nothing else), blocks into spans that are packed together:
 *
 *   for each range of at most nc columns, for each span of k:
 *     all threads pack B[span, range]                                   (shared, last-level cache)
 *     threads take items = (band of at most mc rows) x (stretch of columns):
 *       pack A[band, span]                                                       (own, L2)
 *       for strips of STRIP columns, for each block, for each panel of B, for each panel of A:
 *         micro-kernel on one tile; after the last block the epilogue, the tile still in L1
 *
 * A tile's sums of several blocks are gathered in a buffer, since C may be bf16, may be the
 * residual, or may be accumulated to at the end. When the epilogue is nothing but the store or the
 * accumulation, whole tiles are gathered in C itself ("direct"), and only then may k have more
 * than one span. Items differ with the thread count, the sums of a tile do not. */
#include "kernels/drive/gemm.h"

#include <omp.h>
#include <string.h>

enum {
    STRIP = 256,            /* columns whose tiles of one band are gathered at a time: band x strip
                               stays in L2 beside A's block */
    SPAN = 2048,            /* longest span of k in direct mode */
    NARROWEST_BAND = 48,    /* rows: below, a panel of B in L1 is used too few times */
    NARROWEST_STRETCH = 64, /* columns */
    ITEMS_A_THREAD = 4,     /* wanted, so that a late thread delays the end by little */
    SERIAL_MACS = 1 << 20,  /* below: waking threads costs more than they bring */
};

typedef struct shape { /* everything about the call that the threads share */
    const tic_gemm_args *args;
    const tic_gemm_micro *micro;
    bool direct;
    int64_t block, blocks;              /* of k: length (the last may be shorter) and number */
    int64_t span;                       /* blocks that are packed together */
    int64_t columns;                    /* packed at a time: nc, in whole panels */
    int64_t band;                       /* rows of A packed at a time: mc, in whole panels */
    int64_t strip;                      /* in whole panels */
    const tic_packed *packed;           /* B, when it comes packed */
    size_t a_panel, b_panel;            /* bytes from panel to panel; A's are whole lines */
    size_t a_bytes, b_bytes, own_bytes; /* A's block; B's; A's and the gathered tiles of a thread */
    unsigned char *b, *own;
} shape;

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static int64_t most(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t ceil_div(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static int64_t round_up(int64_t a, int64_t unit) {
    return ceil_div(a, unit) * unit;
}

/* The epilogue stores or accumulates f32 sums and does nothing else. */
static bool is_direct(const tic_gemm_args *args) {
    return args->c.type == TIC_F32 && args->bias == NULL && args->act == TIC_ACT_NONE &&
           args->residual == NULL;
}

/* Bytes of k values of p, padded, in a panel of that width. */
static size_t steps_bytes(const tic_gemm_micro *micro, int64_t k, int width) {
    const tic_gemm_format *format = &micro->format;
    return (size_t)(round_up(k, format->k_unit) / tic_panel_step(format->panel) * width) * 4;
}

static shape plan_shape(const tic_variant *variant, const int *knobs, const tic_gemm_args *args) {
    const tic_gemm_micro *micro = variant->micro;
    int64_t kc = knobs[0], mc = knobs[1], nc = knobs[2];
    shape s = {.args = args, .micro = micro, .direct = is_direct(args)};
    s.block = round_up(ceil_div(args->k, most(1, ceil_div(args->k, kc))), micro->format.k_unit);
    s.blocks = args->k > 0 ? ceil_div(args->k, s.block) : 1;
    s.span = s.direct ? least(s.blocks, ceil_div(SPAN, most(1, s.block))) : s.blocks;
    s.columns = round_up(least(nc, args->n), micro->tile_n);
    s.band = round_up(least(mc, args->m), micro->tile_m);
    s.strip = least(round_up(STRIP, micro->tile_n), s.columns);
    s.a_panel = tic_align_up(steps_bytes(micro, s.block, micro->tile_m));
    size_t a_panels = (size_t)(s.band / micro->tile_m * s.span);
    s.a_bytes = tic_align_up(a_panels * s.a_panel + TIC_GEMM_SLACK);
    s.packed = tic_gemm_packed_for(args, &micro->format);
    s.b_panel = steps_bytes(micro, s.packed != NULL ? args->k : s.block * s.span, micro->tile_n);
    if (s.packed == NULL)
        s.b_bytes = tic_align_up((size_t)(s.columns / micro->tile_n) * s.b_panel + TIC_GEMM_SLACK);
    s.own_bytes = s.a_bytes + tic_align_up((size_t)(s.band * s.strip) * sizeof(float));
    return s;
}

size_t tic_gemm_blocked_scratch(const tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                                const tic_gemm_args *args) {
    shape s = plan_shape(variant, knobs, args);
    return s.b_bytes + (size_t)ctx->threads * s.own_bytes;
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
    const unsigned char *a;
    float *gather;
} item;

static int64_t block_length(const shape *s, int64_t block) {
    return least(s->block, s->args->k - block * s->block);
}

static tic_gemm_panel panel_of(const shape *s, tic_mat mat, bool across, int64_t first,
                               int64_t rows, int width, int64_t block, void *to) {
    int64_t p = block * s->block;
    int64_t offset = across ? first * mat.ld + p : p * mat.ld + first;
    return (tic_gemm_panel){
        .kind = s->micro->format.panel,
        .from = (const unsigned char *)mat.data + (size_t)offset * tic_dtype_size(mat.type),
        .type = mat.type,
        .across = across,
        .ld = mat.ld,
        .k = block_length(s, block),
        .width = width,
        .valid = (int)least(width, rows - first),
        .stride = width,
        .round = s->args->precision == TIC_BF16 && mat.type == TIC_F32,
        .to = to,
    };
}

/* Panel j of the piece's columns, over the whole span, at b + j * b_panel. */
static void pack_b(const shape *s, const gemm_piece *piece) {
    const tic_gemm_args *args = s->args;
    int64_t panels = ceil_div(piece->columns, s->micro->tile_n);
#pragma omp for schedule(static)
    for (int64_t x = 0; x < panels * piece->blocks; x++) {
        int64_t j = x / piece->blocks, i = x % piece->blocks;
        int64_t first = piece->column + j * s->micro->tile_n;
        unsigned char *to = s->b + (size_t)j * s->b_panel;
        tic_gemm_panel panel =
            panel_of(s, args->b, args->trans == TIC_NT, first, args->n, s->micro->tile_n,
                     piece->block + i, to + steps_bytes(s->micro, i * s->block, s->micro->tile_n));
        s->micro->format.vec->pack(&panel);
    }
}

/* Block i of the span, panel j of the piece. */
static const unsigned char *b_block(const shape *s, const gemm_piece *piece, int64_t i, int64_t j) {
    const tic_gemm_micro *micro = s->micro;
    const unsigned char *b = s->b;
    if (s->packed != NULL) {
        b = s->packed->data;
        i += piece->block;
        j += piece->column / micro->tile_n;
    }
    return b + (size_t)j * s->b_panel + steps_bytes(micro, i * s->block, micro->tile_n);
}

/* Tile i of the item, block j of the span, at a + (j * tiles + i) * a_panel. The item at the left
 * edge also adds its rows' part to the column sums; blocks come in rising order. */
static void pack_a(const shape *s, const gemm_piece *piece, const item *it, unsigned char *to) {
    const tic_gemm_args *args = s->args;
    bool sums = args->colsum != NULL && piece->column == 0 && it->panel == 0;
    for (int64_t j = 0; j < piece->blocks; j++) {
        for (int64_t i = 0; i < it->tiles; i++) {
            int64_t first = (it->tile + i) * s->micro->tile_m;
            tic_gemm_panel panel =
                panel_of(s, args->a, args->trans != TIC_TN, first, args->m, s->micro->tile_m,
                         piece->block + j, to + (size_t)(j * it->tiles + i) * s->a_panel);
            panel.sums = sums ? args->colsum + first : NULL;
            s->micro->format.vec->pack(&panel);
        }
    }
}

/* Inlined by force: gcc 12 takes a function of prefetches for one without effects and drops it. */
static inline __attribute__((always_inline)) void
prefetch_rows(const void *data, tic_dtype type, int64_t ld, const tic_gemm_tile *tile) {
    enum { LINE = 64 };
    size_t size = tic_dtype_size(type);
    for (int y = 0; y < tile->rows; y++) {
        const char *row = (const char *)data + (size_t)((tile->i0 + y) * ld + tile->j0) * size;
        for (size_t x = 0; x < (size_t)tile->cols * size; x += LINE)
            __builtin_prefetch(row + x);
    }
}

/* Asks for what the epilogue will touch, before the micro-kernel's last block hides the wait: the
 * rows of a tile lie too far apart for the hardware to foresee. */
static inline __attribute__((always_inline)) void prefetch_epilogue(const tic_gemm_args *args,
                                                                    const tic_gemm_tile *tile) {
    prefetch_rows(args->c.data, args->c.type, args->c.ld, tile);
    if (args->pre.data != NULL)
        prefetch_rows(args->pre.data, args->pre.type, args->pre.ld, tile);
    if (args->grad_pre.data != NULL)
        prefetch_rows(args->grad_pre.data, args->grad_pre.type, args->grad_pre.ld, tile);
    if (args->residual != NULL && args->residual != args->c.data)
        prefetch_rows(args->residual, TIC_F32, args->ld_residual, tile);
}

/* Adds block j of the span to the tile (row tile i, column panel n of the item); finishes the tile
 * after the last block. `slot` is where its sums are gathered when not in C. Tells whether the
 * micro-kernel accumulated. */
static bool do_tile(const shape *s, const gemm_piece *piece, const item *it, int64_t j, int64_t i,
                    int64_t n, float *slot) {
    const tic_gemm_micro *micro = s->micro;
    const tic_gemm_args *args = s->args;
    int64_t column = it->panel + n;
    int64_t length = round_up(block_length(s, piece->block + j), micro->format.k_unit);
    tic_gemm_tile tile = {.sums = slot,
                          .ld = micro->tile_n,
                          .i0 = (it->tile + i) * micro->tile_m,
                          .j0 = piece->column + column * micro->tile_n};
    tile.rows = (int)least(micro->tile_m, args->m - tile.i0);
    tile.cols = (int)least(micro->tile_n, args->n - tile.j0);
    const unsigned char *a = it->a + (size_t)(j * it->tiles + i) * s->a_panel;
    const unsigned char *b = b_block(s, piece, j, column);
    bool later_span = piece->block > 0;
    if (s->direct && tile.rows == micro->tile_m && tile.cols == micro->tile_n && length > 0) {
        float *c = (float *)args->c.data + tile.i0 * args->c.ld + tile.j0;
        bool accumulate = args->accumulate || later_span || j > 0;
        micro->tile(length, a, b, accumulate, c, args->c.ld);
        return accumulate;
    }
    if (j == piece->blocks - 1)
        prefetch_epilogue(args, &tile);
    if (length > 0)
        micro->tile(length, a, b, j > 0, slot, micro->tile_n);
    else
        memset(slot, 0, sizeof(float) * (size_t)(micro->tile_m * micro->tile_n));
    if (j == piece->blocks - 1)
        micro->format.vec->finish(args, args->accumulate || later_span, &tile);
    return length > 0 && j > 0;
}

static void do_item(tic_ctx *ctx, const shape *s, const gemm_piece *piece, item *it) {
    const tic_gemm_micro *micro = s->micro;
    int thread = omp_get_thread_num();
    unsigned char *own = s->own + (size_t)thread * s->own_bytes;
    int64_t tile_size = micro->tile_m * micro->tile_n, strip = s->strip / micro->tile_n;
    uint64_t issued = 0, updates = 0;
    it->a = own;
    it->gather = (float *)(void *)(own + s->a_bytes);
    pack_a(s, piece, it, own);
    for (int64_t first = 0; first < it->panels; first += strip) {
        int64_t last = least(first + strip, it->panels);
        for (int64_t j = 0; j < piece->blocks; j++) {
            int64_t length = round_up(block_length(s, piece->block + j), micro->format.k_unit);
            for (int64_t n = first; n < last; n++) {
                /* One block: the sums of a tile are needed only until it is finished. */
                float *slots = it->gather;
                if (piece->blocks > 1)
                    slots += (n - first) * it->tiles * tile_size;
                for (int64_t i = 0; i < it->tiles; i++)
                    updates += do_tile(s, piece, it, j, i, n,
                                       slots + (piece->blocks > 1 ? i * tile_size : 0));
            }
            issued += (uint64_t)((last - first) * it->tiles * tile_size * length);
        }
    }
    tic_count_issued(ctx, thread, ctx->gemm_op, issued + updates * (uint64_t)micro->update);
}

/* ---- all items ------------------------------------------------------------------------------ */

/* Cuts rows, then if need be columns, into enough items for `threads`. */
static void share_out(const shape *s, int threads, gemm_piece *piece) {
    int64_t wanted = threads == 1 ? 1 : (int64_t)threads * ITEMS_A_THREAD;
    int64_t tiles = ceil_div(s->args->m, s->micro->tile_m);
    int64_t panels = ceil_div(piece->columns, s->micro->tile_n);
    int64_t bands = ceil_div(tiles * s->micro->tile_m, s->band);
    bands = most(bands, least(wanted, s->args->m / NARROWEST_BAND));
    piece->bands = least(tiles, round_up(bands, threads)); /* equal shares where rows suffice */
    int64_t stretches = piece->bands >= threads ? 1 : ceil_div(wanted, piece->bands);
    piece->stretches = most(1, least(stretches, piece->columns / NARROWEST_STRETCH));
    piece->stretches = least(piece->stretches, panels);
}

static void do_piece(tic_ctx *ctx, const shape *s, const gemm_piece *piece) {
    int64_t tiles = ceil_div(s->args->m, s->micro->tile_m);
    int64_t panels = ceil_div(piece->columns, s->micro->tile_n);
    if (s->packed == NULL)
        pack_b(s, piece);
#pragma omp for schedule(dynamic, 1)
    for (int64_t x = 0; x < piece->bands * piece->stretches; x++) {
        int64_t band = x / piece->stretches, stretch = x % piece->stretches;
        item it = {.tile = tiles * band / piece->bands,
                   .panel = panels * stretch / piece->stretches};
        it.tiles = tiles * (band + 1) / piece->bands - it.tile;
        it.panels = panels * (stretch + 1) / piece->stretches - it.panel;
        do_item(ctx, s, piece, &it);
    }
}

tic_status tic_gemm_blocked(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                            const void *arguments, tic_error *err) {
    const tic_gemm_args *args = arguments;
    shape s = plan_shape(variant, knobs, args);
    if (args->colsum != NULL && !args->accumulate)
        memset(args->colsum, 0, sizeof(float) * (size_t)args->m);
    if (args->m == 0 || args->n == 0)
        return TIC_OK;
    TIC_TRY(tic_ctx_scratch(ctx, tic_gemm_blocked_scratch(ctx, variant, knobs, args), err));
    const size_t mark = tic_arena_mark(&ctx->scratch);
    s.b = tic_arena_take(&ctx->scratch, s.b_bytes);
    s.own = tic_arena_take(&ctx->scratch, (size_t)ctx->threads * s.own_bytes);
    double macs = (double)args->m * (double)args->n * (double)args->k;
    int threads = macs < SERIAL_MACS ? 1 : ctx->threads;
#pragma omp parallel num_threads(threads) if (threads > 1)
    for (int64_t column = 0; column < args->n; column += s.columns) {
        for (int64_t block = 0; block < s.blocks; block += s.span) {
            gemm_piece piece = {.column = column,
                                .columns = least(s.columns, args->n - column),
                                .block = block,
                                .blocks = least(s.span, s.blocks - block)};
            share_out(&s, threads, &piece);
            do_piece(ctx, &s, &piece);
        }
    }
    tic_arena_release(&ctx->scratch, mark);
    return TIC_OK;
}
