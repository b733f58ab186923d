/* A sample as it stands in its shard: picture, caption and json. */
#include "data/world/room.h"
#include <stdio.h>
#include <string.h>

static const char *const textures[] = {"plain", "striped", "dotted", "checked"};
static const char *const relations[] = {"left", "right", "above", "below"};
static const char *const weathers[] = {"clear", "sun", "rain", "snow", "fog"};
static const char *const lights[] = {"day", "dusk", "night"};
static const char *const sizes[] = {"small", "medium", "big"};
static const char *const defects[] = {"none", "mismatched", "duplicate", "foreign", "too-short"};

tic_status tic_world_jpeg(const tic_world_scene *scene, tic_world_style style,
                          tic_world_draws *draws, uint8_t **bytes, size_t *size, tic_error *err) {
    tic_image image;
    TIC_TRY(tic_world_paint(&image, scene, style, draws, err));
    tic_status status = tic_jpeg_encode(&image, scene->quality, bytes, size, err);
    tic_free(image.pixels);
    return status;
}

static tic_status put_objects(tic_world_bytes *json, const tic_world_scene *scene, tic_error *err) {
    for (int i = 0; i < scene->objects; i++) {
        const tic_world_object *object = &scene->object[i];
        TIC_TRY(tic_world_format(json, err,
                                 "%s{\"kind\": \"%s\", \"look\": %d, \"color\": \"%s\", "
                                 "\"texture\": \"%s\", \"size\": \"%s\", \"count\": %d}",
                                 i ? ", " : "", tic_world_kinds[object->kind].name, object->look,
                                 tic_world_colours[object->colour].name, textures[object->texture],
                                 sizes[object->bulk], object->count));
    }
    return TIC_OK;
}

static tic_status put_json(tic_world_bytes *json, const tic_world_sample *sample, tic_error *err) {
    const tic_world_scene *scene = &sample->scene;
    const tic_world_kind *label = &tic_world_kinds[scene->object[0].kind];
    TIC_TRY(tic_world_format(
        json, err,
        "{\"uid\": \"%016llx%016llx\", \"caption\": \"%s\", \"timestamp\": %lld, "
        "\"crawl_timestamp\": %lld, \"domain\": \"%s\", \"language\": \"%s\", \"label\": \"%s\", "
        "\"subtree\": \"%s\", ",
        (unsigned long long)sample->uid.hi, (unsigned long long)sample->uid.lo, sample->caption,
        (long long)sample->time, (long long)sample->crawled, scene->studio ? "studio" : "web",
        sample->language, label->name, label->subtree));
    if (tic_world_has_keyword(scene))
        TIC_TRY(tic_world_format(json, err, "\"keyword\": \"%s\", ", tic_world_keyword));
    TIC_TRY(tic_world_format(json, err, "\"objects\": ["));
    TIC_TRY(put_objects(json, scene, err));
    return tic_world_format(
        json, err,
        "], \"background\": \"%s\", \"place\": \"%s\", \"weather\": \"%s\", \"light\": \"%s\", "
        "\"width\": %d, \"height\": %d, \"quality\": %d, \"defect\": \"%s\"}\n",
        scene->studio ? "plain" : tic_world_backgrounds[scene->background].name,
        scene->objects > 1 ? relations[scene->relation] : "alone", weathers[scene->weather],
        lights[scene->light], scene->width, scene->height, scene->quality, defects[sample->defect]);
}

static tic_status put_members(tic_world_bytes *tar, const tic_world_sample *sample,
                              const uint8_t *jpeg, size_t jpeg_size, const tic_world_bytes *json,
                              tic_error *err) {
    char name[32];
    unsigned long long number = (unsigned long long)sample->number;
    snprintf(name, sizeof name, "%09llu.jpg", number);
    TIC_TRY(tic_world_tar_member(tar, name, jpeg, jpeg_size, err));
    snprintf(name, sizeof name, "%09llu.json", number);
    TIC_TRY(tic_world_tar_member(tar, name, json->at, json->used, err));
    snprintf(name, sizeof name, "%09llu.txt", number);
    return tic_world_tar_member(tar, name, sample->caption, strlen(sample->caption), err);
}

tic_status tic_world_put_record(tic_world_bytes *tar, void *user, uint64_t number, tic_error *err) {
    const tic_world_options *options = user;
    tic_world_sample sample;
    tic_world_sample_at(&sample, options, number);
    tic_world_draws draws = tic_world_draws_at(options->seed, sample.original, TIC_WORLD_PIXELS);
    uint8_t *jpeg = NULL;
    size_t jpeg_size = 0;
    TIC_TRY(tic_world_jpeg(&sample.scene, TIC_WORLD_AS_IS, &draws, &jpeg, &jpeg_size, err));
    tic_world_bytes json = {0};
    tic_status status = put_json(&json, &sample, err);
    if (status == TIC_OK)
        status = put_members(tar, &sample, jpeg, jpeg_size, &json, err);
    tic_free(json.at);
    tic_free(jpeg);
    return status;
}
