/* Checkpoints: weights as open_clip_model.safetensors beside open_clip_config.json, and the state
 * of training (weights and both moments) as one file. What is loaded is checked whole, names,
 * shapes and values, before the model changes. */
#include "room.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static const char weights_file[] = "open_clip_model.safetensors";
static const char config_file[] = "open_clip_config.json";
enum { MAX_PATH = 4096 };

/* ---- sets of tensors ------------------------------------------------------------------------- */

/* Flat arrays of a model that are kept in one file, each tensor as prefix + name. */
typedef struct flat {
    const char *prefix;
    float *values;
} flat;

static void describe(const tic_model *model, const flat *set, int sets, tic_array *arrays) {
    for (int s = 0; s < sets; s++)
        for (int i = 0; i < model->layout.count; i++) {
            const tic_tensor *tensor = &model->rows[i].tensor;
            tic_array *array = &arrays[s * model->layout.count + i];
            snprintf(array->name, sizeof array->name, "%s%s", set[s].prefix, tensor->name);
            strcpy(array->dtype, "F32");
            array->rank = tensor->rank;
            memcpy(array->shape, tensor->shape, sizeof tensor->shape);
            array->data = set[s].values + tensor->offset;
            array->bytes = (size_t)tensor->count * sizeof(float);
        }
}

/* Weights alone are OpenCLIP's format; a state is ours, and has a checksum. */
static tic_status save(const tic_model *model, const char *path, const flat *set, int sets,
                       const char *const *metadata, tic_error *err) {
    const int count = sets * model->layout.count;
    tic_array *arrays = NULL;
    TIC_TRY(tic_alloc(&arrays, (size_t)count, sizeof *arrays, err));
    describe(model, set, sets, arrays);
    const tic_status status =
        sets == 1 ? tic_safetensors_write(path, arrays, count, metadata, err)
                  : tic_safetensors_write_summed(path, arrays, count, metadata, err);
    tic_free(arrays);
    return status;
}

/* ---- values ---------------------------------------------------------------------------------- */

/* IEEE binary16 as f32, subnormals included. */
static float from_half(uint16_t half) {
    const int exponent = half >> 10 & 31, fraction = half & 1023;
    float magnitude;
    if (exponent == 31)
        magnitude = fraction ? NAN : INFINITY;
    else if (exponent == 0)
        magnitude = ldexpf((float)fraction, -24);
    else
        magnitude = ldexpf((float)(1024 + fraction), exponent - 25);
    return half & 0x8000 ? -magnitude : magnitude;
}

/* Element i of a tensor of F32, F16 or BF16; the file aligns nothing. */
static float element(const tic_array *array, int64_t i) {
    const unsigned char *bytes = array->data;
    if (strcmp(array->dtype, "F32") == 0) {
        float x;
        memcpy(&x, bytes + 4 * i, sizeof x);
        return x;
    }
    uint16_t x;
    memcpy(&x, bytes + 2 * i, sizeof x);
    return array->dtype[0] == 'B' ? tic_from_bf16(x) : from_half(x);
}

static bool is_float(const tic_array *array) {
    return strcmp(array->dtype, "F32") == 0 || strcmp(array->dtype, "F16") == 0 ||
           strcmp(array->dtype, "BF16") == 0;
}

static bool same_shape(const tic_array *array, const tic_tensor *tensor) {
    return array->rank == tensor->rank &&
           memcmp(array->shape, tensor->shape, (size_t)tensor->rank * sizeof(int64_t)) == 0;
}

/* "[2304, 768]" */
static void shape_text(int rank, const int64_t *shape, char *out, size_t size) {
    size_t used = (size_t)snprintf(out, size, "[");
    for (int i = 0; i < rank && used < size; i++)
        used +=
            (size_t)snprintf(out + used, size - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
    if (used < size)
        snprintf(out + used, size - used, "]");
}

static tic_status check_tensor(const char *path, const char *name, const tic_array *array,
                               const tic_tensor *tensor, tic_error *err) {
    if (!array)
        return tic_fail(err, TIC_EINPUT, "%s: the tensor \"%s\" is missing", path, name);
    if (!is_float(array))
        return tic_fail(err, TIC_EINPUT, "%s: \"%s\" is %s; F32, F16 or BF16 is needed", path, name,
                        array->dtype);
    if (!same_shape(array, tensor)) {
        char has[96], needs[96];
        shape_text(array->rank, array->shape, has, sizeof has);
        shape_text(tensor->rank, tensor->shape, needs, sizeof needs);
        return tic_fail(err, TIC_EINPUT, "%s: \"%s\" has shape %s; this model's is %s", path, name,
                        has, needs);
    }
    for (int64_t i = 0; i < tensor->count; i++)
        if (!isfinite(element(array, i)))
            return tic_fail(err, TIC_EINPUT, "%s: \"%s\" holds NaN or Inf at element %lld", path,
                            name, (long long)i);
    return TIC_OK;
}

/* Whether `name` is prefix + the name of a tensor of one of the sets. */
static bool expected(const tic_model *model, const flat *set, int sets, const char *name) {
    for (int s = 0; s < sets; s++) {
        const size_t n = strlen(set[s].prefix);
        if (strncmp(name, set[s].prefix, n) == 0 && tic_model_find(model, name + n))
            return true;
    }
    return false;
}

static tic_status check_file(const tic_model *model, const char *path, const tic_safetensors *file,
                             const flat *set, int sets, tic_error *err) {
    for (int i = 0; i < tic_safetensors_count(file); i++) {
        const char *name = tic_safetensors_get(file, i)->name;
        if (!expected(model, set, sets, name))
            return tic_fail(err, TIC_EINPUT, "%s: \"%s\" is no tensor of this model%s", path, name,
                            strncmp(name, "text.", 5) == 0 ? " (custom_text models are not read)"
                                                           : "");
    }
    for (int s = 0; s < sets; s++)
        for (int i = 0; i < model->layout.count; i++) {
            const tic_tensor *tensor = &model->rows[i].tensor;
            char name[sizeof(((tic_array *)0)->name)];
            snprintf(name, sizeof name, "%s%s", set[s].prefix, tensor->name);
            TIC_TRY(check_tensor(path, name, tic_safetensors_find(file, name), tensor, err));
        }
    return TIC_OK;
}

/* Checks all, then copies all; file stays open. */
static tic_status load(const tic_model *model, const char *path, const tic_safetensors *file,
                       const flat *set, int sets, tic_error *err) {
    TIC_TRY(check_file(model, path, file, set, sets, err));
    for (int s = 0; s < sets; s++)
        for (int i = 0; i < model->layout.count; i++) {
            const tic_tensor *tensor = &model->rows[i].tensor;
            char name[sizeof(((tic_array *)0)->name)];
            snprintf(name, sizeof name, "%s%s", set[s].prefix, tensor->name);
            const tic_array *array = tic_safetensors_find(file, name);
            for (int64_t j = 0; j < tensor->count; j++)
                set[s].values[tensor->offset + j] = element(array, j);
        }
    return TIC_OK;
}

/* ---- weights --------------------------------------------------------------------------------- */

tic_status tic_model_save(tic_model *model, const char *folder, tic_error *err) {
    static const char *const metadata[] = {"format", "pt", NULL}; /* as PyTorch's own writer does */
    char path[MAX_PATH];
    TIC_TRY(tic_table_settle(model, err));
    TIC_TRY(tic_make_folder(folder, err));
    TIC_TRY(tic_path_join(path, sizeof path, folder, weights_file, err));
    const flat set = {"", model->weights};
    TIC_TRY(save(model, path, &set, 1, metadata, err));
    TIC_TRY(tic_path_join(path, sizeof path, folder, config_file, err));
    char *text = NULL;
    TIC_TRY(tic_config_json(&model->config, &text, err));
    const tic_status status = tic_file_write(path, text, strlen(text), err);
    tic_free(text);
    return status;
}

/* A folder says which architecture its weights belong to; heads and quick_gelu show in no shape. */
static tic_status check_folder(const tic_model *model, const char *folder, tic_error *err) {
    char path[MAX_PATH];
    tic_config config;
    TIC_TRY(tic_path_join(path, sizeof path, folder, config_file, err));
    if (!tic_file_exists(path))
        return TIC_OK;
    TIC_TRY(tic_config_find(&config, folder, err));
    if (!tic_config_equal(&config, &model->config))
        return tic_fail(err, TIC_EINPUT, "%s describes another model than \"%s\"", path,
                        model->config.name);
    return TIC_OK;
}

tic_status tic_model_load(tic_model *model, const char *path, tic_error *err) {
    char file_path[MAX_PATH];
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        TIC_TRY(check_folder(model, path, err));
        TIC_TRY(tic_path_join(file_path, sizeof file_path, path, weights_file, err));
        path = file_path;
    }
    tic_safetensors *file = NULL;
    TIC_TRY(tic_safetensors_open(&file, path, err));
    const flat set = {"", tic_model_weights(model)};
    const tic_status status = load(model, path, file, &set, 1, err);
    tic_safetensors_close(file);
    return status;
}

/* ---- state ----------------------------------------------------------------------------------- */

enum { STATE_SETS = 3 };

static tic_status state_sets(tic_model *model, flat set[STATE_SETS], tic_error *err) {
    if (!model->options.train)
        return tic_fail(err, TIC_EUSAGE, "a model that does not train has no state");
    TIC_TRY(tic_table_settle(model, err));
    set[0] = (flat){"weight.", model->weights};
    set[1] = (flat){"moment1.", model->moment1};
    set[2] = (flat){"moment2.", model->moment2};
    return TIC_OK;
}

tic_status tic_model_save_state(tic_model *model, const char *path, const char *const *metadata,
                                tic_error *err) {
    flat set[STATE_SETS];
    TIC_TRY(state_sets(model, set, err));
    return save(model, path, set, STATE_SETS, metadata, err);
}

tic_status tic_model_load_state(tic_model *model, const char *path, tic_safetensors **metadata_file,
                                tic_error *err) {
    *metadata_file = NULL;
    flat set[STATE_SETS];
    TIC_TRY(state_sets(model, set, err));
    set[0].values = tic_model_weights(model);
    tic_safetensors *file = NULL;
    TIC_TRY(tic_safetensors_open_summed(&file, path, err));
    const tic_status status = load(model, path, file, set, STATE_SETS, err);
    if (status != TIC_OK)
        tic_safetensors_close(file);
    else
        *metadata_file = file;
    return status;
}
