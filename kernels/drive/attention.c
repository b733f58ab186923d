/* Attention: entry points, and what its drivers share. */
#include "kernels/drive/attention.h"

#include <stdio.h>

/* ---- tasks ---------------------------------------------------------------------------------- */

enum { UNIT_BYTES = 256 << 10 }; /* of all operands: two units fit in a small second-level cache */

void tic_attention_longest(const tic_attention_args *a, int64_t *queries, int64_t *keys) {
    *queries = *keys = 0;
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t q = a->q_offsets[s + 1] - a->q_offsets[s];
        int64_t k = a->kv_offsets[s + 1] - a->kv_offsets[s];
        *queries = q > *queries ? q : *queries;
        *keys = k > *keys ? k : *keys;
    }
}

tic_attention_units tic_attention_units_of(const tic_attention_args *a, int64_t ahead, int threads,
                                           tic_attention_range *ranges) {
    const int64_t rows = 4 * (int64_t)(a->q_offsets[a->sequences] + a->kv_offsets[a->sequences]);
    const int64_t bytes = rows / a->sequences * a->head_dim * (int64_t)tic_dtype_size(a->q.type);
    int64_t heads = UNIT_BYTES / (bytes + 1);
    /* a few units a thread at least */
    const int64_t shared = a->sequences * a->heads / (4 * (int64_t)threads);
    heads = heads < shared ? heads : shared;
    heads = heads < 1 ? 1 : heads < a->heads ? heads : a->heads;
    const int64_t parts = (a->heads + heads - 1) / heads;
    heads = (a->heads + parts - 1) / parts;
    const int64_t count = a->sequences * ((a->heads + heads - 1) / heads);
    for (int i = 0; i < threads; i++)
        ranges[i].left =
            (uint64_t)(count * i / threads) << 32 | (uint64_t)(count * (i + 1) / threads);
    return (tic_attention_units){heads, count, ahead, threads, ranges};
}

/* From the front of the thread's own range, or, when that is empty, from the end of another. */
static int64_t take_unit(const tic_attention_units *units, int thread) {
    for (int i = 0; i < units->threads; i++) {
        const int owner = (thread + i) % units->threads;
        uint64_t *range = &units->ranges[owner].left;
        uint64_t left = __atomic_load_n(range, __ATOMIC_RELAXED);
        for (;;) {
            const uint64_t front = left >> 32, end = left & UINT32_MAX;
            if (front >= end)
                break;
            const uint64_t rest = i == 0 ? (front + 1) << 32 | end : front << 32 | (end - 1);
            if (__atomic_compare_exchange_n(range, &left, rest, true, __ATOMIC_RELAXED,
                                            __ATOMIC_RELAXED))
                return (int64_t)(i == 0 ? front : end - 1);
        }
    }
    return -1;
}

static void enter_unit(tic_attention_task *t, const tic_attention_units *units, int64_t unit) {
    const tic_attention_args *a = t->a;
    const int64_t parts = (a->heads + units->heads - 1) / units->heads, s = unit / parts;
    const int64_t head = unit % parts * units->heads;
    t->head = (int)head;
    t->end = (int)(head + units->heads < a->heads ? head + units->heads : a->heads);
    t->first_query = a->q_offsets[s];
    t->queries = a->q_offsets[s + 1] - t->first_query;
    t->first_key = a->kv_offsets[s];
    t->keys = a->kv_offsets[s + 1] - t->first_key;
}

/* Lists the operands of `unit`: those that are read, and those that are written, whose lines a
 * store would have to wait for too. */
static void list_ahead(tic_attention_task *t, const tic_attention_units *units, int64_t unit,
                       bool backward) {
    const tic_attention_args *a = t->a;
    tic_attention_task next = {.a = a};
    enter_unit(&next, units, unit);
    const int64_t element = (int64_t)tic_dtype_size(a->q.type);
    const tic_mat mats[] = {a->k, a->v, a->q, backward ? a->d_o : a->o, a->dk, a->dv, a->dq};
    const bool by_key[] = {true, true, false, false, true, true, false};
    tic_attention_ahead *h = &t->ahead;
    const int64_t tiles = h->tiles > 0 ? h->tiles : 16;
    int64_t lines = 0;
    *h = (tic_attention_ahead){.count = next.keys < units->ahead ? 0 : backward ? 7 : 4};
    for (int i = 0; i < h->count; i++) {
        const int64_t row = by_key[i] ? next.first_key : next.first_query;
        h->operands[i] =
            (tic_attention_operand){tic_mat_row(mats[i], row, (int64_t)next.head * a->head_dim),
                                    by_key[i] ? next.keys : next.queries, mats[i].ld * element,
                                    (next.end - next.head) * a->head_dim * element};
        lines += h->operands[i].rows * (h->operands[i].width / 64 + 1);
    }
    h->budget = lines / tiles + 1;
}

bool tic_attention_next(tic_attention_task *t, const tic_attention_units *units, bool backward) {
    if (++t->head >= t->end) {
        const int64_t unit = t->end == 0 ? take_unit(units, t->thread) : t->taken;
        if (unit < 0)
            return false;
        enter_unit(t, units, unit);
        t->taken = take_unit(units, t->thread);
        if (t->taken >= 0)
            list_ahead(t, units, t->taken, backward);
        else
            t->ahead.count = 0;
    }
    t->column = (int64_t)t->head * t->a->head_dim;
    return true;
}

size_t tic_attention_scratch(const tic_ctx *ctx, int64_t max_q, int64_t max_kv, int head_dim) {
    const size_t f32 = tic_attention_f32_scratch(ctx, max_q, max_kv, head_dim);
    const size_t bf16 = tic_attention_bf16_scratch(ctx, max_q, max_kv, head_dim);
    return f32 > bf16 ? f32 : bf16;
}

/* ---- entry points --------------------------------------------------------------------------- */

static tic_status check_sequences(const tic_attention_args *a, tic_error *err) {
    if (!a->q_offsets || !a->kv_offsets || a->q_offsets[0] != 0 || a->kv_offsets[0] != 0)
        return tic_fail(err, TIC_EUSAGE, "attention: offsets must be given and start at 0");
    for (int64_t s = 0; s < a->sequences; s++) {
        int64_t q = (int64_t)a->q_offsets[s + 1] - a->q_offsets[s];
        int64_t k = (int64_t)a->kv_offsets[s + 1] - a->kv_offsets[s];
        if (q < 1 || k < 1 || (a->causal && q > k))
            return tic_fail(err, TIC_EUSAGE, "attention: sequence %lld has %lld queries, %lld keys",
                            (long long)s, (long long)q, (long long)k);
    }
    return TIC_OK;
}

static tic_status check_mats(const tic_attention_args *a, const tic_mat *mats, int count,
                             tic_error *err) {
    for (int i = 0; i < count; i++)
        if (!mats[i].data || mats[i].type != a->q.type ||
            mats[i].ld < (int64_t)a->heads * a->head_dim)
            return tic_fail(err, TIC_EUSAGE,
                            "attention: operand %d is missing, too narrow or of another type", i);
    return TIC_OK;
}

static tic_status enter(tic_ctx *ctx, const tic_attention_args *a, bool backward, tic_error *err) {
    const tic_mat mats[] = {a->q, a->k, a->v, a->o, a->d_o, a->dq, a->dk, a->dv};
    if (a->sequences < 0 || a->heads < 1 || a->head_dim < 1)
        return tic_fail(err, TIC_EUSAGE, "attention: %lld sequences, %d heads of %d",
                        (long long)a->sequences, a->heads, a->head_dim);
    if (a->sequences == 0)
        return TIC_OK;
    TIC_TRY(check_sequences(a, err));
    TIC_TRY(check_mats(a, mats, backward ? 8 : 4, err));
    if (backward && !a->lse)
        return tic_fail(err, TIC_EUSAGE, "attention_backward: needs forward's lse");
    int64_t queries, keys;
    tic_attention_longest(a, &queries, &keys);
    char shape[96];
    snprintf(shape, sizeof shape, "s%lld,h%d,d%d,q%lld,k%lld%s", (long long)a->sequences, a->heads,
             a->head_dim, (long long)queries, (long long)keys, a->causal ? ",causal" : "");
    const tic_op op = backward ? TIC_OP_ATTENTION_BACKWARD : TIC_OP_ATTENTION;
    tic_count_logical(ctx, op, tic_attention_macs(a, backward));
    return tic_dispatch(ctx, op, a->q.type, shape, a, err);
}

tic_status tic_attention(tic_ctx *ctx, const tic_attention_args *args, tic_error *err) {
    return enter(ctx, args, false, err);
}

tic_status tic_attention_backward(tic_ctx *ctx, const tic_attention_args *args, tic_error *err) {
    return enter(ctx, args, true, err);
}

uint64_t tic_attention_macs(const tic_attention_args *a, bool backward) {
    uint64_t pairs = 0; /* of a query and a key that it sees */
    for (int64_t s = 0; s < a->sequences; s++) {
        uint64_t q = (uint64_t)(a->q_offsets[s + 1] - a->q_offsets[s]);
        uint64_t k = (uint64_t)(a->kv_offsets[s + 1] - a->kv_offsets[s]);
        pairs += a->causal ? q * (k - q) + q * (q + 1) / 2 : q * k;
    }
    return pairs * (uint64_t)a->heads * (uint64_t)a->head_dim * (backward ? 4 : 2);
}
