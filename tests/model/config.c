/* Configurations: the native ones against OpenCLIP's figures (reference/openclip.md), the json both
 * ways, and what is refused. */
#include "tests/model/support.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- the reference's table ------------------------------------------------------------------- */

typedef struct figures {
    const char *name;
    double parameters, image, text; /* M, GMACs, GMACs, as printed */
} figures;

static void expect_printed(const char *name, const char *what, double got, double printed) {
    cr_expect(fabs(got - printed) <= 0.005 + 1e-9, "%s %s: %.4f, printed %.2f", name, what, got,
              printed);
}

Test(config, reference_table) {
    static const figures table[] = {
        {"ViT-S-32", 63.09, 1.14, 1.69},   {"ViT-S-16", 62.26, 4.60, 1.69},
        {"ViT-M-16", 102.02, 7.99, 2.98},  {"ViT-B-32", 151.28, 4.41, 2.98},
        {"ViT-B-16", 149.62, 17.56, 2.98}, {"ViT-L-14", 427.62, 81.01, 6.65},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        const figures *f = &table[i];
        tic_config config;
        MUST(tic_config_find(&config, f->name, err));
        expect_printed(f->name, "parameters", (double)tic_config_parameters(&config) / 1e6,
                       f->parameters);
        expect_printed(f->name, "image", (double)tic_nominal_image(&config) / 1e9, f->image);
        expect_printed(f->name, "text", (double)tic_nominal_text(&config) / 1e9, f->text);
        cr_expect(tic_nominal_train(&config) ==
                  3 * (tic_nominal_image(&config) + tic_nominal_text(&config)));
    }
}

Test(config, exact_parameters) {
    tic_config config;
    MUST(tic_config_find(&config, "ViT-B-16", err));
    cr_expect(tic_config_parameters(&config) == 149620737);
}

/* ---- json ------------------------------------------------------------------------------------ */

static const char *write_json(const char *text) {
    static char path[600];
    snprintf(path, sizeof path, "%s/model.json", test_folder("config"));
    MUST(tic_file_write(path, text, strlen(text), err));
    return path;
}

static void expect_same(const tic_config *a, const tic_config *b) {
    tic_config x = *a, y = *b;
    memset(x.name, 0, sizeof x.name);
    memset(y.name, 0, sizeof y.name);
    cr_expect(memcmp(&x, &y, sizeof x) == 0, "%s", a->name);
}

Test(config, every_native_survives_its_json) {
    for (int i = 0; i < tic_config_count(); i++) {
        tic_config config, again;
        memset(&config, 0, sizeof config);
        memset(&again, 0, sizeof again);
        MUST(tic_config_find(&config, tic_config_name(i), err));
        char *text = NULL;
        MUST(tic_config_json(&config, &text, err));
        MUST(tic_config_find(&again, write_json(text), err));
        expect_same(&config, &again);
        tic_free(text);
    }
}

Test(config, openclip_json_with_usual_options) {
    tic_config config, native;
    MUST(tic_config_find(&native, "ViT-B-32-quickgelu", err));
    MUST(tic_config_find(
        &config,
        write_json("{\"embed_dim\": 512, \"quick_gelu\": true, \"custom_text\": false,\n"
                   " \"vision_cfg\": {\"image_size\": [224, 224], \"layers\": 12, \"width\": 768,"
                   " \"patch_size\": 32, \"ls_init_value\": null, \"patch_dropout\": 0.0,"
                   " \"pool_type\": \"tok\", \"mlp_ratio\": 4},\n"
                   " \"text_cfg\": {\"context_length\": 77, \"vocab_size\": 49408, \"width\": 512,"
                   " \"heads\": 8, \"layers\": 12, \"pad_id\": 0}}"),
        err));
    cr_expect(strcmp(config.name, "model") == 0);
    cr_expect(config.quick_gelu && config.vision_heads == 12 && config.vision_mlp == 3072);
    cr_expect(tic_config_parameters(&config) == tic_config_parameters(&native));
}

Test(config, mlp_ratio_survives) {
    tic_config config = test_config(false), again;
    config.vision_mlp = 101; /* 101 / 24 is no binary fraction */
    config.text_mlp = 7;
    char *text = NULL;
    MUST(tic_config_json(&config, &text, err));
    MUST(tic_config_find(&again, write_json(text), err));
    cr_expect(again.vision_mlp == 101 && again.text_mlp == 7);
    cr_expect(again.vision_heads == config.vision_heads);
    tic_free(text);
}

/* ---- refused --------------------------------------------------------------------------------- */

static void expect_refused(const char *json, const char *first, const char *second) {
    tic_config config;
    tic_error err = {0};
    const tic_status status = tic_config_find(&config, write_json(json), &err);
    cr_expect(status == TIC_EINPUT, "%s", json);
    cr_expect(strstr(err.text, first) != NULL, "\"%s\" not in: %s", first, err.text);
    cr_expect(strstr(err.text, second) != NULL, "\"%s\" not in: %s", second, err.text);
    cr_expect(strchr(err.text, '\n') == NULL);
}

#define VISION                                                                                     \
    "\"vision_cfg\": {\"image_size\": 32, \"layers\": 2, \"width\": 64, \"patch_size\": 8}"
#define TEXT "\"text_cfg\": {\"width\": 64, \"heads\": 2, \"layers\": 2}"

Test(config, refuses_with_key_and_line) {
    expect_refused(
        "{\"embed_dim\": 64,\n \"vision_cfg\": {\"layers\": 2,\n \"head_widht\": 32},\n" TEXT "}",
        ".json:3: unknown key \"head_widht\"", "\"head_width\"");
    expect_refused("{\"embed_dim\": 64,\n \"layers\": 3, " VISION ", " TEXT "}",
                   ".json:2: unknown key \"layers\"", "layers");
    expect_refused("{\"embed_dim\": 64,\n" VISION ",\n \"text_cfg\": {\"layers\": 2,\n\n"
                   "\"no_causal_mask\": true}}",
                   ".json:5: no_causal_mask", "not supported");
    expect_refused("{\"embed_dim\": 64, \"vision_cfg\": {\"layers\": [3, 4, 6, 3]}, " TEXT "}",
                   ".json:1: layers", "whole number");
    expect_refused("{\"embed_dim\": \"64\", " VISION ", " TEXT "}", ".json:1: embed_dim",
                   "whole number");
    expect_refused("{\"embed_dim\": 64,\n" VISION "}", ".json:", "\"text_cfg\" is missing");
    expect_refused("{\"model_cfg\": {\"embed_dim\": 64, " VISION ", " TEXT "},\n"
                   "\"preprocess_cfg\": {\"resize_mode\":\n \"squash\"}}",
                   ".json:2: resize_mode", "shortest");
    expect_refused("{\"embed_dim\": 64, \"embed_dim\": 32}", ".json:1", "duplicate");
    expect_refused("{\"embed_dim\": 64", ".json:1", "");
    expect_refused("[]", ".json:1", "object");
}

Test(config, refuses_sizes) {
    expect_refused(
        "{\"embed_dim\": 64, \"vision_cfg\": {\"image_size\": 30, \"patch_size\": 8}, " TEXT "}",
        "image_size 30", "multiple of patch_size 8");
    expect_refused("{\"embed_dim\": 64, \"vision_cfg\": {\"layers\": 100}, " TEXT "}", "layers 100",
                   "out of range");
    expect_refused("{\"embed_dim\": 64, \"vision_cfg\": {\"width\": 99999999999}, " TEXT "}",
                   "width", "out of range");
    expect_refused("{\"embed_dim\": 64, " VISION ", \"text_cfg\": {\"heads\": 7}}",
                   "text width 512", "heads 7");
}

Test(config, unknown_name_suggests) {
    tic_config config;
    tic_error err = {0};
    cr_expect(tic_config_find(&config, "ViT-B32", &err) == TIC_EUSAGE);
    cr_expect(strstr(err.text, "\"ViT-B-32\"") != NULL, "%s", err.text);
    cr_expect(tic_config_find(&config, "nowhere/model.json", &err) == TIC_EINPUT);
}
