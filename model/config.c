/* Named configurations: OpenCLIP's plain ViTs, and small ones of our own for the embedded data set.
 * Also what every configuration must satisfy, wherever it comes from. */
#include "room.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* ---- the table ------------------------------------------------------------------------------- */

typedef struct native {
    const char *name;
    int embed, image, patch;
    int vision_width, vision_layers, head_width;
    int text_width, text_heads, text_layers;
    bool quick_gelu;
} native;

/* Context 77 and CLIP's 49,408 tokens throughout; a run sets vocab_size to its own vocabulary's.
 * name, embed, image, patch, vision width, layers, head width, text width, heads, layers */
static const native natives[] = {
    {"ViT-Pico-8-40", 64, 40, 8, 64, 2, 16, 64, 4, 2, false},
    {"ViT-Nano-8-40", 128, 40, 8, 128, 3, 32, 128, 4, 3, false},
    {"ViT-Micro-8-40", 192, 40, 8, 192, 4, 32, 192, 6, 4, false},
    {"ViT-S-32", 384, 224, 32, 384, 12, 64, 384, 6, 12, false},
    {"ViT-S-16", 384, 224, 16, 384, 12, 64, 384, 6, 12, false},
    {"ViT-S-32-alt", 256, 224, 32, 384, 12, 64, 256, 4, 10, false},
    {"ViT-S-16-alt", 256, 224, 16, 384, 12, 64, 256, 4, 10, false},
    {"ViT-M-32", 512, 224, 32, 512, 12, 64, 512, 8, 12, false},
    {"ViT-M-16", 512, 224, 16, 512, 12, 64, 512, 8, 12, false},
    {"ViT-M-32-alt", 384, 224, 32, 512, 12, 64, 384, 6, 12, false},
    {"ViT-B-32", 512, 224, 32, 768, 12, 64, 512, 8, 12, false},
    {"ViT-B-32-quickgelu", 512, 224, 32, 768, 12, 64, 512, 8, 12, true},
    {"ViT-B-16", 512, 224, 16, 768, 12, 64, 512, 8, 12, false},
    {"ViT-B-16-quickgelu", 512, 224, 16, 768, 12, 64, 512, 8, 12, true},
    {"ViT-L-14", 768, 224, 14, 1024, 24, 64, 768, 12, 12, false},
    {"ViT-L-14-quickgelu", 768, 224, 14, 1024, 24, 64, 768, 12, 12, true},
    {"ViT-H-14", 1024, 224, 14, 1280, 32, 80, 1024, 16, 24, false},
};
enum { NATIVES = sizeof natives / sizeof *natives };

static const float openai_mean[3] = {0.48145466f, 0.4578275f, 0.40821073f};
static const float openai_std[3] = {0.26862954f, 0.26130258f, 0.27577711f};

void tic_config_normalisation(tic_config *config) {
    memcpy(config->mean, openai_mean, sizeof config->mean);
    memcpy(config->std, openai_std, sizeof config->std);
}

static void expand(const native *n, tic_config *out) {
    *out = (tic_config){
        .embed_dim = n->embed,
        .quick_gelu = n->quick_gelu,
        .image_size = n->image,
        .patch_size = n->patch,
        .vision_layers = n->vision_layers,
        .vision_width = n->vision_width,
        .vision_heads = n->vision_width / n->head_width,
        .vision_mlp = 4 * n->vision_width,
        .context_length = 77,
        .vocab_size = 49408,
        .text_layers = n->text_layers,
        .text_width = n->text_width,
        .text_heads = n->text_heads,
        .text_mlp = 4 * n->text_width,
    };
    tic_config_normalisation(out);
    snprintf(out->name, sizeof out->name, "%s", n->name);
}

int tic_config_count(void) {
    return NATIVES;
}

const char *tic_config_name(int i) {
    return natives[i].name;
}

/* ---- what must hold -------------------------------------------------------------------------- */

typedef struct range {
    const char *name;
    int value, min, max;
} range;

static tic_status check_division(const char *where, const char *what, int whole, const char *by,
                                 int part, tic_error *err) {
    if (whole % part != 0)
        return tic_fail(err, TIC_EINPUT, "%s: %s %d is not a multiple of %s %d", where, what, whole,
                        by, part);
    return TIC_OK;
}

tic_status tic_config_check(const tic_config *c, const char *where, tic_error *err) {
    const range ranges[] = {
        {"embed_dim", c->embed_dim, 1, 1 << 14},
        {"image_size", c->image_size, 1, 4096},
        {"patch_size", c->patch_size, 1, 4096},
        {"vision layers", c->vision_layers, 1, TIC_MAX_LAYERS},
        {"vision width", c->vision_width, 1, 1 << 14},
        {"vision heads", c->vision_heads, 1, 1 << 10},
        {"vision MLP width", c->vision_mlp, 1, 1 << 17},
        {"context_length", c->context_length, 2, TIC_CONTEXT_MAX},
        {"vocab_size", c->vocab_size, 3, 1 << 22},
        {"text layers", c->text_layers, 1, TIC_MAX_LAYERS},
        {"text width", c->text_width, 1, 1 << 14},
        {"text heads", c->text_heads, 1, 1 << 10},
        {"text MLP width", c->text_mlp, 1, 1 << 17},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i].value < ranges[i].min || ranges[i].value > ranges[i].max)
            return tic_fail(err, TIC_EINPUT, "%s: %s %d is out of range (%d to %d)", where,
                            ranges[i].name, ranges[i].value, ranges[i].min, ranges[i].max);
    TIC_TRY(check_division(where, "image_size", c->image_size, "patch_size", c->patch_size, err));
    TIC_TRY(
        check_division(where, "vision width", c->vision_width, "its heads", c->vision_heads, err));
    TIC_TRY(check_division(where, "text width", c->text_width, "its heads", c->text_heads, err));
    for (int i = 0; i < 3; i++)
        if (!(c->std[i] > 0) || !(c->mean[i] > -1e3f && c->mean[i] < 1e3f) || c->std[i] > 1e3f)
            return tic_fail(err, TIC_EINPUT, "%s: mean %g and std %g of channel %d are impossible",
                            where, c->mean[i], c->std[i], i);
    return TIC_OK;
}

bool tic_config_equal(const tic_config *a, const tic_config *b) {
    return a->embed_dim == b->embed_dim && a->quick_gelu == b->quick_gelu &&
           a->image_size == b->image_size && a->patch_size == b->patch_size &&
           a->vision_layers == b->vision_layers && a->vision_width == b->vision_width &&
           a->vision_heads == b->vision_heads && a->vision_mlp == b->vision_mlp &&
           a->context_length == b->context_length && a->vocab_size == b->vocab_size &&
           a->text_layers == b->text_layers && a->text_width == b->text_width &&
           a->text_heads == b->text_heads && a->text_mlp == b->text_mlp &&
           memcmp(a->mean, b->mean, sizeof a->mean) == 0 &&
           memcmp(a->std, b->std, sizeof a->std) == 0;
}

/* ---- finding --------------------------------------------------------------------------------- */

enum { MAX_JSON = 1 << 20 };

/* The last part of the path, without ".json". */
static void name_after(tic_config *config, const char *path) {
    size_t end = strlen(path);
    while (end > 1 && path[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && path[begin - 1] != '/')
        begin--;
    if (end - begin > 5 && strncmp(path + end - 5, ".json", 5) == 0)
        end -= 5;
    snprintf(config->name, sizeof config->name, "%.*s", (int)(end - begin), path + begin);
}

static tic_status load(tic_config *out, const char *path, tic_error *err) {
    char file[4096];
    struct stat info;
    const bool folder = stat(path, &info) == 0 && S_ISDIR(info.st_mode);
    if (folder)
        TIC_TRY(tic_path_join(file, sizeof file, path, "open_clip_config.json", err));
    const char *name = folder ? file : path;
    char *text = NULL;
    size_t size = 0;
    TIC_TRY(tic_file_read(name, MAX_JSON, &text, &size, err));
    tic_config config;
    const tic_status status = tic_config_parse(&config, name, text, size, err);
    tic_free(text);
    if (status != TIC_OK)
        return status;
    name_after(&config, path);
    *out = config;
    return TIC_OK;
}

static bool is_path(const char *name) {
    const size_t n = strlen(name);
    return strchr(name, '/') || (n > 5 && strcmp(name + n - 5, ".json") == 0) ||
           tic_file_exists(name);
}

tic_status tic_config_find(tic_config *out, const char *name_or_path, tic_error *err) {
    const char *names[NATIVES];
    for (int i = 0; i < NATIVES; i++) {
        names[i] = natives[i].name;
        if (strcmp(name_or_path, names[i]) == 0) {
            expand(&natives[i], out);
            return TIC_OK;
        }
    }
    if (is_path(name_or_path))
        return load(out, name_or_path, err);
    const char *near = tic_nearest(name_or_path, tic_name_in, names, NATIVES);
    return tic_fail(err, TIC_EUSAGE, "no model is called \"%s\"%s%s%s", name_or_path,
                    near == NULL ? "; a name, a model json or a folder is needed"
                                 : "; did you mean \"",
                    near == NULL ? "" : near, near == NULL ? "" : "\"?");
}
