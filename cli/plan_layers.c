/* ticlip plan --layers: the MACs of one training step by layer, as the kernels counted them. */
#include "cli/plan.h"

/* Forward, recomputation with it, and backward of a layer. */
typedef struct layer {
    tic_macs forward, backward;
} layer;

static tic_macs add(tic_macs a, tic_macs b) {
    return (tic_macs){a.logical + b.logical, a.issued + b.issued};
}

static layer layer_at(const tic_counters *counted, int site) {
    const tic_macs *at = counted->at[site];
    return (layer){add(at[TIC_FOR_FORWARD], at[TIC_FOR_RECOMPUTE]), at[TIC_FOR_BACKWARD]};
}

static tic_macs both(const layer *l) {
    return add(l->forward, l->backward);
}

static void row(tic_table *table, const char *name, const layer *l, double all) {
    const tic_macs sum = both(l);
    tic_table_row(table, "%s\t%.4f\t%.4f\t%.4f\t%.4f\t%.3f\t%.2f %%", name,
                  1e-9 * (double)l->forward.logical, 1e-9 * (double)l->backward.logical,
                  1e-9 * (double)sum.logical, 1e-9 * (double)sum.issued,
                  sum.logical > 0 ? (double)sum.issued / (double)sum.logical : 1,
                  100 * (double)sum.issued / all);
}

static tic_status print(const tic_planned *p, const tic_counters *counted, tic_error *err) {
    tic_table table;
    layer total = {0};
    const double all = (double)tic_counters_sum(counted).issued;
    printf("%s, %s: a training step of %lld pairs of %lld tokens, by layer, in GMAC\n\n",
           p->config->name, tic_dtype_name(p->precision), (long long)p->batch,
           (long long)p->tokens);
    tic_table_begin(&table, "<layer\t>forward\t>backward\t>logical\t>issued\t>issued/logical\t>of "
                            "all");
    for (int site = 0; site < TIC_AT_COUNT; site++) {
        char name[TIC_SITE_TEXT];
        const layer l = layer_at(counted, site);
        if (site == TIC_AT_OTHER || !tic_site_in(p->config, site))
            continue;
        row(&table, tic_site_name(site, name), &l, all);
        total.forward = add(total.forward, l.forward);
        total.backward = add(total.backward, l.backward);
    }
    row(&table, "step", &total, all);
    return tic_table_end(&table, stdout, err);
}

static json_t *macs_json(tic_macs macs) {
    return json_pack("{s:I, s:I}", "logical", (json_int_t)macs.logical, "issued",
                     (json_int_t)macs.issued);
}

static json_t *layers_json(const tic_planned *p, const tic_counters *counted) {
    json_t *list = json_array();
    for (int site = 0; site < TIC_AT_COUNT; site++) {
        char name[TIC_SITE_TEXT];
        const layer l = layer_at(counted, site);
        if (site == TIC_AT_OTHER || !tic_site_in(p->config, site))
            continue;
        json_array_append_new(list, json_pack("{s:s, s:o, s:o}", "layer", tic_site_name(site, name),
                                              "forward", macs_json(l.forward), "backward",
                                              macs_json(l.backward)));
    }
    return list;
}

static json_t *purposes_json(const tic_counters *counted) {
    json_t *object = json_object();
    for (int p = 0; p < TIC_PURPOSE_COUNT; p++) {
        const tic_macs macs = tic_counters_purpose(counted, (tic_purpose)p);
        if (macs.issued > 0)
            json_object_set_new(object, tic_purpose_name((tic_purpose)p), macs_json(macs));
    }
    return object;
}

tic_status tic_cli_plan_layers(const tic_planned *p, bool json, tic_error *err) {
    const tic_model_options options = {.batch = p->batch, .precision = p->precision, .train = true};
    tic_counters counted;
    tic_ctx *ctx;
    TIC_TRY(tic_ctx_new(&ctx, NULL, err));
    tic_status status =
        tic_model_count_step(ctx, p->config, &options, (int)p->tokens, &counted, err);
    tic_ctx_free(ctx);
    TIC_TRY(status);
    if (!json)
        return print(p, &counted, err);
    return tic_cli_json(
        json_pack("{s:i, s:s, s:s, s:I, s:I, s:o, s:o, s:o}", "schema", 1, "model", p->config->name,
                  "precision", tic_dtype_name(p->precision), "batch", (json_int_t)p->batch,
                  "tokens", (json_int_t)p->tokens, "layers", layers_json(p, &counted), "by_purpose",
                  purposes_json(&counted), "step", macs_json(tic_counters_sum(&counted))),
        err);
}
