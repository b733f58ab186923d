/* Writes open_clip_config.json: the form that `open_clip.create_model('local-dir:...')` and
 * config_json.c read. */
#include "room.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

/* A ratio for which OpenCLIP's int(width * ratio) is `mlp` again. */
static double mlp_ratio(int width, int mlp) {
    double ratio = (double)mlp / width;
    while ((int)(width * ratio) < mlp)
        ratio = nextafter(ratio, INFINITY);
    return ratio;
}

static void set_ratio(json_t *section, int width, int mlp) {
    if (mlp != 4 * width) /* 4 is the default */
        json_object_set_new(section, "mlp_ratio", json_real(mlp_ratio(width, mlp)));
}

static json_t *channels(const float *x) {
    return json_pack("[fff]", (double)x[0], (double)x[1], (double)x[2]);
}

static json_t *vision(const tic_config *c) {
    json_t *section =
        json_pack("{si si si si}", "image_size", c->image_size, "layers", c->vision_layers, "width",
                  c->vision_width, "patch_size", c->patch_size);
    const int head_width = c->vision_width / c->vision_heads;
    if (head_width != 64)
        json_object_set_new(section, "head_width", json_integer(head_width));
    set_ratio(section, c->vision_width, c->vision_mlp);
    return section;
}

static json_t *text(const tic_config *c) {
    json_t *section = json_pack("{si si si si si}", "context_length", c->context_length,
                                "vocab_size", c->vocab_size, "width", c->text_width, "heads",
                                c->text_heads, "layers", c->text_layers);
    set_ratio(section, c->text_width, c->text_mlp);
    return section;
}

tic_status tic_config_json(const tic_config *config, char **out, tic_error *err) {
    *out = NULL;
    json_t *model = json_pack("{si so so}", "embed_dim", config->embed_dim, "vision_cfg",
                              vision(config), "text_cfg", text(config));
    if (config->quick_gelu)
        json_object_set_new(model, "quick_gelu", json_true());
    json_t *root = json_pack("{so s{so so ss ss}}", "model_cfg", model, "preprocess_cfg", "mean",
                             channels(config->mean), "std", channels(config->std), "interpolation",
                             "bicubic", "resize_mode", "shortest");
    char *dump = root ? json_dumps(root, JSON_INDENT(4) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(root);
    if (!dump)
        return tic_fail(err, TIC_ERESOURCE, "no memory for a configuration");
    const tic_status status = tic_strdup(out, dump, err);
    free(dump); /* jansson's */
    return status;
}
