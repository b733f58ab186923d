/* One sample of a shard: its members read, its identity and time found, or the reason why it cannot
 * be used. */
#include "data/room.h"
#include <string.h>
#include <utf8proc.h>

static bool is_blank(char c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

char *tic_caption_trim(char *text) {
    size_t n = strlen(text);
    while (n > 0 && is_blank(text[n - 1]))
        n--;
    text[n] = 0;
    while (is_blank(*text))
        text++;
    return text;
}

static bool is_utf8(const char *text, size_t size) {
    const utf8proc_uint8_t *at = (const utf8proc_uint8_t *)text;
    for (size_t i = 0; i < size;) {
        utf8proc_int32_t c;
        utf8proc_ssize_t step = utf8proc_iterate(at + i, (utf8proc_ssize_t)(size - i), &c);
        if (step <= 0 || c == 0)
            return false;
        i += (size_t)step;
    }
    return true;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* DataComp's uids are 32 hexadecimal digits: as numbers they compare as in its .npy lists. Any
 * other text is hashed. */
static tic_id id_of_uid(const char *uid) {
    tic_id id = {0, 0};
    size_t n = strlen(uid);
    bool hex = n == 32;
    for (size_t i = 0; hex && i < 32; i++) {
        uint64_t *half = i < 16 ? &id.hi : &id.lo;
        hex = hex_digit(uid[i]) >= 0;
        *half = *half << 4 | (uint64_t)(hex_digit(uid[i]) & 15);
    }
    return hex ? id : tic_id_of(uid, n);
}

/* The json's uid, text or integer. */
static bool find_uid(const json_t *json, tic_id *id) {
    const json_t *uid = json_object_get(json, "uid");
    char text[32];
    if (json_is_string(uid) && json_string_length(uid) > 0)
        *id = id_of_uid(json_string_value(uid));
    else if (json_is_integer(uid))
        *id = tic_id_of(
            text, (size_t)snprintf(text, sizeof text, "%lld", (long long)json_integer_value(uid)));
    else
        return false;
    return true;
}

/* SHA-256 of the picture's size (8 bytes, little-endian), its bytes and the caption. */
static tic_id content_hash(const void *image, size_t size, const char *caption) {
    tic_sha256 hash;
    uint8_t length[8];
    for (int i = 0; i < 8; i++)
        length[i] = (uint8_t)(size >> (8 * i));
    tic_sha256_init(&hash);
    tic_sha256_add(&hash, length, sizeof length);
    tic_sha256_add(&hash, image, size);
    tic_sha256_add(&hash, caption, strlen(caption));
    return tic_hash_end(&hash);
}

/* In the field `own`, or in the usual ones where there is none. */
static bool find_time(const json_t *json, const char *own, int64_t *time) {
    static const char *const fields[] = {"timestamp", "created_utc", "dateuploaded"};
    if (own != NULL && own[0] != 0)
        return tic_time_parse(json_object_get(json, own), time);
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (tic_time_parse(json_object_get(json, fields[i]), time))
            return true;
    return false;
}

/* What one sample is judged by. */
typedef struct material {
    tic_sample *sample;
    const tic_group *group;
    const tic_shard *shard;
    int file;
    const tic_index_options *options;
    tic_sample_scratch *scratch;
    json_t *json;
    char *caption;
} material;

static tic_status read_part(material *m, tic_part part, tic_buffer *buffer, tic_error *err) {
    tic_span span = m->group->part[part];
    return tic_span_read(buffer, m->shard, m->file, span.at, span.size, err);
}

static tic_status read_json(material *m, tic_reject *reject, tic_error *err) {
    tic_span span = m->group->part[TIC_PART_JSON];
    *reject = TIC_REJECT_NO_JSON;
    if (span.at == 0 || span.size > TIC_JSON_BYTES)
        return TIC_OK;
    TIC_TRY(read_part(m, TIC_PART_JSON, &m->scratch->json, err));
    m->json = tic_json_parse(m->scratch->json.bytes, span.size, NULL);
    if (json_is_object(m->json))
        *reject = find_time(m->json, m->options->time_field, &m->sample->pair.time)
                      ? TIC_REJECT_NONE
                      : TIC_REJECT_NO_TIME;
    return TIC_OK;
}

/* The .txt, else the json's caption; then copied, because trimming writes into it. */
static tic_status read_caption(material *m, tic_reject *reject, tic_error *err) {
    tic_span span = m->group->part[TIC_PART_TEXT];
    tic_buffer *buffer = &m->scratch->text;
    const json_t *field = json_object_get(m->json, "caption");
    size_t size = span.at ? span.size : json_string_length(field);
    *reject = TIC_REJECT_UNPAIRED;
    if (!span.at && !json_is_string(field))
        return TIC_OK;
    *reject = TIC_REJECT_BAD_TEXT;
    if (size > TIC_TEXT_BYTES)
        return TIC_OK;
    if (span.at)
        TIC_TRY(read_part(m, TIC_PART_TEXT, buffer, err));
    else
        TIC_TRY(tic_buffer_set(buffer, json_string_value(field), size, err));
    if (!is_utf8(buffer->bytes, size))
        return TIC_OK;
    m->caption = tic_caption_trim(buffer->bytes);
    *reject = m->caption[0] ? TIC_REJECT_NONE : TIC_REJECT_UNPAIRED;
    return TIC_OK;
}

static tic_status read_picture(material *m, tic_reject *reject, tic_error *err) {
    tic_span span = m->group->part[TIC_PART_JPEG];
    tic_pair *pair = &m->sample->pair;
    int width, height;
    *reject = span.at == 0 ? TIC_REJECT_NOT_IMAGE : TIC_REJECT_TOO_LARGE;
    if (span.at == 0 || span.size > TIC_PICTURE_BYTES)
        return TIC_OK;
    TIC_TRY(read_part(m, TIC_PART_JPEG, &m->scratch->image, err));
    TIC_TRY(tic_jpeg_check(m->scratch->image.bytes, span.size, reject, &width, &height, err));
    if (*reject != TIC_REJECT_NONE)
        return TIC_OK;
    pair->width = (uint16_t)width; /* a JPEG's sides are at most 65,500 */
    pair->height = (uint16_t)height;
    pair->content = content_hash(m->scratch->image.bytes, span.size, m->caption);
    if (!find_uid(m->json, &pair->id))
        pair->id = pair->content;
    return TIC_OK;
}

static tic_reject apply_filter(const material *m) {
    const tic_pair *pair = &m->sample->pair;
    const char *language = json_string_value(json_object_get(m->json, "language"));
    if (!m->options->filter)
        return TIC_REJECT_NONE;
    tic_reject reject = tic_filter_caption(m->caption, language);
    return reject != TIC_REJECT_NONE
               ? reject
               : tic_filter_shape(pair->width, pair->height, m->options->min_side);
}

/* From the cheap to the dear: the first reason found is the one that counts. */
static tic_status judge(material *m, tic_reject *reject, tic_error *err) {
    const tic_span *part = m->group->part;
    *reject = TIC_REJECT_LOST;
    if (m->group->lost)
        return TIC_OK;
    *reject = TIC_REJECT_UNPAIRED;
    if ((!part[TIC_PART_JPEG].at && !part[TIC_PART_PICTURE].at) ||
        (!part[TIC_PART_TEXT].at && !part[TIC_PART_JSON].at))
        return TIC_OK;
    TIC_TRY(read_json(m, reject, err));
    if (*reject == TIC_REJECT_NONE)
        TIC_TRY(read_caption(m, reject, err));
    if (*reject == TIC_REJECT_NONE)
        TIC_TRY(read_picture(m, reject, err));
    if (*reject == TIC_REJECT_NONE)
        *reject = apply_filter(m);
    return TIC_OK;
}

tic_status tic_sample_read(tic_sample *sample, const tic_group *group, const tic_shard *shard,
                           uint32_t number, int file, const tic_index_options *options,
                           tic_sample_scratch *scratch, tic_error *err) {
    material m = {.sample = sample,
                  .group = group,
                  .shard = shard,
                  .file = file,
                  .options = options,
                  .scratch = scratch};
    const tic_span *part = group->part;
    memset(sample, 0, sizeof *sample);
    tic_status status = judge(&m, &sample->reject, err);
    json_decref(m.json);
    tic_pair *pair = &sample->pair;
    pair->shard = number;
    if (status != TIC_OK || sample->reject != TIC_REJECT_NONE)
        return status;
    /* Sizes are below their limits here, so they fit 32 bits. */
    pair->image_at = part[TIC_PART_JPEG].at;
    pair->image_size = (uint32_t)part[TIC_PART_JPEG].size;
    pair->text_at = part[TIC_PART_TEXT].at;
    pair->text_size = (uint32_t)part[TIC_PART_TEXT].size;
    pair->json_at = part[TIC_PART_JSON].at;
    pair->json_size = (uint32_t)part[TIC_PART_JSON].size;
    return TIC_OK;
}
