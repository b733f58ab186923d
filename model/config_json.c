/* Reads an OpenCLIP model json: bare, or inside `{"model_cfg": ..., "preprocess_cfg": ...}` as a
 * local-dir's open_clip_config.json has it. Every key that OpenCLIP 3.3 knows has a row below.
 * Options that would change what the model computes are accepted at their default value only, an
 * unknown key is refused with the nearest one: silently another architecture would be worse. */
#include "room.h"

#include <jansson.h>
#include <stdio.h>
#include <string.h>

typedef struct parsed {
    tic_config config;
    int head_width;
    double vision_ratio, text_ratio; /* MLP width / width */
} parsed;

typedef struct rule {
    const char *key;
    enum {
        INTEGER,  /* an int at `at` */
        SQUARE,   /* the same, or [n, n] */
        NUMBER,   /* a double at `at` */
        FLAG,     /* a bool at `at` */
        CHANNELS, /* three floats at `at` */
        USUAL,    /* only the values of the json array `usual`, which change nothing */
        FREE,     /* has no effect on the models that we accept */
        SECTION   /* read by its own rules */
    } kind;
    size_t at;
    const char *usual;
} rule;

#define AT(field) offsetof(parsed, field)

/* What both towers know of their blocks and output. */
/* clang-format off */
#define TOWER_RULES                                                                                \
    {"ls_init_value", USUAL, 0, "[null]"},                                                         \
    {"output_tokens", USUAL, 0, "[false]"},                                                        \
    {"act_kwargs", USUAL, 0, "[null, {}]"},                                                        \
    {"norm_kwargs", USUAL, 0, "[null, {}]"},                                                       \
    {"block_type", USUAL, 0, "[null, \"default\"]"},                                               \
    {"qk_norm", USUAL, 0, "[false]"},                                                              \
    {"scaled_cosine_attn", USUAL, 0, "[false]"},                                                   \
    {"scale_heads", USUAL, 0, "[false]"},                                                          \
    {"scale_attn_inner", USUAL, 0, "[false]"},                                                     \
    {"scale_attn", USUAL, 0, "[false]"},                                                           \
    {"scale_fc", USUAL, 0, "[false]"}
/* clang-format on */

static const rule vision_rules[] = {
    {"image_size", SQUARE, AT(config.image_size), NULL},
    {"layers", INTEGER, AT(config.vision_layers), NULL},
    {"width", INTEGER, AT(config.vision_width), NULL},
    {"patch_size", SQUARE, AT(config.patch_size), NULL},
    {"head_width", INTEGER, AT(head_width), NULL},
    {"mlp_ratio", NUMBER, AT(vision_ratio), NULL},
    {"patch_dropout", USUAL, 0, "[0]"},
    {"attentional_pool", USUAL, 0, "[false]"},
    {"attn_pooler_queries", FREE, 0, NULL},
    {"attn_pooler_heads", FREE, 0, NULL},
    {"no_ln_pre", USUAL, 0, "[false]"},
    {"pos_embed_type", USUAL, 0, "[\"learnable\"]"},
    {"final_ln_after_pool", FREE, 0, NULL}, /* the same for one pooled token */
    {"pool_type", USUAL, 0, "[\"tok\"]"},
    TOWER_RULES,
    {"timm_model_name", USUAL, 0, "[null, \"\"]"},
    {"timm_model_pretrained", FREE, 0, NULL},
    {"timm_pool", FREE, 0, NULL},
    {"timm_proj", FREE, 0, NULL},
    {"timm_proj_bias", FREE, 0, NULL},
    {"timm_drop", FREE, 0, NULL},
    {"timm_drop_path", FREE, 0, NULL},
};

static const rule text_rules[] = {
    {"context_length", INTEGER, AT(config.context_length), NULL},
    {"vocab_size", INTEGER, AT(config.vocab_size), NULL},
    {"width", INTEGER, AT(config.text_width), NULL},
    {"heads", INTEGER, AT(config.text_heads), NULL},
    {"layers", INTEGER, AT(config.text_layers), NULL},
    {"mlp_ratio", NUMBER, AT(text_ratio), NULL},
    {"hf_tokenizer_name", USUAL, 0, "[null, \"\"]"},
    {"tokenizer_mode", USUAL, 0, "[null, \"clean\"]"},
    {"tokenizer_kwargs", USUAL, 0, "[null, {}, {\"clean\": \"lower\"}]"},
    {"embed_cls", USUAL, 0, "[false]"},
    {"pad_id", FREE, 0, NULL}, /* nothing after EOT is read */
    {"eos_id", FREE, 0, NULL}, /* for pool_type eos only */
    {"no_causal_mask", USUAL, 0, "[false]"},
    {"final_ln_after_pool", FREE, 0, NULL},
    {"pool_type", USUAL, 0, "[\"argmax\"]"},
    {"proj_bias", USUAL, 0, "[false]"},
    {"proj_type", USUAL, 0, "[\"linear\"]"},
    TOWER_RULES,
    {"hf_model_name", USUAL, 0, "[null, \"\"]"},
    {"hf_model_pretrained", FREE, 0, NULL},
    {"hf_proj_type", FREE, 0, NULL},
    {"hf_pooler_type", FREE, 0, NULL},
};

static const rule model_rules[] = {
    {"embed_dim", INTEGER, AT(config.embed_dim), NULL},
    {"quick_gelu", FLAG, AT(config.quick_gelu), NULL},
    {"vision_cfg", SECTION, 0, NULL},
    {"text_cfg", SECTION, 0, NULL},
    {"custom_text", USUAL, 0, "[false]"},
    {"init_logit_scale", FREE, 0, NULL}, /* of a model before training; weights carry their own */
    {"init_logit_bias", USUAL, 0, "[null]"},
    {"nonscalar_logit_scale", USUAL, 0, "[false]"},
    {"output_dict", FREE, 0, NULL},
    {"cast_dtype", FREE, 0, NULL},
};

static const rule preprocess_rules[] = {
    {"mean", CHANNELS, AT(config.mean), NULL},
    {"std", CHANNELS, AT(config.std), NULL},
    {"size", FREE, 0, NULL}, /* OpenCLIP takes the model's image_size too */
    {"mode", USUAL, 0, "[\"RGB\"]"},
    {"interpolation", USUAL, 0, "[\"bicubic\"]"},
    {"resize_mode", USUAL, 0, "[\"shortest\"]"},
    {"fill_color", FREE, 0, NULL}, /* for resize_mode longest only */
};

static const rule file_rules[] = {
    {"model_cfg", SECTION, 0, NULL},
    {"preprocess_cfg", SECTION, 0, NULL},
};

/* ---- messages -------------------------------------------------------------------------------- */

enum { MAX_DEPTH = 3 };
typedef struct place { /* of a section: the keys that lead to it, and room for one more */
    const char *file, *text;
    const char *keys[MAX_DEPTH + 1];
    int depth;
    const rule *rules;
    int count;
} place;
#define RULES(rows) (rows), (int)(sizeof(rows) / sizeof *(rows))

/* Walks one json string; returns its closing quote. The text is known to be valid json. */
static const char *string_end(const char *quote) {
    const char *p = quote + 1;
    while (*p && *p != '"')
        p += *p == '\\' && p[1] ? 2 : 1;
    return p;
}

static bool is_key(const char *quote, const char *end, const char *key) {
    const size_t n = strlen(key);
    if ((size_t)(end - quote - 1) != n || strncmp(quote + 1, key, n) != 0)
        return false;
    const char *p = end + 1;
    p += strspn(p, " \t\r\n");
    return *p == ':';
}

/* The line of the key that `keys` lead to; where a key is spelled with escapes, its section's. */
static int line_of(const char *text, const char *const *keys, int count) {
    int depth = 0, found = 0, line = 1, answer = 1;
    for (const char *p = text; *p && found < count; p++) {
        if (*p == '\n')
            line++;
        else if (*p == '{' || *p == '[')
            depth++;
        else if (*p == '}' || *p == ']')
            depth--;
        else if (*p == '"') {
            const char *end = string_end(p);
            if (depth == found + 1 && is_key(p, end, keys[found])) {
                found++;
                answer = line;
            }
            p = *end ? end : end - 1;
        }
    }
    return answer;
}

static int line_in(const place *at, const char *key) {
    const char *keys[MAX_DEPTH + 1];
    memcpy(keys, at->keys, sizeof keys);
    keys[at->depth] = key;
    return line_of(at->text, keys, at->depth + 1);
}

static tic_status refuse(const place *at, const char *key, const char *cause, tic_error *err) {
    return tic_fail(err, TIC_EINPUT, "%s:%d: %s: %s", at->file, line_in(at, key), key, cause);
}

static tic_status refuse_unknown(const place *at, const char *key, tic_error *err) {
    const char *names[64];
    for (int i = 0; i < at->count; i++)
        names[i] = at->rules[i].key;
    const char *near = tic_nearest(key, tic_name_in, names, at->count);
    return tic_fail(err, TIC_EINPUT, "%s:%d: unknown key \"%s\"%s%s%s", at->file, line_in(at, key),
                    key, near == NULL ? "" : "; did you mean \"", near == NULL ? "" : near,
                    near == NULL ? "" : "\"?");
}

/* ---- values ---------------------------------------------------------------------------------- */

static tic_status read_int(const place *at, const char *key, const json_t *value, int *out,
                           tic_error *err) {
    if (!json_is_integer(value))
        return refuse(at, key, "a whole number is needed", err);
    const json_int_t n = json_integer_value(value);
    if (n < 1 || n > 1 << 24)
        return refuse(at, key, "the size is out of range", err);
    *out = (int)n;
    return TIC_OK;
}

static tic_status read_square(const place *at, const char *key, const json_t *value, int *out,
                              tic_error *err) {
    if (!json_is_array(value))
        return read_int(at, key, value, out, err);
    const json_t *first = json_array_get(value, 0);
    if (json_array_size(value) != 2 || !json_equal(first, json_array_get(value, 1)))
        return refuse(at, key, "only squares are supported: n, or [n, n]", err);
    return read_int(at, key, first, out, err);
}

static tic_status read_channels(const place *at, const char *key, const json_t *value, float *out,
                                tic_error *err) {
    if (!json_is_array(value) || json_array_size(value) != 3)
        return refuse(at, key, "three numbers are needed", err);
    for (size_t i = 0; i < 3; i++) {
        const json_t *number = json_array_get(value, i);
        if (!json_is_number(number))
            return refuse(at, key, "three numbers are needed", err);
        out[i] = (float)json_number_value(number);
    }
    return TIC_OK;
}

static bool same_value(const json_t *a, const json_t *b) {
    if (json_is_number(a) && json_is_number(b))
        return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

static tic_status check_usual(const place *at, const rule *r, const json_t *value, tic_error *err) {
    json_t *usual = json_loads(r->usual, 0, NULL);
    bool accepted = false;
    for (size_t i = 0; i < json_array_size(usual); i++)
        accepted |= same_value(value, json_array_get(usual, i));
    json_decref(usual);
    char cause[128];
    snprintf(cause, sizeof cause, "this variant of the architecture is not supported (only %s is)",
             r->usual);
    return accepted ? TIC_OK : refuse(at, r->key, cause, err);
}

static tic_status apply(const place *at, const rule *r, const json_t *value, parsed *out,
                        tic_error *err) {
    void *field = (unsigned char *)out + r->at;
    switch (r->kind) {
    case INTEGER:
        return read_int(at, r->key, value, field, err);
    case SQUARE:
        return read_square(at, r->key, value, field, err);
    case CHANNELS:
        return read_channels(at, r->key, value, field, err);
    case USUAL:
        return check_usual(at, r, value, err);
    case NUMBER:
        if (!json_is_number(value))
            return refuse(at, r->key, "a number is needed", err);
        *(double *)field = json_number_value(value);
        return TIC_OK;
    case FLAG:
        if (!json_is_boolean(value))
            return refuse(at, r->key, "true or false is needed", err);
        *(bool *)field = json_is_true(value);
        return TIC_OK;
    case SECTION:
        return json_is_object(value) ? TIC_OK : refuse(at, r->key, "an object is needed", err);
    case FREE:
        return TIC_OK;
    }
    return TIC_OK;
}

/* ---- sections -------------------------------------------------------------------------------- */

static tic_status read_section(const place *at, json_t *object, parsed *out, tic_error *err) {
    const char *key;
    json_t *value;
    json_object_foreach(object, key, value) {
        int i = 0;
        while (i < at->count && strcmp(key, at->rules[i].key) != 0)
            i++;
        if (i == at->count)
            return refuse_unknown(at, key, err);
        TIC_TRY(apply(at, &at->rules[i], value, out, err));
    }
    return TIC_OK;
}

/* The section `key` of the section `at`, by its own rules. Absent: nothing is changed. */
static tic_status read_inner(const place *at, json_t *object, const char *key, const rule *rules,
                             int count, parsed *out, tic_error *err) {
    json_t *section = json_object_get(object, key);
    if (!section)
        return TIC_OK;
    place inner = *at;
    inner.keys[inner.depth++] = key;
    inner.rules = rules;
    inner.count = count;
    return read_section(&inner, section, out, err);
}

static tic_status read_model(place at, json_t *model, parsed *out, tic_error *err) {
    at.rules = model_rules;
    at.count = (int)(sizeof model_rules / sizeof *model_rules);
    TIC_TRY(read_section(&at, model, out, err));
    const char *const needed[] = {"embed_dim", "vision_cfg", "text_cfg"};
    for (int i = 0; i < 3; i++)
        if (!json_object_get(model, needed[i]))
            return tic_fail(err, TIC_EINPUT, "%s:%d: the key \"%s\" is missing", at.file,
                            line_of(at.text, at.keys, at.depth), needed[i]);
    TIC_TRY(read_inner(&at, model, "vision_cfg", RULES(vision_rules), out, err));
    return read_inner(&at, model, "text_cfg", RULES(text_rules), out, err);
}

static tic_status read_file(const char *path, const char *text, json_t *root, parsed *out,
                            tic_error *err) {
    place at = {.file = path, .text = text, .rules = file_rules, .count = 2};
    if (!json_object_get(root, "model_cfg"))
        return read_model(at, root, out, err);
    TIC_TRY(read_section(&at, root, out, err));
    TIC_TRY(read_inner(&at, root, "preprocess_cfg", RULES(preprocess_rules), out, err));
    place model = at;
    model.keys[model.depth++] = "model_cfg";
    return read_model(model, json_object_get(root, "model_cfg"), out, err);
}

/* What OpenCLIP derives: heads = width // head_width, MLP width = int(width * ratio). */
static tic_status derive(parsed *p, const char *path, tic_error *err) {
    tic_config *c = &p->config;
    if (!(p->vision_ratio > 0 && p->vision_ratio <= 64 && p->text_ratio > 0 && p->text_ratio <= 64))
        return tic_fail(err, TIC_EINPUT, "%s: mlp_ratio is out of range (0 to 64)", path);
    c->vision_heads = c->vision_width / p->head_width;
    c->vision_mlp = (int)(c->vision_width * p->vision_ratio);
    c->text_mlp = (int)(c->text_width * p->text_ratio);
    return tic_config_check(c, path, err);
}

tic_status tic_config_parse(tic_config *config, const char *path, const char *text, size_t size,
                            tic_error *err) {
    json_error_t where;
    json_t *root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &where);
    if (!root)
        return tic_fail(err, TIC_EINPUT, "%s:%d: %s", path, where.line, where.text);
    parsed p = {.config = {.image_size = 224, /* OpenCLIP's defaults */
                           .patch_size = 16,
                           .vision_layers = 12,
                           .vision_width = 768,
                           .context_length = 77,
                           .vocab_size = 49408,
                           .text_layers = 12,
                           .text_width = 512,
                           .text_heads = 8},
                .head_width = 64,
                .vision_ratio = 4,
                .text_ratio = 4};
    tic_config_normalisation(&p.config);
    tic_status status = json_is_object(root)
                            ? read_file(path, text, root, &p, err)
                            : tic_fail(err, TIC_EINPUT, "%s:1: an object is needed", path);
    json_decref(root);
    if (status == TIC_OK)
        status = derive(&p, path, err);
    if (status == TIC_OK)
        *config = p.config;
    return status;
}
