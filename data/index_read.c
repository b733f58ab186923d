/* Random access to the pairs of an index: picture, caption, json fields. Stateless, so any number
 * of threads may read at once. */
#include "data/room.h"
#include <string.h>
#include <unistd.h>

static tic_status read_json(const tic_shard *shard, int file, const tic_pair *pair,
                            tic_buffer *buffer, json_t **json, tic_error *err) {
    char why[160];
    TIC_TRY(tic_span_read(buffer, shard, file, pair->json_at, pair->json_size, err));
    *json = tic_json_parse(buffer->bytes, pair->json_size, why);
    if (!*json)
        return tic_fail(err, TIC_EINPUT, "%s@%llu: not json: %s", shard->path,
                        (unsigned long long)pair->json_at, why);
    return TIC_OK;
}

/* A pair without .txt was indexed because its json has a caption. */
static tic_status caption_of_json(const tic_shard *shard, int file, const tic_pair *pair,
                                  tic_buffer *text, tic_error *err) {
    json_t *json;
    TIC_TRY(read_json(shard, file, pair, text, &json, err));
    const json_t *caption = json_object_get(json, "caption");
    tic_status status =
        json_is_string(caption)
            ? tic_buffer_set(text, json_string_value(caption), json_string_length(caption), err)
            : tic_fail(err, TIC_EINPUT, "%s@%llu: json without its caption", shard->path,
                       (unsigned long long)pair->json_at);
    json_decref(json);
    return status;
}

static tic_status read_members(const tic_index *index, uint32_t pair, int file, tic_buffer *image,
                               tic_buffer *text, tic_error *err) {
    const tic_pair *p = &index->pairs[pair];
    const tic_shard *shard = &index->shards[p->shard];
    if (image)
        TIC_TRY(tic_span_read(image, shard, file, p->image_at, p->image_size, err));
    return p->text_at ? tic_span_read(text, shard, file, p->text_at, p->text_size, err)
                      : caption_of_json(shard, file, p, text, err);
}

tic_status tic_index_read(const tic_index *index, uint32_t pair, tic_buffer *image,
                          tic_buffer *text, const char **caption, tic_error *err) {
    int file;
    TIC_TRY(tic_shard_open(&file, &index->shards[index->pairs[pair].shard], err));
    tic_status status = read_members(index, pair, file, image, text, err);
    close(file);
    if (status == TIC_OK)
        *caption = tic_caption_trim(text->bytes);
    return status;
}

tic_status tic_index_caption(tic_index *index, uint32_t pair, char **text, tic_error *err) {
    tic_buffer buffer = {0};
    const char *caption;
    *text = NULL;
    tic_status status = tic_index_read(index, pair, NULL, &buffer, &caption, err);
    if (status == TIC_OK)
        status = tic_strdup(text, caption, err);
    tic_free(buffer.bytes);
    return status;
}

static tic_status field_text(const json_t *field, char **value, tic_error *err) {
    char number[40];
    if (json_is_string(field))
        return tic_strdup(value, json_string_value(field), err);
    if (json_is_integer(field))
        snprintf(number, sizeof number, "%lld", (long long)json_integer_value(field));
    else if (json_is_real(field))
        snprintf(number, sizeof number, "%.17g", json_real_value(field));
    else
        return TIC_OK;
    return tic_strdup(value, number, err);
}

/* The pair's json; a new reference. */
static tic_status json_of(const tic_index *index, uint32_t pair, json_t **json, tic_error *err) {
    const tic_pair *p = &index->pairs[pair];
    const tic_shard *shard = &index->shards[p->shard];
    tic_buffer buffer = {0};
    int file;
    *json = NULL;
    TIC_TRY(tic_shard_open(&file, shard, err));
    tic_status status = read_json(shard, file, p, &buffer, json, err);
    close(file);
    tic_free(buffer.bytes);
    return status;
}

tic_status tic_index_field(tic_index *index, uint32_t pair, const char *field, char **value,
                           tic_error *err) {
    json_t *json;
    *value = NULL;
    TIC_TRY(json_of(index, pair, &json, err));
    tic_status status = field_text(json_object_get(json, field), value, err);
    json_decref(json);
    return status;
}

tic_status tic_index_time(tic_index *index, uint32_t pair, const char *field, int64_t *time,
                          bool *known, tic_error *err) {
    json_t *json;
    *known = false;
    TIC_TRY(json_of(index, pair, &json, err));
    *known = tic_time_parse(json_object_get(json, field), time);
    json_decref(json);
    return TIC_OK;
}
