/* The world's evaluation: classes.json for the dynamic task, and static sets in CLIP_benchmark's
 * folders. Static pictures come from the studio, which no time changes. */
#include "data/world/room.h"
#include <stdio.h>
#include <string.h>

enum { PATH = 4096 };

/* Evaluation pictures are samples beyond every possible number of pairs. */
static const uint64_t first_eval_sample = (uint64_t)1 << 48;
/* The classification sets show the same scenes, the retrieval set others. */
enum { FIRST_RETRIEVAL = 1 << 20 };

/* No "a {c}": some kinds want "an". */
static const char *const templates[] = {
    "a photo of the {c}",
    "a picture of one {c}",
    "an image showing this {c}",
    "just the {c}",
    "studio shot: {c} in the middle, neutral background",
};
enum { TEMPLATES = sizeof templates / sizeof *templates };

typedef struct evalset {
    const char *name;
    bool retrieval;
    tic_world_style style;
} evalset;
static const evalset evalsets[] = {
    {"static-classification", false, TIC_WORLD_AS_IS},
    {"static-classification-sketch", false, TIC_WORLD_SKETCH},
    {"static-classification-noise", false, TIC_WORLD_NOISE},
    {"static-classification-night", false, TIC_WORLD_AT_NIGHT},
    {"static-retrieval", true, TIC_WORLD_AS_IS},
};
enum { SETS = sizeof evalsets / sizeof *evalsets };

/* Kinds that the studio shows, in the table's order; their number. */
static int studio_kinds(int kinds[TIC_WORLD_KINDS]) {
    int count = 0;
    for (int kind = 0; kind < TIC_WORLD_KINDS; kind++)
        if (tic_world_kinds[kind].life != TIC_WORLD_FAMILY)
            kinds[count++] = kind;
    return count;
}

static uint64_t pictures_of(const evalset *set) {
    int kinds[TIC_WORLD_KINDS];
    return (uint64_t)(set->retrieval ? tic_world_parameter.eval_retrieval
                                     : studio_kinds(kinds) * tic_world_parameter.eval_per_class);
}

uint64_t tic_world_eval_pictures(void) {
    uint64_t pictures = 0;
    for (int i = 0; i < SETS; i++)
        pictures += pictures_of(&evalsets[i]);
    return pictures;
}

/* Captions of one picture, a line each, no two alike. */
static tic_status put_captions(tic_world_bytes *text, const tic_world_scene *scene,
                               tic_world_draws *draws, tic_error *err) {
    char caption[TIC_WORLD_CAPTION_BYTES], before[TIC_WORLD_CAPTION_BYTES] = "";
    for (int i = 0; i < tic_world_parameter.eval_captions; i++) {
        do
            tic_world_caption(scene, draws, caption, sizeof caption);
        while (strcmp(caption, before) == 0);
        strcpy(before, caption);
        TIC_TRY(tic_world_format(text, err, "%s%s", i ? "\n" : "", caption));
    }
    return TIC_OK;
}

typedef struct set_work {
    const tic_world_options *options;
    const evalset *set;
} set_work;

static tic_status put_members(tic_world_bytes *tar, uint64_t picture, const char *extension,
                              const tic_world_bytes *target, const uint8_t *jpeg, size_t size,
                              tic_error *err) {
    char name[32];
    snprintf(name, sizeof name, "%06llu.%s", (unsigned long long)picture, extension);
    TIC_TRY(tic_world_tar_member(tar, name, target->at, target->used, err));
    snprintf(name, sizeof name, "%06llu.jpg", (unsigned long long)picture);
    return tic_world_tar_member(tar, name, jpeg, size, err);
}

static tic_status put_picture(tic_world_bytes *tar, void *user, uint64_t picture, tic_error *err) {
    const set_work *work = user;
    const tic_world_options *options = work->options;
    uint64_t sample = first_eval_sample + (work->set->retrieval ? FIRST_RETRIEVAL : 0) + picture;
    tic_world_draws draws = tic_world_draws_at(options->seed, sample, TIC_WORLD_SCENE);
    tic_world_draws pixels = tic_world_draws_at(options->seed, sample, TIC_WORLD_PIXELS);
    tic_world_scene scene;
    tic_world_bytes target = {0};
    tic_status status;
    if (work->set->retrieval) {
        tic_world_sample_scene(&scene, &draws, 0, true, options->size);
        status = put_captions(&target, &scene, &draws, err);
    } else {
        int kinds[TIC_WORLD_KINDS], count = studio_kinds(kinds), class = (int)picture % count;
        tic_world_single_scene(&scene, &draws, kinds[class], options->size);
        status = tic_world_format(&target, err, "%d", class);
    }
    uint8_t *jpeg = NULL;
    size_t size = 0;
    if (status == TIC_OK)
        status = tic_world_jpeg(&scene, work->set->style, &pixels, &jpeg, &size, err);
    if (status == TIC_OK)
        status = put_members(tar, picture, work->set->retrieval ? "txt" : "cls", &target, jpeg,
                             size, err);
    tic_free(jpeg);
    tic_free(target.at);
    return status;
}

static tic_status put_names(tic_world_bytes *text, tic_error *err) {
    int kinds[TIC_WORLD_KINDS], count = studio_kinds(kinds);
    for (int i = 0; i < count; i++)
        TIC_TRY(tic_world_format(text, err, "%s\n", tic_world_kinds[kinds[i]].name));
    return TIC_OK;
}

static tic_status put_templates(tic_world_bytes *text, tic_error *err) {
    for (int i = 0; i < TEMPLATES; i++)
        TIC_TRY(tic_world_format(text, err, "%s\n", templates[i]));
    return TIC_OK;
}

static tic_status put_classes(tic_world_bytes *json, tic_error *err) {
    TIC_TRY(tic_world_format(json, err, "{\"field\": \"label\",\n \"templates\": ["));
    for (int i = 0; i < TEMPLATES; i++)
        TIC_TRY(tic_world_format(json, err, "%s\"%s\"", i ? ", " : "", templates[i]));
    TIC_TRY(tic_world_format(json, err, "],\n \"classes\": ["));
    for (int i = 0; i < TIC_WORLD_KINDS; i++)
        TIC_TRY(tic_world_format(json, err,
                                 "%s\n  {\"label\": \"%s\", \"name\": \"%s\", \"subtree\": \"%s\"}",
                                 i ? "," : "", tic_world_kinds[i].name, tic_world_kinds[i].name,
                                 tic_world_kinds[i].subtree));
    return tic_world_format(json, err, "]}\n");
}

typedef tic_status (*content_fn)(tic_world_bytes *text, tic_error *err);

static tic_status write_text(const char *folder, const char *name, content_fn content,
                             tic_error *err) {
    char path[PATH];
    tic_world_bytes text = {0};
    tic_status status = tic_path_join(path, sizeof path, folder, name, err);
    if (status == TIC_OK)
        status = content(&text, err);
    if (status == TIC_OK)
        status = tic_file_write(path, text.at, text.used, err);
    tic_free(text.at);
    return status;
}

static tic_status write_line(const char *folder, const char *name, const char *line,
                             tic_error *err) {
    char path[PATH];
    TIC_TRY(tic_path_join(path, sizeof path, folder, name, err));
    return tic_file_write(path, line, strlen(line), err);
}

static tic_status describe(const char *folder, const evalset *set, tic_error *err) {
    if (set->retrieval)
        return write_line(folder, "dataset_type.txt", "retrieval\n", err);
    TIC_TRY(write_line(folder, "dataset_type.txt", "zeroshot_classification\n", err));
    TIC_TRY(write_text(folder, "classnames.txt", put_names, err));
    return write_text(folder, "zeroshot_classification_templates.txt", put_templates, err);
}

static tic_status write_set(const tic_world_options *options, const evalset *set, uint64_t done,
                            uint64_t total, tic_error *err) {
    char eval[PATH], folder[PATH], test[PATH], path[PATH];
    TIC_TRY(tic_path_join(eval, sizeof eval, options->folder, "eval", err));
    TIC_TRY(tic_path_join(folder, sizeof folder, eval, set->name, err));
    TIC_TRY(tic_path_join(test, sizeof test, folder, "test", err));
    TIC_TRY(tic_make_folder(test, err));
    TIC_TRY(tic_world_sweep(folder, tic_world_is_leftover, err));
    TIC_TRY(tic_world_sweep(test, tic_world_is_leftover, err));
    TIC_TRY(describe(folder, set, err));
    set_work work = {.options = options, .set = set};
    const tic_world_tar tar = {.options = options,
                               .item = put_picture,
                               .user = &work,
                               .count = pictures_of(set),
                               .done_before = done,
                               .total = total};
    TIC_TRY(tic_path_join(path, sizeof path, test, "0.tar", err));
    TIC_TRY(tic_world_write_tar(path, &tar, err));
    return write_line(test, "nshards.txt", "1\n", err);
}

tic_status tic_world_write_evalsets(const tic_world_options *options, uint64_t done, uint64_t total,
                                    tic_error *err) {
    for (int i = 0; i < SETS; i++) {
        TIC_TRY(write_set(options, &evalsets[i], done, total, err));
        done += pictures_of(&evalsets[i]);
    }
    return write_text(options->folder, "classes.json", put_classes, err);
}
