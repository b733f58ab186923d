/* What could compute a problem, and what of it is worth measuring: every row of the registry that
 * takes the problem, times the values of its knobs that make different blocks, less those whose
 * blocks do not fit the caches and those whose unit is too slow, down to the most promising. */
#include "autotune/room.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the machine ---------------------------------------------------------------------------- */

tic_status tic_machine_measure(tic_machine *out, const tic_ctx *ctx, tic_error *err) {
    enum { TRIAD_BYTES = 96 << 20 };
    static const double warm = 0.15, sample = 0.01;
    const tic_cpu *cpu = tic_cpu_get();
    float *memory;
    *out = (tic_machine){.l1d = cpu->l1d,
                         .l2 = cpu->l2,
                         .l3 = cpu->l3,
                         .isa = tic_ctx_isa(ctx),
                         .threads = tic_ctx_threads(ctx)};
    TIC_TRY(tic_alloc(&memory, TRIAD_BYTES, 1, err));
    out->bandwidth = tic_triad_rate(memory, TRIAD_BYTES, out->threads, 0.1);
    tic_free(memory);
    for (int p = 0; p < TIC_PEAK_COUNT; p++) {
        if (p == TIC_PEAK_AMX)
            tic_peak_rate((tic_peak)p, out->isa, out->threads, warm);
        out->peak[p] = tic_peak_rate((tic_peak)p, out->isa, out->threads, sample);
    }
    unsigned avx2 = out->isa & TIC_ISA_AVX2;
    out->peak_avx2 = tic_peak_rate(TIC_PEAK_F32, avx2, out->threads, sample);
    out->peak_portable = tic_peak_rate(TIC_PEAK_F32, TIC_ISA_PORTABLE, out->threads, sample);
    return TIC_OK;
}

double tic_machine_limit(const tic_machine *machine, tic_variant_info variant,
                         tic_dtype precision) {
    const double f32 = variant.isa & TIC_ISA_AVX512 ? machine->peak[TIC_PEAK_F32]
                       : variant.isa & TIC_ISA_AVX2 ? machine->peak_avx2
                                                    : machine->peak_portable;
    if (precision == TIC_BF16 && variant.isa & TIC_ISA_AMX_BF16)
        return fmax(f32, machine->peak[TIC_PEAK_AMX]);
    if (precision == TIC_BF16 && variant.isa & TIC_ISA_AVX512_BF16)
        return fmax(f32, machine->peak[TIC_PEAK_VDPBF16]);
    return f32;
}

/* ---- the growing list ------------------------------------------------------------------------ */

typedef struct maker {
    const tic_search_space *space;
    tic_candidate *list;
    size_t count, capacity;
} maker;

static void write_line(tic_candidate *c) {
    const tic_knob *knobs;
    int knob_count = tic_variant_knobs(c->variant, &knobs);
    size_t used = (size_t)snprintf(c->line, sizeof c->line, "%s", tic_variant_get(c->variant).name);
    for (int i = 0; i < knob_count && used < sizeof c->line; i++)
        used += (size_t)snprintf(c->line + used, sizeof c->line - used, " %s=%d", knobs[i].name,
                                 c->knobs[i]);
}

static tic_status add(maker *m, int variant, const int knobs[TIC_MAX_KNOBS], tic_error *err) {
    tic_candidate c = {.variant = variant, .best = INFINITY};
    memcpy(c.knobs, knobs, sizeof c.knobs);
    write_line(&c);
    TIC_TRY(tic_reserve_one(&m->list, m->count, &m->capacity, sizeof c, err));
    m->list[m->count++] = c;
    return TIC_OK;
}

/* ---- values of knobs ------------------------------------------------------------------------- */

enum { MOST_VALUES = 8 };
typedef struct values {
    int list[MOST_VALUES], count;
    int64_t size; /* what the knob cuts into blocks; 0: nothing */
} values;

static int64_t blocks_of(const values *v, int value) {
    return v->size > 0 ? (v->size + value - 1) / value : value;
}

/* Unless another value makes as many blocks already. */
static void add_value(values *v, const tic_knob *knob, int64_t value) {
    value = value < knob->min ? knob->min : value > knob->max ? knob->max : value;
    for (int i = 0; i < v->count; i++)
        if (blocks_of(v, v->list[i]) == blocks_of(v, (int)value))
            return;
    if (v->count < MOST_VALUES)
        v->list[v->count++] = (int)value;
}

static int64_t whole(double value, int unit) {
    int64_t units = (int64_t)(value / unit);
    return (units > 0 ? units : 1) * unit;
}

typedef struct tile {
    int rows, columns;
    size_t element;
} tile;

/* Values of k in a block of the problem. */
static int64_t depth_of(const tic_problem *p, int variant, int64_t kc) {
    const int64_t most = tic_variant_block(variant, p, kc);
    return most < p->k ? most : p->k;
}

/* kc: k in 1, 2, 3, ... equal blocks, down to 128, but none longer than the variant takes. */
static void depth_values(values *v, const tic_knob *knob, const tic_problem *p, int variant) {
    static const int parts[] = {1, 2, 3, 4, 6, 8, 12};
    v->size = p->k;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        const int64_t kc = whole((double)((p->k + parts[i] - 1) / parts[i] + 15), 16);
        if (i > 0 && p->k / parts[i] < 128)
            continue;
        const int64_t block = tic_variant_block(variant, p, kc);
        const int64_t shipped = tic_variant_block(variant, p, knob->value);
        if (blocks_of(v, (int)block) != blocks_of(v, (int)shipped)) /* else they are the same */
            add_value(v, knob, block);
    }
}

/* mc: shares of L2 that A's block of kc columns may take. */
static void band_values(values *v, const tic_knob *knob, const tic_search_space *space,
                        const tile *t, int64_t kc) {
    static const double shares[] = {0.0625, 0.125, 0.25, 0.5};
    const int64_t m = space->problem->m;
    v->size = m;
    for (size_t i = 0; i < sizeof shares / sizeof shares[0]; i++) {
        double rows = shares[i] * (double)space->machine->l2 / ((double)kc * (double)t->element);
        add_value(v, knob, whole(rows < (double)m ? rows : (double)m, t->rows));
    }
}

/* nc: all of n, and ranges that leave B's block in a core's L2 or not far from it. */
static void range_values(values *v, const tic_knob *knob, int64_t n) {
    static const int parts[] = {1, 2, 4};
    v->size = n;
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (i == 0 || n / parts[i] >= 256)
            add_value(v, knob, (n / parts[i] + 63) / 64 * 64);
}

/* in_place, a_in_place: for all of C's columns or none, where there is anything to choose. */
static void in_place_values(values *v, const tic_knob *knob, int64_t columns, bool may) {
    if (!may) {
        add_value(v, knob, knob->value);
        return;
    }
    add_value(v, knob, columns);
    add_value(v, knob, knob->min);
}

/* Any other: the default, times and by 1.5, 2 and 4. */
static void other_values(values *v, const tic_knob *knob) {
    static const double factors[] = {0.25, 0.5, 0.75, 1.5, 2, 4};
    for (size_t i = 0; i < sizeof factors / sizeof factors[0]; i++)
        add_value(v, knob, (int64_t)(factors[i] * knob->value + 0.5));
}

static void knob_values(values *v, const tic_knob *knob, const tic_search_space *space, int variant,
                        const tile *t, const int *before) {
    const tic_problem *p = space->problem;
    *v = (values){.count = 0};
    if (p->op == TIC_OP_GEMM && strcmp(knob->name, "kc") == 0)
        depth_values(v, knob, p, variant);
    else if (p->op == TIC_OP_GEMM && strcmp(knob->name, "mc") == 0 && t->rows > 0)
        band_values(v, knob, space, t, depth_of(p, variant, before[0]));
    else if (p->op == TIC_OP_GEMM && strcmp(knob->name, "nc") == 0)
        range_values(v, knob, p->n);
    if (p->op == TIC_OP_GEMM && strcmp(knob->name, "in_place") == 0) { /* a weight comes packed */
        in_place_values(v, knob, p->n, p->trans == TIC_TN && space->precision == TIC_F32);
        return;
    }
    if (p->op == TIC_OP_GEMM && strcmp(knob->name, "a_in_place") == 0) {
        in_place_values(v, knob, p->n,
                        tic_variant_takes_a_in_place(variant, p, space->precision, before[0]));
        return;
    }
    add_value(v, knob, knob->value);
    if (v->count == 1 && v->size == 0)
        other_values(v, knob);
}

/* Every combination of values from knob `at` on. */
static tic_status combine(maker *m, int variant, const tile *t, int at, int *knobs,
                          tic_error *err) {
    const tic_knob *rows;
    values v;
    if (at == tic_variant_knobs(variant, &rows) || at == TIC_MAX_KNOBS)
        return add(m, variant, knobs, err);
    knob_values(&v, &rows[at], m->space, variant, t, knobs);
    for (int i = 0; i < v.count; i++) {
        knobs[at] = v.list[i];
        TIC_TRY(combine(m, variant, t, at + 1, knobs, err));
    }
    return TIC_OK;
}

/* ---- leaving out ----------------------------------------------------------------------------- */

static void drop(tic_candidate *c, tic_fate fate, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void drop(tic_candidate *c, tic_fate fate, const char *format, ...) {
    va_list list;
    c->fate = fate;
    va_start(list, format);
    vsnprintf(c->why, sizeof c->why, format, list);
    va_end(list);
}

static double mib(double bytes) {
    return bytes / (1 << 20);
}

static int64_t padded(int64_t size, int unit) {
    return unit > 0 ? (size + unit - 1) / unit * unit : size;
}

typedef struct blocks { /* of a gemm candidate, bytes; the sizes clipped to the problem's */
    double kc, mc, nc, panel_a, panel_b, block_a, block_b, macs;
} blocks;

static int knob_named(const tic_candidate *c, const char *name, int64_t size) {
    const tic_knob *knobs;
    int count = tic_variant_knobs(c->variant, &knobs);
    for (int i = 0; i < count; i++)
        if (strcmp(knobs[i].name, name) == 0 && c->knobs[i] < size)
            return c->knobs[i];
    return (int)size;
}

static bool find_blocks(const tic_candidate *c, const tic_problem *p, blocks *b) {
    tile t;
    if (p->op != TIC_OP_GEMM || !tic_variant_tile(c->variant, &t.rows, &t.columns, &t.element))
        return false;
    *b = (blocks){.kc = (double)depth_of(p, c->variant, knob_named(c, "kc", p->k)),
                  .mc = knob_named(c, "mc", p->m),
                  .nc = knob_named(c, "nc", p->n)};
    b->panel_a = t.rows * b->kc * (double)t.element;
    b->panel_b = t.columns * b->kc * (double)t.element;
    b->block_a = b->mc * b->kc * (double)t.element;
    b->block_b = b->nc * b->kc * (double)t.element;
    b->macs = (double)padded(p->m, t.rows) * (double)padded(p->n, t.columns) * (double)p->k;
    return true;
}

/* What must hold of blocks, whatever the micro-kernel: A's block stays in half of L2 beside what
 * passes through, B's in L3. */
static void drop_misfits(tic_candidate *c, const tic_machine *machine, const tic_problem *p) {
    blocks b;
    if (!find_blocks(c, p, &b))
        return;
    if (machine->l2 > 0 && b.block_a > 0.75 * (double)machine->l2)
        drop(c, TIC_PRUNED, "A's block of %.2f MiB leaves too little of L2 (%.2f MiB)",
             mib(b.block_a), mib((double)machine->l2));
    else if (machine->l3 > 0 && b.block_b > (double)machine->l3)
        drop(c, TIC_PRUNED, "B's block of %.1f MiB does not fit L3 (%.1f MiB)", mib(b.block_b),
             mib((double)machine->l3));
}

/* In steps of a third: the order of promise does not follow what was measured to the last percent,
 * so that a second tuning tries the same candidates. */
static double in_steps(double rate) {
    return rate > 0 ? exp2(round(2.5 * log2(rate)) / 2.5) : rate;
}

/* Seconds that the candidate may take by the roofline of its unit, with a price for what does not
 * fit where it should: only an order of promise. */
static double estimate(const tic_candidate *c, const tic_search_space *space) {
    const tic_machine *machine = space->machine;
    const tic_problem *p = space->problem;
    const double limit =
        in_steps(tic_machine_limit(machine, tic_variant_get(c->variant), space->precision)) * 1e9;
    blocks b;
    if (limit <= 0 || !find_blocks(c, p, &b))
        return limit > 0 ? 1 / limit : INFINITY;
    const double l1 = (double)machine->l1d, element = b.panel_a > 0 ? 4 : 1;
    double cost = b.macs / limit;
    /* panels past L1 come from L2, a sixteenth of the speed for the part that is over */
    if (l1 > 0 && b.panel_a + b.panel_b > l1)
        cost *= 1 + 0.04 * fmin(4, (b.panel_a + b.panel_b) / l1 - 1);
    /* short panels: loads and stores of the tile's sums are not paid for */
    cost *= 1 + 16 / b.kc;
    /* C is gathered once more for every block of k, A packed again for every range of columns */
    double again = (double)p->m * (double)p->n * 2 * element * (ceil((double)p->k / b.kc) - 1);
    again += (double)p->m * (double)p->k * element * (ceil((double)p->n / b.nc) - 1);
    cost += again / (in_steps(machine->bandwidth) * 4e9);
    /* a narrow band uses a panel of B too few times */
    return cost * (1 + 8 / b.mc);
}

/* A unit a quarter faster than it was measured must still be able to win. */
static void drop_slow_units(tic_candidate *c, const tic_search_space *space, double macs) {
    const tic_variant_info info = tic_variant_get(c->variant);
    const double limit = tic_machine_limit(space->machine, info, space->precision);
    const double least = limit > 0 ? macs / (limit * 1e9) : 0;
    if (space->seconds > 0 && least > 1.25 * space->seconds)
        drop(c, TIC_PRUNED, "its unit reaches %.0f GMAC/s: %.3g ms at best, the default needs %.3g",
             limit, 1e3 * least, 1e3 * space->seconds);
}

typedef struct promise {
    double cost;
    size_t at;
    bool kept;
} promise;

static int by_cost(const void *a, const void *b) {
    const promise *x = a, *y = b;
    return x->cost < y->cost ? -1 : x->cost > y->cost ? 1 : x->at < y->at ? -1 : x->at > y->at;
}

/* Of every variant the most promising, then the most promising of all, up to the limit. */
static void keep_best(const tic_candidate *list, promise *order, size_t live, int limit) {
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < live && limit > 0; i++) {
            bool repeated = false;
            for (size_t j = 0; j < i && !repeated; j++)
                repeated = list[order[j].at].variant == list[order[i].at].variant;
            if (order[i].kept || (pass == 0 && repeated))
                continue;
            order[i].kept = true;
            limit--;
        }
}

static tic_status drop_unlikely(maker *m, tic_error *err) {
    promise *order = NULL;
    size_t live = 0;
    TIC_TRY(tic_alloc(&order, m->count, sizeof *order, err));
    for (size_t i = 1; i < m->count; i++)
        if (m->list[i].fate == TIC_MEASURED)
            order[live++] = (promise){estimate(&m->list[i], m->space), i, false};
    qsort(order, live, sizeof *order, by_cost);
    keep_best(m->list, order, live, m->space->limit - 1);
    for (size_t i = 0; i < live; i++)
        if (!order[i].kept)
            drop(&m->list[order[i].at], TIC_PRUNED,
                 "%.0f %% behind the most promising by the roofline",
                 100 * (order[i].cost / order[0].cost - 1));
    tic_free(order);
    return TIC_OK;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static tic_status add_choice(maker *m, const tic_ctx *ctx, tic_error *err) {
    const tic_search_space *s = m->space;
    int variant, knobs[TIC_MAX_KNOBS] = {0};
    TIC_TRY(
        tic_ctx_choice(ctx, s->problem->op, s->precision, s->shape, s->args, &variant, knobs, err));
    return add(m, variant, knobs, err);
}

static tic_status add_variant(maker *m, int i, tic_error *err) {
    const tic_search_space *s = m->space;
    int knobs[TIC_MAX_KNOBS] = {0};
    tile t = {0};
    const char *reason = tic_variant_declines(s->ctx, i, s->precision, s->args);
    if (strcmp(tic_variant_get(i).name, "ref") == 0)
        reason = "the reference: what the others are checked against";
    if (reason != NULL) {
        const tic_knob *defaults;
        int count = tic_variant_knobs(i, &defaults);
        for (int k = 0; k < count; k++)
            knobs[k] = defaults[k].value;
        TIC_TRY(add(m, i, knobs, err));
        drop(&m->list[m->count - 1], TIC_DECLINED, "%s", reason);
        return TIC_OK;
    }
    tic_variant_tile(i, &t.rows, &t.columns, &t.element);
    return combine(m, i, &t, 0, knobs, err);
}

static void drop_repeated_default(maker *m) {
    for (size_t i = 1; i < m->count; i++)
        if (m->list[i].variant == m->list[0].variant &&
            memcmp(m->list[i].knobs, m->list[0].knobs, sizeof m->list[0].knobs) == 0) {
            m->list[i] = m->list[--m->count];
            return;
        }
}

static double logical(const tic_problem *p) {
    return p->op == TIC_OP_GEMM ? (double)p->m * (double)p->n * (double)p->k : 0;
}

tic_status tic_candidates_make(tic_candidate **list, int *count, const tic_search_space *space,
                               tic_error *err) {
    maker m = {.space = space};
    tic_status status = add_choice(&m, space->ctx, err);
    for (int i = 0; i < tic_variant_count() && status == TIC_OK; i++)
        if (tic_variant_get(i).op == space->problem->op)
            status = add_variant(&m, i, err);
    if (status == TIC_OK)
        drop_repeated_default(&m);
    for (size_t i = 1; i < m.count && status == TIC_OK; i++) {
        tic_candidate *c = &m.list[i];
        if (c->fate == TIC_MEASURED)
            drop_misfits(c, space->machine, space->problem);
        if (c->fate == TIC_MEASURED)
            drop_slow_units(c, space, logical(space->problem));
    }
    if (status == TIC_OK)
        status = drop_unlikely(&m, err);
    if (status != TIC_OK)
        tic_free(m.list);
    *list = status == TIC_OK ? m.list : NULL;
    *count = status == TIC_OK ? (int)m.count : 0;
    return status;
}

tic_status tic_candidates_pair(tic_candidate **list, int *count, const tic_search_space *space,
                               tic_ctx *rival, tic_operands *operands, tic_error *err) {
    maker m = {.space = space};
    tic_status status = add_choice(&m, space->ctx, err);
    if (status == TIC_OK) /* a packing decides who can read it */
        status = tic_operands_pack(operands, rival, err);
    if (status == TIC_OK)
        status = add_choice(&m, rival, err);
    if (status == TIC_OK)
        drop_repeated_default(&m);
    else
        tic_free(m.list);
    *list = status == TIC_OK ? m.list : NULL;
    *count = status == TIC_OK ? (int)m.count : 0;
    return status;
}
