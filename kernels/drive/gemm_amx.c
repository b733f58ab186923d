/* GEMM in bf16 on AMX tiles: packs what tiles cannot be loaded from, then shares bands of C out to
 * threads, which generated micro-kernels (kernels/gen/gemm_amx.py) compute and finish.
 *
 *   for each span of k, for each slab of rows:
 *     all threads pack B, when the span is new and no packing came along,
 *       and A's slab, unless it stands as tiles do or is packed by bands
 *     threads take bands of rows x ranges of at most nc columns:
 *       pack the band of A (dW)
 *       for each group of strips of 32 or 48 rows, for each chunk of k,
 *         for each strip of the group, for each panel of 32 columns:
 *           products into the sums of the chunk before; after the last chunk the epilogue
 *
 * A chunk of a strip (kc 384: 24 KiB) stays in L1 while B's panels pass by from L2, so that a step
 * of two by two tiles brings 2 KiB instead of 4; L2 gives less than the tiles could take
 * (benchmarks/bench_tiles says how much). B is loaded as what is not used again (TILELOADDT1), for
 * it would else take A's place in L1; what of A is more than L1 keeps, too. The price of chunks is
 * that sums travel between them, as tiles. A group is one strip where all chunks of B's range stay
 * in L2, else a band, so that one chunk of them does.
 *
 * bf16 rows of A are read in place, the next strip's asked for meanwhile; where they would share
 * sets of L1, a strip's chunk is copied before it is used. Rows that must be converted are packed
 * by all threads. dW's must be transposed: a thread does it band by band for itself where there are
 * bands for every thread, so that they do not leave its L2, in spans of k whose B stays beside
 * them.
 *
 * An element's sum is that of its steps in rising order, whatever the chunks; of several spans
 * (where C gathers them) it is the sum of theirs. It depends on the shape, never on the thread
 * count. Rows are padded to 16, columns to 32, k to 32 with zeros: issued are the padded sizes'
 * product. */
#include "kernels/drive/gemm_amx.h"
#include "kernels/drive/share.h"

#include <omp.h>
#include <string.h>

enum {
    SLAB = 4096,            /* rows of A packed at a time */
    SPAN = 4096,            /* longest span of k where C gathers the spans' sums */
    SHORT_SPAN = 512,       /* the same of dW, but for k up to half as much again */
    B_IN_L2 = 5 << 18,      /* bytes of B that stay in a core's L2 while all of A passes by */
    A_IN_L2 = 1 << 18,      /* bytes of a band of A that a thread packs for itself */
    OWN_TILES = 32,         /* fewer of A, all in all or: */
    OWN_TILES_A_THREAD = 8, /* a thread, are packed by all threads, for not each would have bands */
    KEPT = 24,              /* tiles of A's chunk that stay in L1: half of 48 KiB */
    TILES_A_TASK = 4,       /* of 16 rows or columns, packed by one thread */
    ITEMS_A_THREAD = 4,     /* wanted */
    SERIAL_MACS = 1 << 20,  /* below: waking threads costs more than they bring */
    PAGE = 4096,
    LINE = 64,      /* bytes: addresses a page apart share a set of L1, which has 12 ways */
    ROWS_A_SET = 8, /* most rows of a strip that may */
};

typedef struct shape {
    const tic_gemm_args *args;
    const tic_gemm_amx *tier;
    const tic_packed *packed; /* B, when it comes packed */
    bool direct;              /* C gathers the sums of spans */
    bool in_place;            /* A's rows are read where they are, but for the last strip's */
    bool copies;              /* a strip's chunk is copied before it meets the panels */
    bool by_columns;          /* a thread's share are ranges of columns, not bands of rows */
    bool own_a;               /* a thread packs a band of A for itself, before it multiplies it */
    int64_t span, chunk;      /* of k, in steps */
    int64_t steps;            /* of the whole of k */
    int64_t slab, tiles;      /* rows packed at a time; their tiles */
    int64_t panels, range;    /* of B; at a time */
    int64_t height;           /* tiles of a strip */
    int64_t band, group;      /* strips: most of a band; that take a chunk before the next one */
    size_t a_bytes, b_bytes, partial_bytes, own_bytes;
    unsigned char *a, *b, *own;
} shape;

/* n cut into equal parts of at most `longest`. */
static int64_t equal_parts(int64_t n, int64_t longest) {
    return n > 0 ? tic_ceil_div(n, tic_ceil_div(n, longest)) : 1;
}

/* Tiles could be loaded from A's rows as they stand: bf16, and no odd end of k. */
static bool stands_in_tiles(const tic_gemm_args *args) {
    return args->trans != TIC_TN && args->a.type == TIC_BF16 && args->k % TIC_TILE_K == 0;
}

/* Few enough of a strip's rows are in the same set of L1 to keep a chunk there. */
static bool stays_in_l1(const tic_gemm_args *args, int64_t height) {
    const int64_t bytes = args->a.ld * 2;
    int64_t apart = LINE; /* the largest power of two, up to a page, that divides a row's length */
    while (apart < PAGE && bytes % (2 * apart) == 0)
        apart *= 2;
    return tic_ceil_div(height * TIC_TILE_ROWS, PAGE / apart) <= ROWS_A_SET;
}

/* Steps of a chunk: as they are when there are few more than `longest`, since sums must travel. */
static int64_t chunk_of(int64_t steps, int64_t longest) {
    return 2 * steps <= 3 * longest ? tic_most(1, steps) : equal_parts(steps, longest);
}

/* Most steps of a span where C gathers the spans' sums. */
static int64_t longest_span(const tic_gemm_args *args) {
    return args->trans == TIC_TN ? 3 * SHORT_SPAN / 2 / TIC_TILE_K : SPAN / TIC_TILE_K;
}

/* Strips that take a chunk before the next one: one where B's range of a span stays in L2. */
static int64_t group_of(const shape *s, int64_t span, int64_t band) {
    return s->range * span * TIC_AMX_PANEL_STEP <= B_IN_L2 ? 1 : band;
}

/* Bytes to book: as many for a longer k as for a shorter one, however they are cut. `band`: strips
 * of a band at most. */
static void book(shape *s, int64_t band, int64_t chunk) {
    const int64_t span = s->direct ? tic_least(s->steps, longest_span(s->args)) : s->span;
    const bool travels = chunk_of(span, chunk) < span;
    const int64_t group = group_of(s, span, band);
    const int64_t strip = s->height * span * TIC_TILE_BYTES;
    if (!s->own_a)
        s->a_bytes =
            (size_t)((s->in_place ? tic_least(s->tiles, TIC_AMX_STRIP) : s->tiles) * span) *
            TIC_TILE_BYTES;
    if (s->packed == NULL)
        s->b_bytes = (size_t)(s->panels * span) * TIC_AMX_PANEL_STEP;
    if (travels)
        s->partial_bytes = (size_t)(group * s->range) * TIC_AMX_BLOCK * sizeof(float);
    s->own_bytes = TIC_AMX_BLOCK * sizeof(float) + s->partial_bytes;
    if (s->copies)
        s->own_bytes += (size_t)(TIC_AMX_STRIP * tic_least(span, 3 * chunk / 2)) * TIC_TILE_BYTES;
    if (s->own_a) /* a tile more: an odd number of them begins with a strip of three */
        s->own_bytes +=
            (size_t)(tic_most(strip, tic_least(band * strip, A_IN_L2)) + span * TIC_TILE_BYTES);
}

static shape plan_shape(const tic_ctx *ctx, const tic_gemm_amx *tier, const int *knobs,
                        const tic_gemm_args *args) {
    shape s = {.args = args, .tier = tier, .direct = tic_gemm_is_direct(args)};
    const int64_t chunk = tic_most(1, knobs[0] / TIC_TILE_K);
    s.packed = tic_gemm_packed_for(args, &tic_gemm_tiles_micro.format);
    s.steps = tic_amx_steps(args->k);
    s.slab = tic_least(args->m, SLAB);
    s.tiles = tic_ceil_div(s.slab, TIC_TILE_ROWS);
    s.panels = tic_ceil_div(args->n, TIC_AMX_PANEL);
    s.range = equal_parts(s.panels, tic_most(1, knobs[2] / TIC_AMX_PANEL));
    s.height = knobs[3];
    s.in_place = stands_in_tiles(args);
    s.copies = s.in_place && !stays_in_l1(args, s.height);
    /* The larger operand that is packed in the call is read by the thread that packed it. */
    s.by_columns = s.packed == NULL && 2 * s.panels > s.tiles;
    s.own_a = args->trans == TIC_TN && !s.by_columns && s.tiles >= OWN_TILES &&
              s.tiles >= OWN_TILES_A_THREAD * ctx->threads;
    s.span = tic_most(1, s.steps);
    if (s.direct && args->trans == TIC_TN)
        s.span = chunk_of(s.steps, SHORT_SPAN / TIC_TILE_K);
    else if (s.direct)
        s.span = equal_parts(s.steps, SPAN / TIC_TILE_K);
    const int64_t band = tic_most(1, knobs[1] / (s.height * TIC_TILE_ROWS));
    s.band = band;
    if (s.own_a) {
        s.range = s.panels;
        s.band = tic_most(1, tic_least(band, A_IN_L2 / (s.height * s.span * TIC_TILE_BYTES)));
    }
    s.chunk = chunk_of(s.span, chunk);
    s.group = group_of(&s, s.span, s.band);
    book(&s, band, chunk);
    return s;
}

static size_t scratch_bytes(const tic_ctx *ctx, const shape *s) {
    return s->a_bytes + s->b_bytes + (size_t)ctx->threads * s->own_bytes;
}

/* ---- strips ---------------------------------------------------------------------------------- */

/* Row tiles as strips of `height`: of three, ended by twos where the number does not divide (4 is
 * 2 + 2, since a strip of one tile loads B for half the products); or of two, of an odd number the
 * first of three. Threes come first. */
typedef struct strips {
    int64_t threes, twos, ones;
} strips;

static strips cut_strips(int64_t tiles, int64_t height) {
    if (tiles == 1)
        return (strips){.ones = 1};
    int64_t twos = tiles % 3 == 0 ? 0 : tiles % 3 == 2 ? 1 : 2;
    if (height == 2)
        twos = (tiles - 3 * (tiles % 2)) / 2;
    return (strips){.threes = (tiles - 2 * twos) / 3, .twos = twos};
}

typedef struct run { /* of strips of one height */
    int rows;        /* tiles of a strip */
    int64_t tile;    /* the first one's first tile */
    int64_t strips;
} run;

/* The runs of strips first .. last - 1; their number, at most 2. */
static int runs_of(strips all, int64_t first, int64_t last, run out[2]) {
    int count = 0;
    if (all.ones > 0) {
        out[count++] = (run){1, 0, 1};
        return count;
    }
    if (first < all.threes)
        out[count++] = (run){3, 3 * first, tic_least(last, all.threes) - first};
    if (last > all.threes) {
        int64_t from = tic_most(first, all.threes);
        out[count++] = (run){2, 3 * all.threes + 2 * (from - all.threes), last - from};
    }
    return count;
}

/* ---- packing --------------------------------------------------------------------------------- */

typedef struct pass {         /* what is packed and multiplied between two barriers */
    int64_t row, rows, tiles; /* slab */
    int64_t step, steps, k;   /* span: first step, steps, values of k in them */
    int64_t bands, ranges;    /* items; strips are shared out evenly */
    int64_t threads;
    int64_t packed; /* first tile of A that is packed */
    bool pack_b;
} pass;

typedef struct packed_a { /* where row tiles of A are packed to */
    unsigned char *to;
    int64_t tile; /* of the slab: the first one there, the first of a strip */
} packed_a;

static tic_amx_piece piece_of(const pass *p, tic_mat mat, bool across, int64_t first, int64_t end) {
    int64_t at = p->step * TIC_TILE_K;
    int64_t offset = across ? first * mat.ld + at : at * mat.ld + first;
    return (tic_amx_piece){
        .from = (const unsigned char *)mat.data + (size_t)offset * tic_dtype_size(mat.type),
        .type = mat.type,
        .across = across,
        .ld = mat.ld,
        .k = p->k,
        .valid = (int)tic_most(0, tic_least(TIC_TILE_ROWS, end - first)),
    };
}

/* Row tile x of the slab: where its steps go. */
static tic_amx_piece a_piece(const shape *s, const pass *p, packed_a a, int64_t x) {
    const tic_gemm_args *args = s->args;
    strips all = cut_strips(p->tiles, s->height);
    int64_t height = all.ones > 0 ? 1 : x < 3 * all.threes ? 3 : 2;
    int64_t in = all.ones > 0 ? 0 : height == 3 ? x % 3 : (x - 3 * all.threes) % 2;
    int64_t first = p->row + x * TIC_TILE_ROWS;
    tic_amx_piece piece = piece_of(p, args->a, args->trans != TIC_TN, first, args->m);
    piece.to = a.to + (size_t)((x - a.tile - in) * p->steps + in) * TIC_TILE_BYTES;
    piece.step_bytes = height * TIC_TILE_BYTES;
    piece.sums = args->colsum != NULL ? args->colsum + first : NULL;
    return piece;
}

/* Column tile x of B; behind the last one there is none, but a panel has two. */
static tic_amx_piece b_piece(const shape *s, const pass *p, int64_t x) {
    const tic_gemm_args *args = s->args;
    int64_t first = x * TIC_TILE_COLS;
    bool exists = first < args->n;
    tic_amx_piece piece = piece_of(p, args->b, args->trans == TIC_NT, exists ? first : 0, args->n);
    piece.valid = exists ? piece.valid : 0;
    piece.to = s->b + (size_t)(x / 2 * p->steps * 2 + x % 2) * TIC_TILE_BYTES;
    piece.step_bytes = TIC_AMX_PANEL_STEP;
    return piece;
}

/* Step by step, tile beside tile: rows that run along the tiles are read in whole lines, and no
 * more of them at a time than the first TLB knows pages. */
static void pack_beside(void (*pack)(const tic_amx_piece *), tic_amx_piece *pieces, int count) {
    for (int64_t p = 0; p < pieces[0].k; p += TIC_TILE_K) {
        for (int x = 0; x < count; x++) {
            tic_amx_piece *piece = &pieces[x];
            tic_amx_piece step = *piece;
            step.k = tic_least(TIC_TILE_K, piece->k - p);
            pack(&step);
            piece->from = (const unsigned char *)piece->from +
                          (size_t)(TIC_TILE_K * piece->ld) * tic_dtype_size(piece->type);
            piece->to = (unsigned char *)piece->to + piece->step_bytes;
        }
    }
}

/* First tile of A that all threads pack: of the last strip, in place, if the rows end amid a tile
 * of it. */
static int64_t first_packed(const shape *s, const pass *p) {
    const strips all = cut_strips(p->tiles, s->height);
    if (s->own_a)
        return p->tiles;
    if (!s->in_place)
        return 0;
    if (p->rows % TIC_TILE_ROWS == 0)
        return p->tiles;
    return p->tiles - (all.ones > 0 ? 1 : all.twos > 0 ? 2 : 3);
}

static void pack_pieces(void (*pack)(const tic_amx_piece *), tic_amx_piece *pieces, int count) {
    if (!pieces[0].across) {
        pack_beside(pack, pieces, count);
        return;
    }
    for (int i = 0; i < count; i++)
        pack(&pieces[i]);
}

/* Row tiles first .. end - 1 of the slab. */
static void pack_a(const shape *s, const pass *p, packed_a a, int64_t first, int64_t end) {
    tic_amx_piece pieces[TILES_A_TASK];
    for (; first < end; first += TILES_A_TASK) {
        const int count = (int)tic_least(TILES_A_TASK, end - first);
        for (int i = 0; i < count; i++)
            pieces[i] = a_piece(s, p, a, first + i);
        pack_pieces(s->tier->packing->a, pieces, count);
    }
}

/* Group x of TILES_A_TASK column tiles of B. */
static void pack_b(const shape *s, const pass *p, int64_t x) {
    tic_amx_piece pieces[TILES_A_TASK];
    const int64_t first = x * TILES_A_TASK;
    const int count = (int)tic_least(TILES_A_TASK, 2 * s->panels - first);
    for (int i = 0; i < count; i++)
        pieces[i] = b_piece(s, p, first + i);
    pack_pieces(s->tier->packing->b, pieces, count);
}

/* ---- one band -------------------------------------------------------------------------------- */

/* Where a run's strips of A are: in the matrix, or packed. */
static void place_a(const shape *s, const pass *p, const run *r, packed_a a, tic_amx_band *call) {
    const tic_mat *from = &s->args->a;
    call->ahead = s->in_place && r->tile < p->packed;
    if (call->ahead) {
        const int64_t at = call->i0 * from->ld + p->step * TIC_TILE_K;
        call->a = (const unsigned char *)from->data + (size_t)at * 2;
        call->a_row = from->ld * 2;
        call->a_tile = TIC_TILE_ROWS * call->a_row;
        call->a_strip = r->rows * call->a_tile;
        call->a_step = TIC_TILE_K * 2;
        if (s->copies)
            call->copy = (unsigned char *)(call->sums + TIC_AMX_BLOCK) + s->partial_bytes;
    } else {
        call->a = a.to + (size_t)((r->tile - a.tile) * p->steps) * TIC_TILE_BYTES;
        call->a_row = TIC_TILE_BYTES / TIC_TILE_ROWS;
        call->a_tile = TIC_TILE_BYTES;
        call->a_strip = r->rows * p->steps * TIC_TILE_BYTES;
        call->a_step = r->rows * TIC_TILE_BYTES;
    }
}

/* A run of strips times panels, by `thread`; meanwhile `next` is asked for. */
static void do_run(tic_ctx *ctx, const shape *s, const pass *p, const run *r, packed_a a,
                   int64_t panel, int64_t panels, tic_amx_rows_ahead next, int thread) {
    const unsigned char *b = s->packed != NULL ? s->packed->data : s->b;
    unsigned char *own = s->own + (size_t)thread * s->own_bytes;
    tic_amx_band call = {
        .args = s->args,
        .accumulate = s->args->accumulate || p->step > 0,
        .i0 = p->row + r->tile * TIC_TILE_ROWS,
        .j0 = panel * TIC_AMX_PANEL,
        .strips = r->strips,
        .group = s->group,
        .panels = panels,
        .steps = p->steps,
        .chunk = s->chunk,
        .sums = (float *)(void *)own,
        .keep = KEPT / r->rows,
        .next = next,
    };
    place_a(s, p, r, a, &call);
    call.b_panel = (s->packed != NULL ? s->steps : p->steps) * TIC_AMX_PANEL_STEP;
    call.b = b + panel * call.b_panel;
    if (s->packed != NULL)
        call.b += p->step * TIC_AMX_PANEL_STEP;
    if (s->partial_bytes > 0)
        call.partial = call.sums + TIC_AMX_BLOCK;
    s->tier->band[r->rows - 1](&call);
    tic_count_issued(ctx, thread, ctx->gemm_op,
                     (uint64_t)(r->strips * r->rows * 2 * panels * p->steps) * TIC_TILE_MACS);
}

/* The strips first .. last - 1 times one range of columns. */
static void do_range(tic_ctx *ctx, const shape *s, const pass *p, int64_t first, int64_t last,
                     int64_t range, packed_a a, tic_amx_rows_ahead next) {
    const int thread = omp_get_thread_num();
    const int64_t panel = s->panels * range / p->ranges;
    const int64_t panels = s->panels * (range + 1) / p->ranges - panel;
    run runs[2];
    const int count = runs_of(cut_strips(p->tiles, s->height), first, last, runs);
    const int longer = count > 1 && runs[1].strips > runs[0].strips; /* asks for what comes next */
    for (int x = 0; x < count; x++) {
        const tic_amx_rows_ahead none = {.rows = 0};
        run standing = runs[x], rest = runs[x];
        standing.strips = 0;
        if (s->in_place)
            standing.strips =
                tic_most(0, tic_least(runs[x].strips, (p->packed - runs[x].tile) / runs[x].rows));
        rest.tile += standing.strips * standing.rows;
        rest.strips -= standing.strips;
        if (standing.strips > 0)
            do_run(ctx, s, p, &standing, a, panel, panels, none, thread);
        if (rest.strips > 0)
            do_run(ctx, s, p, &rest, a, panel, panels, x == longer ? next : none, thread);
    }
}

/* First row tile of strip x. */
static int64_t tile_of(strips all, int64_t x) {
    return all.ones > 0 ? x : 3 * tic_least(x, all.threes) + 2 * tic_most(0, x - all.threes);
}

/* Where A's columns, for dW, of row tiles first .. end - 1 stand. */
static tic_amx_rows_ahead source_of(const shape *s, const pass *p, int64_t first, int64_t end) {
    const tic_mat *a = &s->args->a;
    const int64_t size = (int64_t)tic_dtype_size(a->type), i = first * TIC_TILE_ROWS;
    const int64_t at = p->step * TIC_TILE_K * a->ld + p->row + i;
    return (tic_amx_rows_ahead){
        .from = (const char *)a->data + at * size,
        .rows = p->k,
        .step = a->ld * size,
        .bytes = (tic_least(end * TIC_TILE_ROWS, p->rows) - i) * size,
    };
}

/* Packs band `band` of A for this thread; *next: the rows behind it, which are most likely those of
 * its next band. */
static packed_a pack_own(const shape *s, const pass *p, int64_t band, tic_amx_rows_ahead *next) {
    const strips all = cut_strips(p->tiles, s->height);
    const int64_t count = all.threes + all.twos + all.ones;
    const int64_t first = tile_of(all, count * band / p->bands);
    const int64_t end = tile_of(all, count * (band + 1) / p->bands);
    const int64_t after = tile_of(all, count * tic_least(band + 2, p->bands) / p->bands);
    unsigned char *own = s->own + (size_t)omp_get_thread_num() * s->own_bytes;
    const packed_a a = {own + TIC_AMX_BLOCK * sizeof(float) + s->partial_bytes, first};
    if (after > end)
        *next = source_of(s, p, end, after);
    pack_a(s, p, a, first, end);
    return a;
}

static void do_band(tic_ctx *ctx, const shape *s, const pass *p, int64_t item) {
    packed_a a = {s->a, p->packed};
    tic_amx_rows_ahead next = {.rows = 0};
    int64_t range = item / p->bands, band = item % p->bands;
    if (!s->by_columns &&
        p->bands % p->threads == 0) { /* a thread's share: its bands, range by range */
        const int64_t own = p->bands / p->threads, in = item % (own * p->ranges);
        range = in / own;
        band = item / (own * p->ranges) * own + in % own;
    }
    if (s->own_a)
        a = pack_own(s, p, band, &next);
    const strips all = cut_strips(p->tiles, s->height);
    const int64_t count = all.threes + all.twos + all.ones;
    do_range(ctx, s, p, count * band / p->bands, count * (band + 1) / p->bands, range, a, next);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* Bands of whole strips and ranges of columns: bands a multiple of the threads where rows suffice,
 * as they are of one size; more ranges where they do not. */
static void share_out(const shape *s, int threads, pass *p) {
    strips all = cut_strips(p->tiles, s->height);
    int64_t strips_all = all.threes + all.twos + all.ones;
    int64_t wanted = threads == 1 ? 1 : (int64_t)threads * ITEMS_A_THREAD;
    p->threads = threads;
    p->ranges = tic_ceil_div(s->panels, s->range);
    if (s->by_columns) {
        p->ranges = tic_least(s->panels, tic_round_up(p->ranges, threads));
        p->bands = tic_most(tic_ceil_div(strips_all, s->band), tic_ceil_div(wanted, p->ranges));
        p->bands = tic_least(strips_all, p->bands);
        return;
    }
    p->bands = tic_ceil_div(strips_all, s->band);
    p->bands = tic_most(p->bands, tic_ceil_div(wanted, p->ranges));
    p->bands = tic_least(strips_all, tic_ceil_div(p->bands, threads) * threads);
    if (s->own_a) /* once */
        return;
    p->ranges = tic_least(s->panels, tic_most(p->ranges, tic_ceil_div(wanted, p->bands)));
}

/* Groups of tiles of A and of B, by all threads: each thread's share has its part of both. */
static void pack_all(tic_ctx *ctx, const shape *s, const pass *p) {
    const int64_t of_b = p->pack_b ? tic_ceil_div(2 * s->panels, TILES_A_TASK) : 0;
    const int64_t groups = of_b + tic_ceil_div(p->tiles - p->packed, TILES_A_TASK);
    if (groups == 0)
        return;
    tic_share_begin(ctx, 0, groups);
    for (int64_t x; (x = tic_share_take(ctx)) >= 0;) {
        const int64_t before = x * of_b / groups; /* groups of B before this one */
        if ((x + 1) * of_b / groups > before) {
            pack_b(s, p, before);
        } else {
            const int64_t first = p->packed + (x - before) * TILES_A_TASK;
            pack_a(s, p, (packed_a){s->a, p->packed}, first,
                   tic_least(first + TILES_A_TASK, p->tiles));
        }
    }
#pragma omp barrier
}

static void do_pass(tic_ctx *ctx, const shape *s, const pass *p) {
    pack_all(ctx, s, p);
    tic_share_begin(ctx, 0, p->bands * p->ranges);
    for (int64_t x; (x = tic_share_take(ctx)) >= 0;)
        do_band(ctx, s, p, x);
#pragma omp barrier
}

/* k = 0: the epilogue of zeros. */
static void finish_nothing(const tic_gemm_args *args) {
    static const float zeros[TIC_TILE_ROWS * TIC_TILE_COLS];
    for (int64_t i = 0; i < args->m; i += TIC_TILE_ROWS) {
        for (int64_t j = 0; j < args->n; j += TIC_TILE_COLS) {
            tic_gemm_tile tile = {.sums = zeros, .ld = TIC_TILE_COLS, .i0 = i, .j0 = j};
            tile.rows = (int)tic_least(TIC_TILE_ROWS, args->m - i);
            tile.cols = (int)tic_least(TIC_TILE_COLS, args->n - j);
            tic_gemm_vec_portable.finish(args, args->accumulate, &tile);
        }
    }
}

static tic_status run_tier(tic_ctx *ctx, const tic_gemm_amx *tier, const int *knobs,
                           const tic_gemm_args *args, tic_error *err) {
    shape s = plan_shape(ctx, tier, knobs, args);
    if (args->n == 0) /* nothing but column sums */
        return tic_gemm_ref(ctx, NULL, NULL, args, err);
    if (args->colsum != NULL && !args->accumulate)
        memset(args->colsum, 0, sizeof(float) * (size_t)args->m);
    if (args->m == 0)
        return TIC_OK;
    if (args->k == 0) {
        finish_nothing(args);
        return TIC_OK;
    }
    TIC_TRY(tic_ctx_scratch(ctx, scratch_bytes(ctx, &s), err));
    const size_t mark = tic_arena_mark(&ctx->scratch);
    s.a = tic_arena_take(&ctx->scratch, s.a_bytes);
    s.b = tic_arena_take(&ctx->scratch, s.b_bytes);
    s.own = tic_arena_take(&ctx->scratch, (size_t)ctx->threads * s.own_bytes);
    double macs = (double)args->m * (double)args->n * (double)args->k;
    int threads = macs < SERIAL_MACS ? 1 : ctx->threads;
#pragma omp parallel num_threads(threads) if (threads > 1)
    for (int64_t step = 0; step < s.steps; step += s.span) {
        for (int64_t row = 0; row < args->m; row += s.slab) {
            pass p = {.row = row,
                      .rows = tic_least(s.slab, args->m - row),
                      .step = step,
                      .steps = tic_least(s.span, s.steps - step),
                      .pack_b = s.packed == NULL && row == 0};
            p.tiles = tic_ceil_div(p.rows, TIC_TILE_ROWS);
            p.packed = first_packed(&s, &p);
            p.k = tic_least(p.steps * TIC_TILE_K, args->k - step * TIC_TILE_K);
            share_out(&s, threads, &p);
            do_pass(ctx, &s, &p);
        }
    }
    tic_arena_release(&ctx->scratch, mark);
    return TIC_OK;
}

static const tic_gemm_amx *tier_of(const tic_variant *variant) {
    return variant->run == tic_gemm_tiles ? &tic_gemm_amx_amx : &tic_gemm_amx_amx_emulated;
}

tic_status tic_gemm_tiles(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                          const void *args, tic_error *err) {
    return run_tier(ctx, tier_of(variant), knobs, args, err);
}

tic_status tic_gemm_tiles_emulated(tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                                   const void *args, tic_error *err) {
    return run_tier(ctx, tier_of(variant), knobs, args, err);
}

size_t tic_gemm_tiles_scratch(const tic_ctx *ctx, const tic_variant *variant, const int *knobs,
                              const tic_gemm_args *args) {
    shape s = plan_shape(ctx, tier_of(variant), knobs, args);
    return scratch_bytes(ctx, &s);
}
