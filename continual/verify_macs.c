/* Budgets, the order of the samples, and MACs, computed again from settings, data and shapes. */
#include "verify.h"
#include <stdio.h>
#include <string.h>

/* ---- what the shapes need -------------------------------------------------------------------- */

/* Tokens of the pair's caption, counted once. */
static tic_status tokens_of(tic_verifying *v, uint32_t pair, int *tokens) {
    int32_t ids[TIC_CONTEXT_MAX];
    char *text;
    if (v->tokens[pair] == 0) {
        TIC_TRY(tic_index_caption(v->s.index, pair, &text, v->err));
        tic_status status =
            tic_tokenize_caption(v->s.vocab, text, v->s.config.context_length, ids, tokens, v->err);
        tic_free(text);
        TIC_TRY(status);
        v->tokens[pair] = (uint16_t)*tokens;
    }
    *tokens = v->tokens[pair];
    return TIC_OK;
}

/* Logical MACs of the text tower for one caption of each length, and how many there were; [context
 * + 1] each. */
typedef struct text_costs {
    uint64_t *forward, *backward, *seen;
} text_costs;

static tic_status text_costs_of(const tic_verifying *v, text_costs *out) {
    const size_t count = (size_t)v->s.config.context_length + 1;
    TIC_TRY(tic_alloc(&out->forward, 3 * count, sizeof(uint64_t), v->err));
    out->backward = out->forward + count;
    out->seen = out->backward + count;
    for (size_t n = 1; n < count; n++) {
        const int32_t offsets[2] = {0, (int32_t)n};
        out->forward[n] = tic_logical_text(&v->s.config, 1, offsets, false);
        out->backward[n] = tic_logical_text(&v->s.config, 1, offsets, true);
    }
    return TIC_OK;
}

/* The captions' MACs by layer; seen[n]: captions of n tokens. */
static void add_layers(const tic_verifying *v, const uint64_t *seen, tic_walked *out) {
    for (int n = 1; n <= v->s.config.context_length; n++) {
        const int32_t offsets[2] = {0, n};
        uint64_t forward[TIC_SITES] = {0}, backward[TIC_SITES] = {0};
        if (seen[n] == 0)
            continue;
        tic_logical_text_at(&v->s.config, 1, offsets, false, forward);
        tic_logical_text_at(&v->s.config, 1, offsets, true, backward);
        for (int site = 0; site < TIC_SITES; site++) {
            out->forward_at[site] += seen[n] * forward[site];
            out->backward_at[site] += seen[n] * backward[site];
        }
    }
}

tic_status tic_verify_walk(tic_verifying *v, const tic_item *item, const uint32_t *pool,
                           size_t size, tic_walked *out) {
    const tic_pair *pairs = tic_index_pairs(v->s.index);
    const uint64_t seed = tic_stream_seed(v->x.seed, item->step);
    const int64_t batch = v->x.batch;
    text_costs costs;
    TIC_TRY(text_costs_of(v, &costs));
    tic_status status = TIC_OK;
    for (int64_t i = 0; i < item->budget.iterations && status == TIC_OK; i++) {
        tic_sha256 hash;
        tic_order_begin(&hash, out->order);
        for (int64_t k = 0; k < batch && status == TIC_OK; k++) {
            const uint32_t pair = tic_stream_pair(pool, size, seed, (uint64_t)(i * batch + k));
            int tokens = 0;
            status = tokens_of(v, pair, &tokens);
            out->text_forward += costs.forward[tokens];
            out->text_backward += costs.backward[tokens];
            costs.seen[tokens]++;
            tic_order_add(&hash, &pairs[pair].id);
        }
        tic_order_end(&hash, out->order);
    }
    if (status == TIC_OK)
        add_layers(v, costs.seen, out);
    tic_free(costs.forward);
    return status;
}

tic_status tic_verify_captions(tic_verifying *v, const uint32_t *pairs, size_t count,
                               uint64_t *forward) {
    text_costs costs;
    TIC_TRY(text_costs_of(v, &costs));
    tic_status status = TIC_OK;
    for (size_t i = 0; i < count && status == TIC_OK; i++) {
        int tokens = 0;
        status = tokens_of(v, pairs[i], &tokens);
        *forward += costs.forward[tokens];
    }
    tic_free(costs.forward);
    return status;
}

/* ---- the padding that the plan needs --------------------------------------------------------- */

/* Issued over logical MACs of a training step's problems at 16 tokens a caption, each run once. */
tic_status tic_verify_padding(tic_verifying *v) {
    const tic_model_options options = {.batch = v->x.batch,
                                       .micro_batch = v->s.micro_batch,
                                       .precision = v->s.precision,
                                       .train = true};
    tic_problems problems;
    double logical = 0, issued = 0;
    TIC_TRY(tic_model_problems(&problems, &v->s.config, &options, 16, v->err));
    tic_status status = TIC_OK;
    for (size_t i = 0; i < problems.count && status == TIC_OK; i++) {
        tic_counters before, after;
        tic_operands *operands;
        status = tic_operands_new(&operands, &problems.list[i], v->s.precision, v->err);
        if (status != TIC_OK)
            break;
        status = tic_operands_prepare(operands, v->s.ctx, v->err);
        tic_ctx_counters(v->s.ctx, &before);
        if (status == TIC_OK)
            status = tic_operands_run(operands, v->s.ctx, v->err);
        tic_ctx_counters(v->s.ctx, &after);
        tic_operands_free(operands);
        const tic_macs a = tic_counters_sum(&before), b = tic_counters_sum(&after);
        logical += problems.list[i].calls * (double)(b.logical - a.logical);
        issued += problems.list[i].calls * (double)(b.issued - a.issued);
    }
    tic_problems_free(&problems);
    TIC_TRY(status);
    v->padding = logical > 0 ? issued / logical : 1;
    return TIC_OK;
}

/* ---- claims ---------------------------------------------------------------------------------- */

static tic_status verify_budget(const tic_verifying *v, const tic_item *item, const char *name,
                                const json_t *event, const tic_spent *spent) {
    const tic_step_budget *b = &item->budget;
    const uint64_t pair = tic_nominal_train(&v->s.config);
    const uint64_t told = (uint64_t)json_integer_value(json_object_get(event, "budget"));
    if (told != b->macs)
        return tic_broken(v, name, "a budget of %llu MACs, by the settings it is %llu",
                          (unsigned long long)told, (unsigned long long)b->macs);
    if (spent->iterations != b->iterations || spent->pairs != b->iterations * v->x.batch)
        return tic_broken(v, name,
                          "%lld iterations and %lld pairs, the budget pays for %lld and %lld",
                          (long long)spent->iterations, (long long)spent->pairs,
                          (long long)b->iterations, (long long)(b->iterations * v->x.batch));
    if (spent->nominal != (uint64_t)spent->pairs * pair)
        return tic_broken(v, name, "%llu nominal MACs, %lld pairs are %llu",
                          (unsigned long long)spent->nominal, (long long)spent->pairs,
                          (unsigned long long)((uint64_t)spent->pairs * pair));
    if (spent->extra != b->extra)
        return tic_broken(v, name, "%llu nominal MACs beside training, the method needs %llu",
                          (unsigned long long)spent->extra, (unsigned long long)b->extra);
    const uint64_t charged = spent->nominal + (v->x.accounting == TIC_STRICT ? spent->extra : 0);
    if (charged > b->macs)
        return tic_broken(v, name, "%llu nominal MACs are more than its budget of %llu",
                          (unsigned long long)charged, (unsigned long long)b->macs);
    tic_claim(v, name, "%lld pairs, %.6g of %.6g nominal MACs%s", (long long)spent->pairs,
              (double)charged, (double)b->macs,
              spent->extra == 0               ? ""
              : v->x.accounting == TIC_STRICT ? ", all of the method's work included"
                                              : ", what the method needs besides not charged");
    return TIC_OK;
}

tic_status tic_verify_purpose(const tic_verifying *v, const char *name, tic_purpose purpose,
                              const tic_spent *spent, uint64_t logical) {
    if (spent->by[purpose].logical == logical)
        return TIC_OK;
    return tic_broken(v, name, "%llu logical MACs for %s, the shapes need %llu",
                      (unsigned long long)spent->by[purpose].logical, tic_purpose_name(purpose),
                      (unsigned long long)logical);
}

/* At most a quarter more than the plan's own step: rows of captions fill tiles less evenly. */
static tic_status verify_issued(const tic_verifying *v, const char *name, const tic_spent *spent,
                                double *ratio) {
    uint64_t logical = 0, issued = 0;
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        if (spent->by[p].issued < spent->by[p].logical)
            return tic_broken(v, name,
                              "%llu MACs issued for %s, fewer than the %llu that are needed",
                              (unsigned long long)spent->by[p].issued, tic_purpose_name(p),
                              (unsigned long long)spent->by[p].logical);
        logical += spent->by[p].logical;
        issued += spent->by[p].issued;
    }
    *ratio = logical > 0 ? (double)issued / (double)logical : 1;
    if (!(*ratio <= 1.25 * v->padding))
        return tic_broken(v, name, "%.3f MACs issued for a logical one, the plan's padding is %.3f",
                          *ratio, v->padding);
    return TIC_OK;
}

/* Layer by layer, of training: logical ones as the shapes need them, and both kinds add up to what
 * the purposes say. `loss` is the losses' logical MACs. */
static tic_status verify_layers(const tic_verifying *v, const tic_item *item, const char *name,
                                const tic_spent *spent, const tic_walked *walked, uint64_t loss) {
    const uint64_t n = (uint64_t)item->budget.iterations;
    const uint64_t twice = v->s.micro_batch < v->x.batch ? 2 : 1;
    uint64_t forward[TIC_SITES] = {0}, backward[TIC_SITES] = {0};
    tic_macs layers = {0}, purposes = {0};
    char text[TIC_SITE_TEXT];
    tic_logical_image_at(&v->s.config, v->x.batch, false, forward);
    tic_logical_image_at(&v->s.config, v->x.batch, true, backward);
    for (int site = 0; site < TIC_AT_COUNT; site++) {
        const tic_macs told = spent->layer[site];
        const uint64_t need = twice * (n * forward[site] + walked->forward_at[site]) +
                              n * backward[site] + walked->backward_at[site] +
                              (site == TIC_AT_LOSS ? loss : 0);
        if (told.logical != need || told.issued < told.logical)
            return tic_broken(v, name,
                              "%llu logical MACs and %llu issued at %s, the shapes need %llu",
                              (unsigned long long)told.logical, (unsigned long long)told.issued,
                              tic_site_name(site, text), (unsigned long long)need);
        layers.logical += told.logical;
        layers.issued += told.issued;
    }
    for (int p = TIC_FOR_FORWARD; p <= TIC_FOR_RECOMPUTE; p++) {
        purposes.logical += spent->by[p].logical;
        purposes.issued += spent->by[p].issued;
    }
    if (layers.logical != purposes.logical || layers.issued != purposes.issued)
        return tic_broken(v, name, "%llu MACs issued by layers, %llu by purposes",
                          (unsigned long long)layers.issued, (unsigned long long)purposes.issued);
    return TIC_OK;
}

tic_status tic_verify_shapes(tic_verifying *v, const tic_item *item, const char *name,
                             const tic_spent *spent, const tic_walked *walked) {
    const tic_config *c = &v->s.config;
    const uint64_t n = (uint64_t)item->budget.iterations;
    const int64_t batch = v->x.batch;
    const bool again = v->s.micro_batch < batch;
    const bool teacher = tic_item_taught(item);
    const uint64_t forward = n * tic_logical_image(c, batch, false) + walked->text_forward;
    const uint64_t backward = n * tic_logical_image(c, batch, true) + walked->text_backward;
    uint64_t loss = n * tic_logical_loss(c, batch);
    double ratio = 1;
    if (teacher)
        loss += n * tic_distill_macs(batch, c->embed_dim, c->embed_dim, true);
    TIC_TRY(tic_verify_purpose(v, name, TIC_FOR_FORWARD, spent, forward + loss));
    TIC_TRY(tic_verify_purpose(v, name, TIC_FOR_BACKWARD, spent, backward));
    TIC_TRY(tic_verify_purpose(v, name, TIC_FOR_RECOMPUTE, spent, again ? forward : 0));
    TIC_TRY(tic_verify_purpose(v, name, TIC_FOR_TEACHER, spent, teacher ? forward : 0));
    TIC_TRY(verify_layers(v, item, name, spent, walked, loss));
    TIC_TRY(verify_issued(v, name, spent, &ratio));
    tic_claim(v, name,
              "logical MACs are what the captions' %s need, layer by layer; %.3f issued for each "
              "(the plan's step "
              "at 16 tokens: %.3f)",
              again ? "tokens, twice forward," : "tokens", ratio, v->padding);
    return TIC_OK;
}

bool tic_path_ends(const char *path, const char *end) {
    const size_t size = strlen(path), length = strlen(end);
    return length > 0 && length <= size && strcmp(path + size - length, end) == 0 &&
           (length == size || path[size - length - 1] == '/');
}

/* What the ledger says the step began with is what the settings give. */
static tic_status verify_start(tic_verifying *v, int i, const char *name, const json_t *start,
                               size_t pool) {
    const tic_item *item = &v->items[i];
    const char *then = tic_json_string(start, "from"), *from, *out = v->s.x->out;
    char folder[TIC_PATH];
    TIC_TRY(tic_item_start(&v->s, item, folder, &from, v->err));
    const struct {
        const char *key;
        int64_t is;
    } told[] = {{"budget", (int64_t)item->budget.macs},
                {"extra", (int64_t)item->budget.extra},
                {"iterations", item->budget.iterations},
                {"warmup", tic_item_warmup(&v->x, from == NULL)},
                {"pool_pairs", (int64_t)pool}};
    for (size_t k = 0; k < sizeof told / sizeof told[0]; k++) {
        const int64_t was = json_integer_value(json_object_get(start, told[k].key));
        if (was != told[k].is)
            return tic_broken(v, name, "it began with %s %lld, by the settings it is %lld",
                              told[k].key, (long long)was, (long long)told[k].is);
    }
    if (from != NULL && strncmp(from, out, strlen(out)) == 0)
        from += strlen(out) + strspn(from + strlen(out), "/");
    if (from == NULL ? strcmp(then, "random") != 0 : !tic_path_ends(then, from))
        return tic_broken(v, name, "it began from %s, by the settings from %s", then,
                          from != NULL ? from : "random weights");
    return TIC_OK;
}

/* `item` is items[i], or as much of it as is done. */
tic_status tic_verify_order(tic_verifying *v, int i, const tic_item *item, const char *name,
                            const char *order, tic_walked *walked) {
    const json_t *start =
        tic_ledger_find(&v->s.ledger, "step_start", item->method->name, tic_item_step(&v->s, item));
    const char *then = json_string_value(json_object_get(start, "pool"));
    const char *from = json_string_value(json_object_get(start, "from"));
    uint32_t *pool;
    tic_spent none;
    size_t size;
    char hex[65];
    TIC_TRY(tic_item_pool(&v->s, v->items, i, from, &none, &pool, &size, v->err));
    tic_pool_hash(&v->s, pool, size, hex);
    *walked = (tic_walked){.order = ""};
    tic_status status = tic_verify_walk(v, item, pool, size, walked);
    tic_free(pool);
    TIC_TRY(status);
    if (then == NULL || strcmp(then, hex) != 0)
        return tic_broken(v, name,
                          "its pool of %zu pairs has the hash %.12s, the ledger says %.12s", size,
                          hex, then != NULL ? then : "none");
    TIC_TRY(verify_start(v, i, name, start, size));
    if (strcmp(order, walked->order) != 0)
        return tic_broken(
            v, name,
            "the pairs trained on have the hash %.12s in their order, the ledger says "
            "%.12s",
            walked->order, order[0] != '\0' ? order : "none");
    tic_claim(v, name, "trained on its pool of %zu pairs, in the order that the seed gives", size);
    return TIC_OK;
}

tic_status tic_verify_spent(const tic_verifying *v, const char *name, const json_t *told,
                            tic_spent *spent) {
    const bool whole = tic_spent_read(told, spent);
    json_t *again = whole ? tic_spent_json(spent) : NULL;
    const bool same = again != NULL && json_equal(again, told);
    json_decref(again);
    return same
               ? TIC_OK
               : tic_broken(v, name, "the ledger does not tell what it spent, no more and no less");
}

tic_status tic_verify_training(tic_verifying *v, int i, const char *name) {
    const tic_item *item = &v->items[i];
    const json_t *event = tic_item_ended(&v->s, item);
    json_t *told = json_object_get(event, "spent");
    tic_spent spent;
    tic_walked walked;
    TIC_TRY(tic_verify_spent(v, name, told, &spent));
    TIC_TRY(verify_budget(v, item, name, event, &spent));
    const char *same_as = json_string_value(json_object_get(event, "same_as"));
    const char *source = item->same_as >= 0 ? v->items[item->same_as].method->name : "";
    if (strcmp(same_as != NULL ? same_as : "", source) != 0)
        return tic_broken(v, name,
                          "the ledger says whose training it took over: \"%s\", it is \"%s\"",
                          same_as != NULL ? same_as : "", source);
    if (item->same_as >= 0) {
        const tic_item *same = &v->items[item->same_as];
        const json_t *other = json_object_get(tic_item_ended(&v->s, same), "spent");
        if (!json_equal(told, (json_t *)(uintptr_t)other))
            return tic_broken(v, name,
                              "it spent something else than %s, whose training it took over",
                              same->method->name);
        tic_claim(v, name, "the training that %s did", same->method->name);
        return TIC_OK;
    }
    TIC_TRY(tic_verify_order(v, i, item, name, spent.order, &walked));
    TIC_TRY(tic_verify_phases(v, i, name, &spent, true));
    return tic_verify_shapes(v, item, name, &spent, &walked);
}
