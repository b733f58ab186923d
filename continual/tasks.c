/* What models are evaluated on, read once: the held-out pairs of every step, their classes and
 * domains, and the static sets of DATA/eval. */
#include "room.h"
#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* What loading works with. */
typedef struct loading {
    tic_tasks *tasks;
    tic_index *index;
    const tic_vocab *vocab;
    const tic_tasks_options *options;
    int context, threads;
} loading;

/* ---- captions ------------------------------------------------------------------------------ */

static tic_status texts_begin(tic_texts *texts, int64_t capacity, tic_error *err) {
    return tic_alloc(&texts->offsets, (size_t)capacity + 1, sizeof(int32_t), err);
}

static tic_status texts_put(tic_texts *texts, const int32_t *ids, int count, tic_error *err) {
    size_t used = (size_t)texts->offsets[texts->n];
    if (used + (size_t)count > texts->room) {
        size_t room = 2 * texts->room + (size_t)count + 1024;
        TIC_TRY(tic_grow(&texts->ids, texts->room, room, sizeof(int32_t), err));
        texts->room = room;
    }
    memcpy(texts->ids + used, ids, (size_t)count * sizeof(int32_t));
    texts->offsets[++texts->n] = (int32_t)used + count;
    return TIC_OK;
}

static tic_status texts_add(tic_texts *texts, const loading *l, const char *text, tic_error *err) {
    int32_t ids[TIC_CONTEXT_MAX];
    int count;
    TIC_TRY(tic_tokenize_caption(l->vocab, text, l->context, ids, &count, err));
    return texts_put(texts, ids, count, err);
}

static void texts_free(tic_texts *texts) {
    tic_free(texts->ids);
    tic_free(texts->offsets);
}

/* "a photo of a {c}." with every {c} replaced by the name. */
static tic_status fill_template(char *out, size_t size, const char *template, const char *name,
                                tic_error *err) {
    size_t used = 0;
    out[0] = '\0';
    for (const char *at = template; *at != '\0';) {
        bool slot = strncmp(at, "{c}", 3) == 0;
        int wrote = slot ? snprintf(out + used, size - used, "%s", name)
                         : snprintf(out + used, size - used, "%c", *at);
        used += (size_t)wrote;
        if (used >= size)
            return tic_fail(err, TIC_EINPUT, "template \"%.60s\" with class \"%.60s\" is too long",
                            template, name);
        at += slot ? 3 : 1;
    }
    return TIC_OK;
}

/* The prompts of a classifier, class by class, template after template. */
static tic_status add_prompts(tic_texts *texts, const loading *l, char **names, int count,
                              char **templates, int template_count, tic_error *err) {
    char prompt[2048];
    TIC_TRY(texts_begin(texts, (int64_t)count * template_count, err));
    for (int c = 0; c < count; c++)
        for (int t = 0; t < template_count; t++) {
            TIC_TRY(fill_template(prompt, sizeof prompt, templates[t], names[c], err));
            TIC_TRY(texts_add(texts, l, prompt, err));
        }
    return TIC_OK;
}

/* ---- held-out pairs ------------------------------------------------------------------------ */

static tic_status take_batch(tic_held_out *held, const tic_batch *batch, size_t picture,
                             int64_t capacity, tic_error *err) {
    if (held->n + batch->n > capacity)
        return tic_fail(err, TIC_EINTERNAL, "the loader gave more pairs than were held out");
    memcpy(held->pixels + (size_t)held->n * picture, batch->pixels, (size_t)batch->n * picture);
    for (int64_t i = 0; i < batch->n; i++)
        TIC_TRY(texts_put(&held->texts, batch->ids + batch->offsets[i],
                          batch->offsets[i + 1] - batch->offsets[i], err));
    held->n += batch->n;
    return TIC_OK;
}

static tic_status load_captions(tic_held_out *held, const loading *l, const tic_step *step,
                                tic_error *err) {
    TIC_TRY(texts_begin(&held->texts, (int64_t)step->evals, err));
    for (; held->n < (int64_t)step->evals; held->n++) {
        char *text;
        TIC_TRY(tic_index_caption(l->index, step->eval[held->n], &text, err));
        tic_status status = texts_add(&held->texts, l, text, err);
        tic_free(text);
        TIC_TRY(status);
    }
    return TIC_OK;
}

static tic_status load_pairs(tic_held_out *held, const loading *l, const tic_step *step,
                             tic_error *err) {
    size_t side = (size_t)l->tasks->image_size, picture = side * side * 3;
    tic_loader_options options = {.index = l->index,
                                  .vocab = l->vocab,
                                  .pool = step->eval,
                                  .pool_size = step->evals,
                                  .image_size = l->tasks->image_size,
                                  .context = l->context,
                                  .batch = 64,
                                  .threads = l->threads};
    tic_loader *loader;
    const tic_batch *batch = NULL;
    TIC_TRY(tic_alloc(&held->pixels, step->evals, picture, err));
    TIC_TRY(texts_begin(&held->texts, (int64_t)step->evals, err));
    TIC_TRY(tic_loader_new(&loader, &options, err));
    tic_status status;
    do {
        status = tic_loader_next(loader, &batch, err);
        if (status == TIC_OK && batch->n > 0)
            status = take_batch(held, batch, picture, (int64_t)step->evals, err);
    } while (status == TIC_OK && batch->n > 0);
    tic_loader_free(loader);
    if (status == TIC_OK && held->n != (int64_t)step->evals)
        return tic_fail(err, TIC_EINTERNAL, "step %s: %lld of %zu held-out pairs came", step->name,
                        (long long)held->n, step->evals);
    return status;
}

/* ---- classes and domains ------------------------------------------------------------------- */

static int find_text(char *const *list, int count, const char *text) {
    for (int i = 0; i < count && text != NULL; i++)
        if (strcmp(list[i], text) == 0)
            return i;
    return -1;
}

static tic_status load_classes(loading *l, const char *data, tic_error *err) {
    tic_tasks *tasks = l->tasks;
    const char *field = l->options->label_field, *tree = l->options->label_tree;
    if (field != NULL && field[0] != '\0')
        TIC_TRY(tic_classes_collect(&tasks->classes, l->index, field,
                                    tree != NULL && tree[0] != '\0' ? tree : NULL, err));
    else
        TIC_TRY(tic_classes_load(&tasks->classes, data, err));
    const tic_classes *classes = tasks->classes;
    if (classes == NULL)
        return TIC_OK;
    TIC_TRY(tic_alloc(&tasks->class_subtree, (size_t)classes->count, sizeof(int), err));
    for (int c = 0; c < classes->count; c++) {
        char *name = classes->subtrees != NULL ? classes->subtrees[c] : NULL;
        bool named = name != NULL && name[0] != '\0';
        int at = named ? find_text((char *const *)tasks->subtree, tasks->subtrees, name) : -1;
        if (at < 0 && named && tasks->subtrees < TIC_SUBTREES) {
            at = tasks->subtrees++;
            tasks->subtree[at] = name;
        }
        tasks->class_subtree[c] = at;
    }
    return add_prompts(&tasks->prompts, l, classes->names, classes->count, classes->templates,
                       classes->template_count, err);
}

static tic_status label_pairs(const loading *l, tic_held_out *held, const uint32_t *pairs,
                              tic_error *err) {
    const tic_classes *classes = l->tasks->classes;
    TIC_TRY(tic_alloc(&held->label, (size_t)held->n, sizeof(int32_t), err));
    for (int64_t i = 0; i < held->n; i++) {
        char *value = NULL;
        if (classes != NULL)
            TIC_TRY(tic_index_field(l->index, pairs[i], classes->field, &value, err));
        held->label[i] = classes != NULL ? find_text(classes->labels, classes->count, value) : -1;
        tic_free(value);
    }
    return TIC_OK;
}

/* Values of the json field `domain` with their counts, while they are being collected. */
typedef struct domain_count {
    char name[64];
    int64_t pairs;
} domain_count;
typedef struct domain_counts {
    domain_count *list;
    size_t count, capacity;
} domain_counts;

static tic_status count_domain(domain_counts *counts, const char *name, tic_error *err) {
    for (size_t i = 0; i < counts->count; i++)
        if (strcmp(counts->list[i].name, name) == 0) {
            counts->list[i].pairs++;
            return TIC_OK;
        }
    TIC_TRY(tic_reserve_one(&counts->list, counts->count, &counts->capacity, sizeof(domain_count),
                            err));
    domain_count *fresh = &counts->list[counts->count++];
    snprintf(fresh->name, sizeof fresh->name, "%s", name);
    fresh->pairs = 1;
    return TIC_OK;
}

/* The most frequent first, equals by name. */
static int by_frequency(const void *a, const void *b) {
    const domain_count *x = a, *y = b;
    if (x->pairs != y->pairs)
        return x->pairs > y->pairs ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* "" when the pair has none, or one too long to be the name of a domain. */
static tic_status domain_of(const loading *l, uint32_t pair, char out[64], tic_error *err) {
    char *value;
    TIC_TRY(tic_index_field(l->index, pair, "domain", &value, err));
    snprintf(out, 64, "%s", value != NULL && strlen(value) < 64 ? value : "");
    tic_free(value);
    return TIC_OK;
}

static tic_status count_domains(const loading *l, const tic_steps *steps, domain_counts *counts,
                                tic_error *err) {
    char name[64];
    for (int s = 0; s < steps->count; s++)
        for (size_t i = 0; i < steps->step[s].evals; i++) {
            TIC_TRY(domain_of(l, steps->step[s].eval[i], name, err));
            if (name[0] != '\0')
                TIC_TRY(count_domain(counts, name, err));
        }
    return TIC_OK;
}

static tic_status choose_domains(const loading *l, const tic_steps *steps, tic_error *err) {
    tic_tasks *tasks = l->tasks;
    domain_counts counts = {.count = 0};
    tic_status status = count_domains(l, steps, &counts, err);
    if (status == TIC_OK && counts.count > 0)
        qsort(counts.list, counts.count, sizeof(domain_count), by_frequency);
    for (size_t i = 0; status == TIC_OK && i < counts.count && i < TIC_DOMAINS; i++)
        memcpy(tasks->domain[tasks->domains++], counts.list[i].name, 64);
    tic_free(counts.list);
    return status;
}

static tic_status mark_domains(const loading *l, tic_held_out *held, const uint32_t *pairs,
                               tic_error *err) {
    const tic_tasks *tasks = l->tasks;
    char name[64];
    TIC_TRY(tic_alloc(&held->domain, (size_t)held->n, sizeof(int32_t), err));
    for (int64_t i = 0; i < held->n; i++) {
        held->domain[i] = -1;
        TIC_TRY(domain_of(l, pairs[i], name, err));
        for (int k = 0; k < tasks->domains; k++)
            if (strcmp(tasks->domain[k], name) == 0)
                held->domain[i] = k;
    }
    return TIC_OK;
}

/* ---- keywords ------------------------------------------------------------------------------ */

tic_status tic_keywords_split(const char *list, char (*out)[64], int *count, tic_error *err) {
    *count = 0;
    for (const char *at = list; at != NULL && *at != '\0'; at += *at == ',') {
        size_t length = strcspn(at, ",");
        if (length == 0 || length >= 64 || *count == TIC_KEYWORDS)
            return tic_fail(err, TIC_EUSAGE,
                            "keywords: at most %d words of 1 to 63 bytes, separated by commas",
                            TIC_KEYWORDS);
        memset(out[*count], 0, 64);
        memcpy(out[(*count)++], at, length);
        at += length;
    }
    return TIC_OK;
}

/* Bytes beyond ASCII are letters of some script. */
static bool in_word(char c) {
    return isalnum((unsigned char)c) || (unsigned char)c >= 0x80;
}

static bool holds_word(const char *text, const char *word) {
    size_t length = strlen(word);
    for (const char *at = text; *at != '\0'; at++)
        if ((at == text || !in_word(at[-1])) && strncasecmp(at, word, length) == 0 &&
            !in_word(at[length]))
            return true;
    return false;
}

static tic_status mark_keywords(const loading *l, tic_held_out *held, const uint32_t *pairs,
                                tic_error *err) {
    const tic_tasks *tasks = l->tasks;
    TIC_TRY(tic_alloc(&held->keyword, (size_t)held->n, sizeof(uint32_t), err));
    for (int64_t i = 0; i < held->n && tasks->keywords > 0; i++) {
        char *text;
        TIC_TRY(tic_index_caption(l->index, pairs[i], &text, err));
        for (int k = 0; k < tasks->keywords; k++)
            held->keyword[i] |= (uint32_t)holds_word(text, tasks->keyword[k]) << k;
        tic_free(text);
    }
    return TIC_OK;
}

/* ---- static sets --------------------------------------------------------------------------- */

static int by_name(const struct dirent **a, const struct dirent **b) {
    return strcmp((*a)->d_name, (*b)->d_name);
}

static int visible(const struct dirent *entry) {
    return entry->d_name[0] != '.';
}

static tic_status load_static(const loading *l, tic_static *fixed, const char *folder,
                              tic_error *err) {
    TIC_TRY(tic_evalset_load(&fixed->set, folder, l->tasks->image_size, err));
    const tic_evalset *set = fixed->set;
    if (!set->retrieval)
        return add_prompts(&fixed->texts, l, set->classes, set->class_count, set->templates,
                           set->template_count, err);
    TIC_TRY(texts_begin(&fixed->texts, set->caption_count, err));
    for (int64_t i = 0; i < set->caption_count; i++)
        TIC_TRY(texts_add(&fixed->texts, l, set->captions[i], err));
    return TIC_OK;
}

static tic_status load_statics(const loading *l, const char *eval, struct dirent **entries,
                               int count, tic_error *err) {
    TIC_TRY(tic_alloc(&l->tasks->fixed, (size_t)count, sizeof(tic_static), err));
    for (int i = 0; i < count; i++) {
        char folder[TIC_PATH];
        TIC_TRY(tic_path_join(folder, sizeof folder, eval, entries[i]->d_name, err));
        /* Counted before it is loaded, so that a failure frees what is there. */
        TIC_TRY(load_static(l, &l->tasks->fixed[l->tasks->statics++], folder, err));
    }
    return TIC_OK;
}

static tic_status scan_statics(const loading *l, const char *data, tic_error *err) {
    char eval[TIC_PATH];
    struct dirent **entries;
    TIC_TRY(tic_path_join(eval, sizeof eval, data, "eval", err));
    int count = scandir(eval, &entries, visible, by_name);
    if (count < 0) /* no such folder: no static tasks */
        return TIC_OK;
    tic_status status = load_statics(l, eval, entries, count, err);
    for (int i = 0; i < count; i++)
        free(entries[i]); /* scandir's own memory */
    free(entries);
    return status;
}

/* ---- all of it ----------------------------------------------------------------------------- */

static tic_status load_all(loading *l, const char *data, const tic_steps *steps, tic_error *err) {
    tic_tasks *tasks = l->tasks;
    TIC_TRY(tic_alloc(&tasks->step, (size_t)steps->count, sizeof(tic_held_out), err));
    tasks->steps = steps->count;
    TIC_TRY(tic_keywords_split(l->options->keywords, tasks->keyword, &tasks->keywords, err));
    if (data != NULL) {
        TIC_TRY(load_classes(l, data, err));
        TIC_TRY(choose_domains(l, steps, err));
    }
    for (int s = 0; s < steps->count; s++) {
        tic_held_out *held = &tasks->step[s];
        TIC_TRY(l->options->no_pictures ? load_captions(held, l, &steps->step[s], err)
                                        : load_pairs(held, l, &steps->step[s], err));
        TIC_TRY(label_pairs(l, held, steps->step[s].eval, err));
        TIC_TRY(mark_domains(l, held, steps->step[s].eval, err));
        TIC_TRY(mark_keywords(l, held, steps->step[s].eval, err));
        tasks->pictures += held->n;
        tasks->captions += held->n;
    }
    if (data != NULL)
        TIC_TRY(scan_statics(l, data, err));
    for (int i = 0; i < tasks->statics; i++) {
        tasks->pictures += tasks->fixed[i].set->pictures;
        tasks->captions += tasks->fixed[i].texts.n;
    }
    tasks->captions += tasks->prompts.n;
    return TIC_OK;
}

tic_status tic_tasks_load(tic_tasks **out, const char *data, tic_index *index,
                          const tic_steps *steps, const tic_vocab *vocab,
                          const tic_tasks_options *options, tic_error *err) {
    *out = NULL;
    tic_tasks *tasks;
    TIC_TRY(tic_alloc(&tasks, 1, sizeof *tasks, err));
    tasks->image_size = options->image_size;
    loading l = {tasks, index, vocab, options, options->context, options->threads};
    tic_status status = load_all(&l, data, steps, err);
    if (status == TIC_OK)
        *out = tasks;
    else
        tic_tasks_free(tasks);
    return status;
}

void tic_tasks_free(tic_tasks *tasks) {
    if (tasks == NULL)
        return;
    for (int s = 0; s < tasks->steps; s++) {
        tic_free(tasks->step[s].pixels);
        tic_free(tasks->step[s].label);
        tic_free(tasks->step[s].domain);
        tic_free(tasks->step[s].keyword);
        texts_free(&tasks->step[s].texts);
    }
    for (int i = 0; i < tasks->statics; i++) {
        tic_evalset_free(tasks->fixed[i].set);
        texts_free(&tasks->fixed[i].texts);
    }
    texts_free(&tasks->prompts);
    tic_classes_free(tasks->classes);
    tic_free(tasks->class_subtree);
    tic_free(tasks->step);
    tic_free(tasks->fixed);
    tic_free(tasks);
}
