/* Attention at the edges: every length, strides and alignments, what is not finite, denormals,
 * counters to the MAC. */
#include "attention.h"

/* Lengths around one and two vectors, tiles and blocks of every variant, and primes beyond. */
static void every_length(tic_dtype type, bool causal) {
    static const int dims[] = {16, 32, 64, 80}, beyond[] = {47, 61, 97, 127, 197, 257};
    tic_ctx *ctx = check_ctx(2);
    for (int length = 1; length <= 40; length++)
        against_reference(
            ctx, &(problem){2, 1, dims[length % 4], causal, type, 0, {length, 1}, {0, length}, 0});
    for (int i = 0; i < 6; i++)
        against_reference(ctx, &(problem){1, 1, dims[i % 4], causal, type, 0, {beyond[i]}, {0}, 0});
    tic_ctx_free(ctx);
}

Test(attention_edges, every_length_f32) {
    every_length(TIC_F32, false);
}
Test(attention_edges, every_length_f32_causal) {
    every_length(TIC_F32, true);
}
Test(attention_edges, every_length_bf16) {
    every_length(TIC_BF16, false);
}
Test(attention_edges, every_length_bf16_causal) {
    every_length(TIC_BF16, true);
}

Test(attention_edges, scales_of_either_sign_and_none) {
    static const float scales[] = {-0.3f, 1e-30f, 2};
    tic_ctx *ctx = check_ctx(1);
    for (int i = 0; i < 3; i++)
        for (int type = TIC_F32; type <= TIC_BF16; type++)
            against_reference(
                ctx, &(problem){2, 2, 64, true, (tic_dtype)type, 0, {20, 37}, {0}, scales[i]});
    tic_ctx_free(ctx);
}

/* q, k and v are columns of one matrix, as in the model, at an odd offset, so that no row is
 * aligned, and its last row ends at a page that nobody may touch; so for the gradients. */
Test(attention_edges, columns_of_one_matrix_unaligned) {
    tic_ctx *ctx = check_ctx(2);
    const int64_t rows = 53, heads = 2, d = 64, width = heads * d, ld = 3 * width + 1;
    const int32_t offsets[] = {0, 20, 53};
    for (int type = TIC_F32; type <= TIC_BF16; type++) {
        const problem p = {2, 2, 64, true, (tic_dtype)type, 0, {20, 33}, {0}, 0};
        operands x = make(&p);
        tic_attention_args want = with_outputs(&x);
        both(ctx, &want, "ref");
        const bounds fine = bounds_of(&x, &want, false), coarse = bounds_of(&x, &want, true);
        for (int v = -1; (v = next_for(ctx, p.type, v)) >= 0;) {
            tic_attention_args got = with_outputs(&x);
            const size_t element_bytes = tic_dtype_size(p.type);
            const tic_mat from[] = {want.q, want.k, want.v};
            tic_mat *const in[] = {&got.q, &got.k, &got.v}, *const out[] = {&got.dq, &got.dk,
                                                                            &got.dv};
            const tic_mat qkv = mat_of(zeros(rows * ld), rows, ld, p.type);
            const tic_mat dqkv = mat_of(zeros(rows * ld), rows, ld, p.type);
            for (int m = 0; m < 3; m++) {
                const size_t at = (size_t)(1 + m * width) * element_bytes;
                *in[m] = (tic_mat){(char *)qkv.data + at, p.type, ld};
                *out[m] = (tic_mat){(char *)dqkv.data + at, p.type, ld};
                for (int64_t r = 0; r < rows; r++)
                    memcpy((char *)in[m]->data + (size_t)(r * ld) * element_bytes,
                           (char *)from[m].data + (size_t)(r * width) * element_bytes,
                           (size_t)width * element_bytes);
            }
            got.q_offsets = got.kv_offsets = offsets;
            both(ctx, &got, tic_variant_get(v).name);
            for (int m = 0; m < 3; m++) { /* dense again, for the comparison */
                const tic_mat dense = mat_of(zeros(rows * width), rows, width, p.type);
                for (int64_t r = 0; r < rows; r++)
                    memcpy((char *)dense.data + (size_t)(r * width) * element_bytes,
                           (char *)out[m]->data + (size_t)(r * ld) * element_bytes,
                           (size_t)width * element_bytes);
                *out[m] = dense;
                for (int64_t r = 0; r < rows; r++)
                    cr_assert_eq(element(dqkv, r * ld), 0, "the column between was written");
            }
            compare(&x, tic_variant_get(v).name, &got, &want, multiplies_bf16(v) ? &coarse : &fine);
        }
    }
    tic_ctx_free(ctx);
}

static void set(tic_mat m, int64_t i, float x) {
    if (m.type == TIC_F32)
        ((float *)m.data)[i] = x;
    else
        ((tic_bf16 *)m.data)[i] = tic_to_bf16(x);
}

Test(attention_edges, scores_far_apart_and_not_finite) {
    tic_ctx *ctx = check_ctx(1);
    for (int type = TIC_F32; type <= TIC_BF16; type++)
        for (int v = -1; (v = next_for(ctx, (tic_dtype)type, v)) >= 0;) {
            const problem p = {3, 2, 64, false, (tic_dtype)type, 0, {4, 20, 7}, {0}, 400};
            operands x = make(&p); /* scores in the thousands: softmax is all but one-hot */
            tic_attention_args a = with_outputs(&x);
            both(ctx, &a, tic_variant_get(v).name);
            for (int64_t i = 0; i < x.n_q; i++)
                cr_assert(isfinite(element(a.o, i)) && isfinite(element(a.dq, i)));
            set(x.args.k, 5 * x.ld, NAN);           /* sequence 1, head 0 */
            set(x.args.v, 5 * x.ld + 64, INFINITY); /* head 1 */
            a = with_outputs(&x);
            both(ctx, &a, tic_variant_get(v).name);
            for (int64_t i = 0; i < x.n_q; i++) {
                const int64_t row = i / x.ld, column = i % x.ld;
                const bool in = row >= x.q_offsets[1] && row < x.q_offsets[2];
                if (in && column < 64)
                    cr_assert(isnan(element(a.o, i)) && isnan(element(a.dq, i)));
                else if (in && column == 64)
                    cr_assert(!isfinite(element(a.o, i)));
                else
                    cr_assert(isfinite(element(a.o, i)));
                if (!in)
                    cr_assert(isfinite(element(a.dq, i)) && isfinite(element(a.dk, i)) &&
                              isfinite(element(a.dv, i)));
            }
        }
    tic_ctx_free(ctx);
}

/* A key with a score of -inf has no weight and spoils nothing. */
Test(attention_edges, minus_infinity_is_no_weight) {
    tic_ctx *ctx = check_ctx(1);
    for (int type = TIC_F32; type <= TIC_BF16; type++) {
        const problem p = {1, 1, 32, true, (tic_dtype)type, 0, {37}, {0}, 0};
        operands x = make(&p);
        for (int64_t r = 0; r < x.rows_q; r++)
            set(x.args.q, r * x.ld, 1);
        set(x.args.k, 3 * x.ld, -INFINITY);
        set(x.args.k, 17 * x.ld, -INFINITY);
        tic_attention_args want = with_outputs(&x);
        force(ctx, TIC_OP_ATTENTION, "ref");
        CHECK_OK(tic_attention(ctx, &want, err));
        for (int v = -1; (v = next_for(ctx, p.type, v)) >= 0;) {
            tic_attention_args got = with_outputs(&x);
            force(ctx, TIC_OP_ATTENTION, tic_variant_get(v).name);
            CHECK_OK(tic_attention(ctx, &got, err));
            const double error = p.type == TIC_BF16 ? 4 * EPS_BF16 : 64 * EPS;
            for (int64_t i = 0; i < x.n_q; i++)
                cr_assert(check_near(element(got.o, i), element(want.o, i), 4 * error),
                          "%s: o[%lld] %g, not %g", tic_variant_get(v).name, (long long)i,
                          element(got.o, i), element(want.o, i));
        }
    }
    tic_ctx_free(ctx);
}

/* Values and gradients so small that their products are denormal: to within one of f32's smallest
 * normal numbers a product, as tiles count denormals as zeros. */
Test(attention_edges, denormals) {
    tic_ctx *ctx = check_ctx(1);
    for (int type = TIC_F32; type <= TIC_BF16; type++) {
        const problem p = {1, 1, 32, false, (tic_dtype)type, 0, {33}, {0}, 0};
        operands x = make(&p);
        for (int64_t i = 0; i < x.n_kv; i++) {
            set(x.args.v, i, element(x.args.v, i) * 0x1p-120f);
            set(x.args.d_o, i, element(x.args.d_o, i) * 0x1p-124f);
        }
        tic_attention_args want = with_outputs(&x);
        both(ctx, &want, "ref");
        const bounds fine = bounds_of(&x, &want, false), coarse = bounds_of(&x, &want, true);
        for (int v = -1; (v = next_for(ctx, p.type, v)) >= 0;) {
            tic_attention_args got = with_outputs(&x);
            both(ctx, &got, tic_variant_get(v).name);
            const bounds *b = multiplies_bf16(v) ? &coarse : &fine;
            const tic_mat results[] = {got.o, got.dv, got.dq, got.dk};
            const tic_mat wanted[] = {want.o, want.dv, want.dq, want.dk};
            const bound *allowed[] = {b->o, b->dv, b->dq, b->dk};
            for (int m = 0; m < 4; m++)
                for (int64_t i = 0; i < x.n_q; i++) {
                    const double relative = p.type == TIC_BF16 ? 2 * EPS_BF16 : EPS;
                    const double size = fabs(element(wanted[m], i));
                    cr_assert(
                        check_near(element(results[m], i), element(wanted[m], i),
                                   bound_of(&allowed[m][i]) + relative * size + 33 * 0x1p-126),
                        "%s: %d[%lld]: %g, not %g", tic_variant_get(v).name, m, (long long)i,
                        element(results[m], i), element(wanted[m], i));
                }
        }
    }
    tic_ctx_free(ctx);
}

/* ---- counters to the MAC --------------------------------------------------------------------- */

static uint64_t up(int64_t n, int64_t unit) {
    return (uint64_t)((n + unit - 1) / unit * unit);
}

/* What the full (not causal) products of a sequence pad, written down from how a variant works
 * rather than from its code: vectors of `lanes` queries and features on f32; tiles of 16 x 16 with
 * steps of 32, or pairs, where bf16 is multiplied. Blocks are of `rows` queries. */
static uint64_t issued_by(const char *variant, int64_t q, int64_t k, int64_t d, bool backward,
                          int64_t rows) {
    const uint64_t Q = (uint64_t)q, K = (uint64_t)k, D = (uint64_t)d;
    uint64_t scores, over_queries = 0, over_keys;
    if (!strncmp(variant, "ref", 3)) {
        scores = over_queries = over_keys = Q * K * D;
    } else if (!strncmp(variant, "amx", 3)) {
        scores = up(k, 16) * up(q, 16) * up(d, 32);
        over_keys = up(d, 16) * up(q, 16) * up(k, 32);
        for (int64_t i = 0; i < q; i += rows)
            over_queries += up(k, 16) * up(d, 16) * up(q - i < rows ? q - i : rows, 32);
    } else if (!strcmp(variant, "avx512-bf16")) {
        scores = K * up(q, 16) * up(d, 32);
        over_keys = D * up(q, 16) * up(k, 2);
        over_queries = K * up(d, 16) * up(q, 2);
    } else {
        const int64_t lanes = !strcmp(variant, "avx512") ? 16 : !strcmp(variant, "avx2") ? 8 : 4;
        scores = K * up(q, lanes) * D;
        over_keys = over_queries = Q * K * up(d, lanes);
    }
    return backward ? 2 * scores + 2 * over_queries + over_keys : scores + over_keys;
}

Test(attention_edges, issued_macs_are_those_of_the_tiles) {
    static const int lengths[] = {1, 5, 16, 31, 50, 97}, dims[] = {16, 24, 64, 80};
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 4; j++)
            for (int type = TIC_F32; type <= TIC_BF16; type++) {
                const problem p = {
                    1, 3, dims[j], false, (tic_dtype)type, 0, {lengths[i]}, {lengths[i] + i % 2},
                    0};
                operands x = make(&p);
                tic_attention_args a = with_outputs(&x);
                tic_ctx *list = check_ctx(1);
                for (int v = -1; (v = next_for(list, p.type, v)) >= 0;) {
                    tic_ctx *ctx = check_ctx(2);
                    const char *name = tic_variant_get(v).name;
                    both(ctx, &a, name);
                    tic_counters counters;
                    tic_ctx_counters(ctx, &counters);
                    for (int backward = 0; backward < 2; backward++) {
                        const tic_op op = backward ? TIC_OP_ATTENTION_BACKWARD : TIC_OP_ATTENTION;
                        const uint64_t want =
                            3 * issued_by(name, p.queries[0], p.keys[0], p.d, backward, 32);
                        const uint64_t got = counters.by[TIC_FOR_FORWARD][op].issued;
                        cr_assert_eq(got, want, "%s, %d queries, d %d, backward %d: %llu not %llu",
                                     name, p.queries[0], p.d, backward, (unsigned long long)got,
                                     (unsigned long long)want);
                    }
                    tic_ctx_free(ctx);
                }
                tic_ctx_free(list);
            }
}
