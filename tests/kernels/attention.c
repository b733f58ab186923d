/* Attention, forward and backward: every variant against the reference, gradients against
 * differences, equal bits for any number of threads. Edges: attention_edges.c. */
#include "attention.h"

static const problem problems[] = {
    {1, 1, 8, false, TIC_F32, 0, {1}, {0}, 0},
    {3, 2, 64, false, TIC_F32, 0, {4, 20, 7}, {0}, 0},
    {3, 2, 64, true, TIC_F32, 3, {4, 20, 13}, {0}, 0},
    {2, 3, 24, true, TIC_F32, 1, {77, 31}, {0}, 0},
    {1, 2, 64, false, TIC_F32, 64, {197}, {0}, 0},
    {2, 1, 80, false, TIC_F32, 0, {50, 101}, {0}, 0},
    {2, 1, 128, true, TIC_F32, 0, {65, 256}, {0}, 0},
    {2, 2, 16, true, TIC_F32, 5, {1, 3}, {50, 11}, 0},
    {2, 2, 64, false, TIC_F32, 0, {1, 1}, {197, 2}, 0},
    {2, 1, 13, false, TIC_F32, 2, {17, 5}, {3, 41}, 0},
    {3, 2, 64, true, TIC_BF16, 0, {16, 77, 5}, {0}, 0},
    {1, 2, 32, false, TIC_BF16, 7, {50}, {0}, 0},
    {2, 1, 64, false, TIC_BF16, 0, {197, 20}, {0}, 0},
    {2, 2, 64, true, TIC_BF16, 3, {1, 70}, {50, 110}, 0},
    {3, 2, 24, true, TIC_BF16, 1, {33, 1, 16}, {0}, 0},
    {2, 1, 80, false, TIC_BF16, 0, {1, 12}, {1, 97}, 0},
};
enum { PROBLEMS = sizeof problems / sizeof problems[0] };

Test(attention, every_variant_against_the_reference) {
    tic_ctx *ctx = check_ctx(2);
    for (int i = 0; i < PROBLEMS; i++)
        against_reference(ctx, &problems[i]);
    tic_ctx_free(ctx);
}

Test(attention, gaps_between_rows_are_left_alone) {
    static const int chosen[] = {2, 11};
    tic_ctx *ctx = check_ctx(1);
    for (int i = 0; i < 2; i++) {
        const problem *p = &problems[chosen[i]];
        operands x = make(p);
        const int64_t used = x.ld - p->extra;
        for (int v = -1; (v = next_for(ctx, p->type, v)) >= 0;) {
            tic_attention_args a = with_outputs(&x);
            both(ctx, &a, tic_variant_get(v).name);
            const tic_mat outputs[] = {a.o, a.dq, a.dk, a.dv};
            for (int m = 0; m < 4; m++)
                for (int64_t r = 0; r < x.rows_q; r++)
                    for (int64_t j = used; j < x.ld; j++)
                        cr_assert_eq(element(outputs[m], r * x.ld + j), 0);
        }
    }
    tic_ctx_free(ctx);
}

static double loss(void *state) {
    static tic_ctx *ctx;
    operands *x = state;
    tic_attention_args *a = &x->args;
    if (!ctx) {
        ctx = check_ctx(1);
        force(ctx, TIC_OP_ATTENTION, "ref");
    }
    CHECK_OK(tic_attention(ctx, a, err));
    return weighted(a->o.data, a->d_o.data, x->n_q);
}

Test(attention, gradients_are_those_of_the_forward_pass) {
    static const int chosen[] = {1, 2, 7, 9};
    tic_ctx *ctx = check_ctx(2);
    for (int i = 0; i < 4; i++) {
        operands x = make(&problems[chosen[i]]);
        x.args = with_outputs(&x);
        for (int v = -1; (v = next_for(ctx, TIC_F32, v)) >= 0;) {
            both(ctx, &x.args, tic_variant_get(v).name);
            gradient_of(loss, &x, x.args.q.data, x.n_q, x.args.dq.data, 0x1p-7, "dq");
            gradient_of(loss, &x, x.args.k.data, x.n_kv, x.args.dk.data, 0x1p-7, "dk");
            gradient_of(loss, &x, x.args.v.data, x.n_kv, x.args.dv.data, 0x1p-7, "dv");
        }
    }
    tic_ctx_free(ctx);
}

Test(attention, bits_do_not_depend_on_threads) {
    static const int chosen[] = {3, 10};
    for (int i = 0; i < 2; i++) {
        const problem *p = &problems[chosen[i]];
        operands x = make(p);
        const size_t q = (size_t)x.n_q * tic_dtype_size(p->type);
        const size_t kv = (size_t)x.n_kv * tic_dtype_size(p->type);
        tic_ctx *list = check_ctx(1);
        for (int v = -1; (v = next_for(list, p->type, v)) >= 0;) {
            tic_attention_args want = {0};
            for (int n = 0; n < THREAD_COUNTS; n++) {
                tic_ctx *ctx = check_ctx(thread_counts[n]);
                tic_attention_args a = with_outputs(&x);
                both(ctx, &a, tic_variant_get(v).name);
                if (n == 0)
                    want = a;
                same_bits(a.o.data, want.o.data, q, "o", thread_counts[n]);
                same_bits(a.dq.data, want.dq.data, q, "dq", thread_counts[n]);
                same_bits(a.dk.data, want.dk.data, kv, "dk", thread_counts[n]);
                same_bits(a.dv.data, want.dv.data, kv, "dv", thread_counts[n]);
                tic_ctx_free(ctx);
            }
        }
        tic_ctx_free(list);
    }
}

static int next_variant(tic_dtype type, int v) {
    tic_ctx *ctx = check_ctx(1);
    v = next_for(ctx, type, v);
    tic_ctx_free(ctx);
    return v;
}

Test(attention, counts_and_scratch) {
    for (int i = 0; i < PROBLEMS; i++) {
        operands x = make(&problems[i]);
        tic_attention_args a = with_outputs(&x);
        int64_t q = 0, kv = 0;
        for (int s = 0; s < problems[i].sequences; s++) {
            int64_t rows = x.q_offsets[s + 1] - x.q_offsets[s];
            int64_t keys = x.kv_offsets[s + 1] - x.kv_offsets[s];
            q = rows > q ? rows : q;
            kv = keys > kv ? keys : kv;
        }
        for (int v = -1; (v = next_variant(problems[i].type, v)) >= 0;) {
            tic_ctx *ctx = check_ctx(3);
            CHECK_OK(tic_ctx_reserve(ctx, tic_attention_scratch(ctx, q, kv, problems[i].d), err));
            both(ctx, &a, tic_variant_get(v).name);
            cr_assert_eq(tic_ctx_growths(ctx), 0);
            tic_counters counters;
            tic_ctx_counters(ctx, &counters);
            const tic_macs forward = counters.by[TIC_FOR_FORWARD][TIC_OP_ATTENTION];
            const tic_macs backward = counters.by[TIC_FOR_FORWARD][TIC_OP_ATTENTION_BACKWARD];
            cr_assert_eq(forward.logical, tic_attention_macs(&a, false));
            cr_assert_eq(backward.logical, 2 * forward.logical);
            cr_assert_geq(forward.issued, forward.logical);
            cr_assert_geq(4 * backward.issued, 5 * backward.logical);
            tic_ctx_free(ctx);
        }
    }
    /* 2 sequences x 1 head, one visible pair each way of 4 elements: by hand */
    const int32_t offsets[] = {0, 2, 5};
    const tic_attention_args hand = {.sequences = 2,
                                     .q_offsets = offsets,
                                     .kv_offsets = offsets,
                                     .heads = 3,
                                     .head_dim = 4,
                                     .causal = true};
    cr_assert_eq(tic_attention_macs(&hand, false), (3 + 6) * 3 * 4 * 2);
}

Test(attention, impossible_arguments_are_refused) {
    tic_ctx *ctx = check_ctx(1);
    operands x = make(&problems[2]);
    const tic_attention_args good = with_outputs(&x);
    tic_attention_args a = good;
    a.heads = 0;
    CHECK_FAILS(TIC_EUSAGE, "0 heads", tic_attention(ctx, &a, err));
    a = good;
    a.k.ld = 100;
    CHECK_FAILS(TIC_EUSAGE, "operand 1", tic_attention(ctx, &a, err));
    a = good;
    a.v.type = TIC_BF16;
    CHECK_FAILS(TIC_EUSAGE, "operand 2", tic_attention(ctx, &a, err));
    a = good;
    a.lse = NULL;
    CHECK_OK(tic_attention(ctx, &a, err));
    CHECK_FAILS(TIC_EUSAGE, "lse", tic_attention_backward(ctx, &a, err));
    a = good;
    a.kv_offsets = (const int32_t[]){0, 3, 23, 36}; /* causal with more queries than keys */
    CHECK_FAILS(TIC_EUSAGE, "sequence 0", tic_attention(ctx, &a, err));
    tic_ctx_free(ctx);
}
