/* Evaluation sets: CLIP_benchmark / DataComp folders, read whole and preprocessed. Unlike training
 * data they may lose nothing: a number computed on a part of a set is not that set's number. */
#include "data/room.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_SHARDS = 100000, MAX_TEXT = 16 << 20 };

/* One picture with its .cls or .txt. */
typedef struct item {
    uint32_t shard;
    const tic_group *group;
    char *captions; /* the .txt, owned */
} item;

typedef struct loading {
    tic_evalset *set;
    int size; /* pixels */
    tic_shard *shards;
    int shard_count;
    item *items;
    size_t count;
    int threads;
    tic_sample_scratch *scratch; /* [threads] */
} loading;

/* ---- the folder's small files
 * -------------------------------------------------------------------- */

/* NULL when the file is absent. */
static tic_status read_text(const char *folder, const char *name, char **text, tic_error *err) {
    char path[4096];
    size_t size;
    *text = NULL;
    TIC_TRY(tic_path_join(path, sizeof path, folder, name, err));
    if (!tic_file_exists(path))
        return TIC_OK;
    return tic_file_read(path, MAX_TEXT, text, &size, err);
}

static tic_status read_lines(const char *folder, const char *name, char ***list, int *count,
                             tic_error *err) {
    tic_strings strings = {0};
    char *text;
    TIC_TRY(read_text(folder, name, &text, err));
    tic_status status = text ? tic_strings_add_lines(&strings, text, err) : TIC_OK;
    tic_free(text);
    *list = strings.list; /* the set's, to be freed with it, also after a failure */
    *count = (int)strings.count;
    return status;
}

static tic_status read_kind(tic_evalset *set, const char *folder, tic_error *err) {
    char *text;
    TIC_TRY(read_text(folder, "dataset_type.txt", &text, err));
    const char *kind = text               ? tic_caption_trim(text)
                       : set->class_count ? "classification"
                                          : "retrieval";
    bool classify =
        strcmp(kind, "zeroshot_classification") == 0 || strcmp(kind, "classification") == 0;
    set->retrieval = strcmp(kind, "retrieval") == 0 || strcmp(kind, "zeroshot_retrieval") == 0;
    tic_status status =
        classify || set->retrieval
            ? TIC_OK
            : tic_fail(err, TIC_EINPUT,
                       "%s/dataset_type.txt: \"%.40s\" is neither zeroshot_classification nor "
                       "retrieval",
                       folder, kind);
    tic_free(text);
    return status;
}

static tic_status read_folder(tic_evalset *set, const char *folder, tic_error *err) {
    TIC_TRY(read_lines(folder, "classnames.txt", &set->classes, &set->class_count, err));
    TIC_TRY(read_lines(folder, "zeroshot_classification_templates.txt", &set->templates,
                       &set->template_count, err));
    TIC_TRY(read_kind(set, folder, err));
    if (set->retrieval)
        return TIC_OK;
    if (set->class_count < 2 || set->template_count < 1)
        return tic_fail(err, TIC_EINPUT,
                        "%s: classification needs classnames.txt and "
                        "zeroshot_classification_templates.txt",
                        folder);
    for (int i = 0; i < set->template_count; i++)
        if (!strstr(set->templates[i], "{c}"))
            return tic_fail(err, TIC_EINPUT,
                            "%s/zeroshot_classification_templates.txt: \"%.60s\" has no {c}",
                            folder, set->templates[i]);
    return TIC_OK;
}

/* ---- shards
 * ----------------------------------------------------------------------------------------- */

static tic_status count_shards(const char *folder, int *count, tic_error *err) {
    char *text, *end;
    TIC_TRY(read_text(folder, "test/nshards.txt", &text, err));
    if (!text)
        return tic_fail(err, TIC_EINPUT, "%s/test/nshards.txt: no such file", folder);
    long n = strtol(text, &end, 10);
    bool good = end != text && tic_caption_trim(end)[0] == 0 && n >= 1 && n <= MAX_SHARDS;
    tic_free(text);
    if (!good)
        return tic_fail(err, TIC_EINPUT, "%s/test/nshards.txt: not a number from 1 to %d", folder,
                        MAX_SHARDS);
    *count = (int)n;
    return TIC_OK;
}

static tic_status scan_shard(tic_shard *shard, const char *folder, int number, tic_error *err) {
    char name[40], path[4096];
    snprintf(name, sizeof name, "test/%d.tar", number);
    TIC_TRY(tic_path_join(path, sizeof path, folder, name, err));
    TIC_TRY(tic_strdup(&shard->path, path, err));
    TIC_TRY(tic_shard_stat(shard, err));
    TIC_TRY(tic_shard_scan(shard, err));
    if (shard->why)
        return tic_fail(err, TIC_EINPUT, "%s@%llu: %s; an evaluation set must be whole", path,
                        (unsigned long long)shard->why_at, shard->why);
    return TIC_OK;
}

static tic_status scan_shards(loading *l, const char *folder, tic_error *err) {
    int count = 0;
    TIC_TRY(count_shards(folder, &count, err));
    TIC_TRY(tic_alloc(&l->shards, (size_t)count, sizeof *l->shards, err));
    for (l->shard_count = 0; l->shard_count < count;) {
        int i = l->shard_count++; /* also when it fails: its path is to be freed */
        TIC_TRY(scan_shard(&l->shards[i], folder, i, err));
        l->count += l->shards[i].count;
    }
    if (l->count == 0)
        return tic_fail(err, TIC_EINPUT, "%s: the set holds no sample", folder);
    TIC_TRY(tic_alloc(&l->items, l->count, sizeof *l->items, err));
    size_t at = 0;
    for (int s = 0; s < count; s++)
        for (size_t g = 0; g < l->shards[s].count; g++)
            l->items[at++] = (item){.shard = (uint32_t)s, .group = &l->shards[s].groups[g]};
    return TIC_OK;
}

/* ---- one sample
 * --------------------------------------------------------------------------------------- */

static tic_status fail_at(const loading *l, const item *it, const char *why, tic_error *err) {
    return tic_fail(err, TIC_EINPUT, "%s@%llu: sample %s: %s", l->shards[it->shard].path,
                    (unsigned long long)it->group->at, it->group->key, why);
}

static tic_status read_part(const loading *l, const item *it, int file, tic_part part, size_t limit,
                            tic_buffer *buffer, tic_error *err) {
    static const char *const missing[] = {"no picture (.jpg)", NULL, "no captions (.txt)", NULL,
                                          "no class (.cls)"};
    tic_span span = it->group->part[part];
    if (span.at == 0)
        return fail_at(l, it, missing[part], err);
    if (span.size > limit)
        return fail_at(l, it, "a member over its size limit", err);
    return tic_span_read(buffer, &l->shards[it->shard], file, span.at, span.size, err);
}

static tic_status read_picture(const loading *l, item *it, size_t i, int file, tic_buffer *buffer,
                               tic_error *err) {
    size_t side = (size_t)l->size;
    tic_reject reason;
    tic_image image;
    TIC_TRY(read_part(l, it, file, TIC_PART_JPEG, TIC_PICTURE_BYTES, buffer, err));
    tic_status status = tic_jpeg_decode(&image, buffer->bytes, it->group->part[TIC_PART_JPEG].size,
                                        l->size, &reason, err);
    if (status == TIC_EINPUT)
        return tic_fail_in(err, "%s@%llu: sample %s", l->shards[it->shard].path,
                           (unsigned long long)it->group->at, it->group->key);
    if (status == TIC_OK)
        status = tic_preprocess_eval(&image, l->size, l->set->pixels + i * side * side * 3, err);
    tic_free(image.pixels);
    return status;
}

static tic_status read_label(const loading *l, item *it, size_t i, int file, tic_buffer *buffer,
                             tic_error *err) {
    TIC_TRY(read_part(l, it, file, TIC_PART_CLASS, 64, buffer, err));
    char *end, *text = tic_caption_trim(buffer->bytes);
    long label = strtol(text, &end, 10);
    if (end == text || *end || label < 0 || label >= l->set->class_count)
        return fail_at(l, it, "its .cls is not the number of a class", err);
    l->set->labels[i] = (int32_t)label;
    return TIC_OK;
}

static tic_status read_captions(const loading *l, item *it, int file, tic_buffer *buffer,
                                tic_error *err) {
    TIC_TRY(read_part(l, it, file, TIC_PART_TEXT, TIC_TEXT_BYTES, buffer, err));
    if (tic_caption_trim(buffer->bytes)[0] == 0)
        return fail_at(l, it, "its .txt is empty", err);
    return tic_strdup(&it->captions, buffer->bytes, err);
}

static tic_status read_item(void *user, int worker, size_t i, tic_error *err) {
    loading *l = user;
    item *it = &l->items[i];
    tic_sample_scratch *scratch = &l->scratch[worker];
    int file;
    TIC_TRY(tic_shard_open(&file, &l->shards[it->shard], err));
    tic_status status = read_picture(l, it, i, file, &scratch->image, err);
    if (status == TIC_OK)
        status = l->set->retrieval ? read_captions(l, it, file, &scratch->text, err)
                                   : read_label(l, it, i, file, &scratch->text, err);
    close(file);
    return status;
}

/* ---- all together
 * ------------------------------------------------------------------------------------- */

static tic_status collect_captions(loading *l, tic_error *err) {
    tic_evalset *set = l->set;
    tic_strings strings = {0};
    tic_status status = TIC_OK;
    size_t capacity = 0;
    for (size_t i = 0; status == TIC_OK && i < l->count; i++) {
        size_t before = strings.count;
        status = tic_strings_add_lines(&strings, l->items[i].captions, err);
        for (size_t k = before; status == TIC_OK && k < strings.count; k++) {
            status = tic_reserve_one(&set->caption_picture, k, &capacity,
                                     sizeof *set->caption_picture, err);
            if (status == TIC_OK)
                set->caption_picture[k] = (int32_t)i;
        }
    }
    set->captions = strings.list;
    set->caption_count = (int64_t)strings.count;
    return status;
}

static tic_status fill(loading *l, const char *folder, tic_error *err) {
    tic_evalset *set = l->set;
    size_t side = (size_t)l->size;
    TIC_TRY(read_folder(set, folder, err));
    TIC_TRY(scan_shards(l, folder, err));
    if (l->count > INT32_MAX)
        return tic_fail(err, TIC_EINPUT, "%s: more than 2^31 pictures", folder);
    set->pictures = (int64_t)l->count;
    TIC_TRY(tic_alloc(&set->pixels, l->count * side, side * 3, err));
    if (!set->retrieval)
        TIC_TRY(tic_alloc(&set->labels, l->count, sizeof *set->labels, err));
    TIC_TRY(tic_alloc(&l->scratch, (size_t)l->threads, sizeof *l->scratch, err));
    tic_work work = {.threads = l->threads, .count = l->count, .item = read_item, .user = l};
    TIC_TRY(tic_work_run(&work, err));
    return set->retrieval ? collect_captions(l, err) : TIC_OK;
}

static void free_loading(loading *l) {
    for (size_t i = 0; l->items && i < l->count; i++)
        tic_free(l->items[i].captions);
    for (int i = 0; l->scratch && i < l->threads; i++) {
        tic_free(l->scratch[i].image.bytes);
        tic_free(l->scratch[i].text.bytes);
    }
    tic_free(l->items);
    tic_free(l->scratch);
    tic_shards_free(l->shards, l->shard_count);
}

/* The last part of the folder's path. */
static void name_set(tic_evalset *set, const char *folder) {
    size_t end = strlen(folder);
    while (end > 0 && folder[end - 1] == '/')
        end--;
    size_t begin = end;
    while (begin > 0 && folder[begin - 1] != '/')
        begin--;
    snprintf(set->name, sizeof set->name, "%.*s", (int)(end - begin), folder + begin);
}

tic_status tic_evalset_load(tic_evalset **out, const char *folder, int image_size, tic_error *err) {
    loading l = {.size = image_size, .threads = tic_threads(0)};
    *out = NULL;
    if (image_size < 1)
        return tic_fail(err, TIC_EUSAGE, "an evaluation set at %d pixels", image_size);
    TIC_TRY(tic_alloc(&l.set, 1, sizeof *l.set, err));
    name_set(l.set, folder);
    tic_status status = fill(&l, folder, err);
    free_loading(&l);
    if (status != TIC_OK) {
        tic_evalset_free(l.set);
        return status;
    }
    *out = l.set;
    return TIC_OK;
}

void tic_evalset_free(tic_evalset *set) {
    if (!set)
        return;
    tic_strings_free(set->classes, (size_t)set->class_count);
    tic_strings_free(set->templates, (size_t)set->template_count);
    tic_strings_free(set->captions, (size_t)set->caption_count);
    tic_free(set->pixels);
    tic_free(set->labels);
    tic_free(set->caption_picture);
    tic_free(set);
}
