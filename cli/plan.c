/* ticlip plan: what a pair costs a model, in each of the currencies (docs/macs.md). */
#include "cli/plan.h"

typedef struct costs { /* MACs of one pair */
    uint64_t nominal_image, nominal_text, nominal_train;
    double image, image_backward, text, text_backward, loss;
} costs;

/* Captions all of `tokens` tokens; the loss over the batch is shared by its pairs. */
static tic_status costs_of(const tic_config *c, int64_t batch, int64_t tokens, costs *out,
                           tic_error *err) {
    const int32_t offsets[2] = {0, (int32_t)tokens};
    if (tokens > c->context_length)
        return tic_fail(err, TIC_EUSAGE, "tokens: %s reads at most %d", c->name, c->context_length);
    *out = (costs){.nominal_image = tic_nominal_image(c),
                   .nominal_text = tic_nominal_text(c),
                   .nominal_train = tic_nominal_train(c),
                   .image = (double)tic_logical_image(c, 1, false),
                   .image_backward = (double)tic_logical_image(c, 1, true),
                   .text = (double)tic_logical_text(c, 1, offsets, false),
                   .text_backward = (double)tic_logical_text(c, 1, offsets, true),
                   .loss = (double)tic_logical_loss(c, batch) / (double)batch};
    return TIC_OK;
}

static double logical_train(const costs *c) {
    return c->image + c->image_backward + c->text + c->text_backward + c->loss;
}

static void row(tic_table *table, const char *name, double nominal, double logical) {
    if (nominal > 0)
        tic_table_row(table, "%s\t%.3f G\t%.3f G\t%.1f %%", name, 1e-9 * nominal, 1e-9 * logical,
                      100 * logical / nominal);
    else
        tic_table_row(table, "%s\t\t%.3f G", name, 1e-9 * logical);
}

static tic_status print_costs(const tic_config *config, int64_t batch, int64_t tokens,
                              const costs *c, tic_error *err) {
    tic_table table;
    const double image = (double)c->nominal_image, text = (double)c->nominal_text;
    printf("%s: %lld parameters; MACs of a pair at batch %lld and %lld tokens a caption\n\n",
           config->name, (long long)tic_config_parameters(config), (long long)batch,
           (long long)tokens);
    tic_table_begin(&table, "<\t>nominal\t>logical\t>of nominal");
    row(&table, "image, forward", image, c->image);
    row(&table, "text, forward", text, c->text);
    row(&table, "pair, forward", image + text, c->image + c->text);
    row(&table, "image, backward", 2 * image, c->image_backward);
    row(&table, "text, backward", 2 * text, c->text_backward);
    row(&table, "contrastive loss, both ways", 0, c->loss);
    row(&table, "training a pair", (double)c->nominal_train, logical_train(c));
    return tic_table_end(&table, stdout, err);
}

tic_status tic_verb_plan(const tic_verb *verb, int argc, char **argv, tic_error *err) {
    const char *model = "ViT-B-16";
    int64_t batch = 32, tokens = 20;
    int precision = TIC_F32;
    bool layers = false;
    tic_args args;
    tic_config config;
    costs c = {0};
    const tic_flag flags[] = {
        {.name = "model",
         .value = "NAME|FILE",
         .help = "which",
         .fallback = "ViT-B-16",
         .type = TIC_FLAG_TEXT,
         .out = &model},
        {.name = "batch",
         .value = "N",
         .help = "pairs that share the loss",
         .fallback = "32",
         .type = TIC_FLAG_INT,
         .out = &batch,
         .min = 2,
         .max = 1 << 20},
        {.name = "tokens",
         .value = "N",
         .help = "of a caption, SOT and EOT included",
         .fallback = "20",
         .type = TIC_FLAG_INT,
         .out = &tokens,
         .min = 2,
         .max = 1024},
        {.name = "layers",
         .help = "make one training step and count its MACs layer by layer",
         .type = TIC_FLAG_SWITCH,
         .out = &layers},
        {.name = "precision",
         .value = "f32|bf16",
         .help = "of that step",
         .fallback = "f32",
         .type = TIC_FLAG_CHOICE,
         .out = &precision,
         .choices = "f32|bf16"},
    };
    TIC_TRY(tic_cli_parse(verb, flags, sizeof flags / sizeof flags[0], argc, argv, &args, err));
    if (args.help)
        return TIC_OK;
    TIC_TRY(tic_config_find(&config, model, err));
    TIC_TRY(costs_of(&config, batch, tokens, &c, err));
    if (layers)
        return tic_cli_plan_layers(
            &(tic_planned){&config, batch, tokens, precision == 0 ? TIC_F32 : TIC_BF16}, args.json,
            err);
    if (!args.json)
        return print_costs(&config, batch, tokens, &c, err);
    return tic_cli_json(
        json_pack("{s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f, s:f, s:f, s:f, s:f, s:f}",
                  "schema", 1, "model", config.name, "parameters",
                  (json_int_t)tic_config_parameters(&config), "batch", (json_int_t)batch, "tokens",
                  (json_int_t)tokens, "nominal_image", (json_int_t)c.nominal_image, "nominal_text",
                  (json_int_t)c.nominal_text, "nominal_train", (json_int_t)c.nominal_train,
                  "logical_image", c.image, "logical_image_backward", c.image_backward,
                  "logical_text", c.text, "logical_text_backward", c.text_backward, "logical_loss",
                  c.loss, "logical_train", logical_train(&c)),
        err);
}
