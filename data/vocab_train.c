/* Training byte-pair merges on captions (Sennrich, Haddow and Birch, "Neural Machine Translation of
 * Rare Words with Subword Units", 2016): the most frequent pair of neighbours within words becomes
 * a piece, until there are enough.
 *
 * A pair's count only falls after the merge that made the younger of its two pieces, so a heap
 * whose entries are corrected when they come up finds the most frequent one exactly. Ties go to the
 * smaller left id, then the smaller right one; the result does not depend on the words' order. */
#include "data/vocab.h"
#include <string.h>

enum { NONE = UINT32_MAX, LEAST_COUNT = 2 /* a pair seen once is not worth an id */ };

typedef struct train_word { /* a distinct word of the captions */
    size_t symbols;         /* where its ids start */
    uint32_t length;        /* in ids; merges shorten it in place */
    uint64_t count;
} train_word;
typedef struct place { /* a word that held the pair when it was entered */
    uint32_t word, next;
} place;
typedef struct train_pair {
    int32_t left, right;
    uint64_t count;
    uint32_t places; /* a list; NONE: empty */
} train_pair;
typedef struct candidate { /* a heap entry, with the pair's count as it was then */
    uint64_t count;
    uint32_t pair;
} candidate;
typedef struct slot { /* of a hash table */
    uint64_t hash;
    uint32_t item; /* NONE: free */
} slot;
typedef struct hash_table {
    slot *slots;
    size_t size, used;
} hash_table;

typedef struct trainer {
    tic_vocab *vocab;
    train_word *words;
    size_t word_count, word_room;
    int32_t *symbols;
    size_t symbol_count, symbol_room;
    train_pair *pairs;
    size_t pair_count, pair_room;
    place *places;
    size_t place_count, place_room;
    candidate *heap;
    size_t heaped, heap_room;
    hash_table word_table, pair_table;
    tic_runes text; /* the caption at hand, and a word's bytes */
    uint8_t *bytes;
    size_t byte_room;
} trainer;

static void free_trainer(trainer *t) {
    tic_free(t->words);
    tic_free(t->symbols);
    tic_free(t->pairs);
    tic_free(t->places);
    tic_free(t->heap);
    tic_free(t->word_table.slots);
    tic_free(t->pair_table.slots);
    tic_runes_free(&t->text);
    tic_free(t->bytes);
}

/* ---- hash tables --------------------------------------------------------------------------- */

typedef bool (*same_fn)(const trainer *t, uint32_t item, const void *key);

/* The slot of the item with that key, or the free one where it would be. */
static slot *find_slot(const trainer *t, const hash_table *table, uint64_t hash, same_fn same,
                       const void *key) {
    size_t i = (size_t)hash & (table->size - 1);
    while (table->slots[i].item != NONE &&
           !(table->slots[i].hash == hash && (!same || same(t, table->slots[i].item, key))))
        i = (i + 1) & (table->size - 1);
    return &table->slots[i];
}

/* Room for one more item at half load. */
static tic_status widen_table(hash_table *old, tic_error *err) {
    if (2 * (old->used + 1) <= old->size)
        return TIC_OK;
    hash_table wider = {.size = old->size ? 2 * old->size : 1024, .used = old->used};
    TIC_TRY(tic_alloc(&wider.slots, wider.size, sizeof *wider.slots, err));
    for (size_t i = 0; i < wider.size; i++)
        wider.slots[i].item = NONE;
    for (size_t i = 0; i < old->size; i++) {
        size_t at = (size_t)old->slots[i].hash & (wider.size - 1);
        if (old->slots[i].item == NONE)
            continue;
        while (wider.slots[at].item != NONE)
            at = (at + 1) & (wider.size - 1);
        wider.slots[at] = old->slots[i];
    }
    tic_free(old->slots);
    *old = wider;
    return TIC_OK;
}

/* ---- counting words ------------------------------------------------------------------------ */

typedef struct word_key {
    const int32_t *ids;
    size_t length;
} word_key;

static bool same_word(const trainer *t, uint32_t item, const void *key) {
    const word_key *wanted = key;
    const train_word *word = &t->words[item];
    return word->length == wanted->length && memcmp(t->symbols + word->symbols, wanted->ids,
                                                    wanted->length * sizeof *wanted->ids) == 0;
}

static uint64_t hash_ids(const int32_t *ids, size_t length) { /* FNV-1a, folded */
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint32_t)ids[i]) * UINT64_C(1099511628211);
    return hash ^ hash >> 32;
}

static tic_status count_word(trainer *t, size_t size, tic_error *err) {
    size_t start = t->symbol_count;
    for (size_t i = 0; i < size; i++) {
        TIC_TRY(tic_reserve_one(&t->symbols, t->symbol_count, &t->symbol_room, sizeof *t->symbols,
                                err));
        t->symbols[t->symbol_count++] = t->vocab->byte_ids[t->bytes[i]];
    }
    t->symbols[t->symbol_count - 1] += TIC_VOCAB_BYTES; /* as a word's end */
    TIC_TRY(widen_table(&t->word_table, err));
    word_key key = {t->symbols + start, size};
    uint64_t hash = hash_ids(key.ids, size);
    slot *found = find_slot(t, &t->word_table, hash, same_word, &key);
    if (found->item != NONE) {
        t->words[found->item].count++;
        t->symbol_count = start;
        return TIC_OK;
    }
    TIC_TRY(tic_reserve_one(&t->words, t->word_count, &t->word_room, sizeof *t->words, err));
    t->words[t->word_count] = (train_word){start, (uint32_t)size, 1};
    *found = (slot){hash, (uint32_t)t->word_count++};
    t->word_table.used++;
    return TIC_OK;
}

static tic_status count_caption(trainer *t, const char *caption, tic_error *err) {
    size_t at = 0, begin, end, size;
    tic_word_kind kind;
    TIC_TRY(tic_text_clean(&t->text, caption, err));
    while (tic_word_next(&t->text, &at, &begin, &end, &kind)) {
        if (kind != TIC_WORD) /* has an id already */
            continue;
        TIC_TRY(
            tic_word_bytes(t->text.at + begin, end - begin, &t->bytes, &t->byte_room, &size, err));
        TIC_TRY(count_word(t, size, err));
    }
    return TIC_OK;
}

/* ---- counting pairs ------------------------------------------------------------------------ */

static uint64_t hash_pair(int left, int right) { /* a bijection: an odd factor, a shift */
    uint64_t hash = ((uint64_t)left << 32 | (uint32_t)right) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 32;
}

/* The pair's place in t->pairs, made when it is new. */
static tic_status enter_pair(trainer *t, int left, int right, uint32_t *at, tic_error *err) {
    TIC_TRY(widen_table(&t->pair_table, err));
    uint64_t hash = hash_pair(left, right);
    slot *found = find_slot(t, &t->pair_table, hash, NULL, NULL);
    if (found->item == NONE) {
        TIC_TRY(tic_reserve_one(&t->pairs, t->pair_count, &t->pair_room, sizeof *t->pairs, err));
        t->pairs[t->pair_count] = (train_pair){left, right, 0, NONE};
        *found = (slot){hash, (uint32_t)t->pair_count++};
        t->pair_table.used++;
    }
    *at = found->item;
    return TIC_OK;
}

/* Adds the word's pairs to the counts. The word is entered with those that contain the id `young`
 * (every pair when it is -1): with the others it stands already. */
static tic_status add_pairs(trainer *t, uint32_t w, int young, tic_error *err) {
    const train_word *word = &t->words[w];
    const int32_t *ids = t->symbols + word->symbols;
    for (uint32_t i = 0; i + 1 < word->length; i++) {
        uint32_t at;
        TIC_TRY(enter_pair(t, ids[i], ids[i + 1], &at, err));
        train_pair *pair = &t->pairs[at];
        pair->count += word->count;
        bool known = pair->places != NONE && t->places[pair->places].word == w;
        if (known || (young >= 0 && ids[i] != young && ids[i + 1] != young))
            continue;
        TIC_TRY(
            tic_reserve_one(&t->places, t->place_count, &t->place_room, sizeof *t->places, err));
        t->places[t->place_count] = (place){w, pair->places};
        pair->places = (uint32_t)t->place_count++;
    }
    return TIC_OK;
}

static void subtract_pairs(trainer *t, uint32_t w) {
    const train_word *word = &t->words[w];
    const int32_t *ids = t->symbols + word->symbols;
    for (uint32_t i = 0; i + 1 < word->length; i++) {
        uint64_t hash = hash_pair(ids[i], ids[i + 1]);
        t->pairs[find_slot(t, &t->pair_table, hash, NULL, NULL)->item].count -= word->count;
    }
}

/* ---- the heap ------------------------------------------------------------------------------ */

static bool goes_first(const trainer *t, candidate a, candidate b) {
    const train_pair *x = &t->pairs[a.pair], *y = &t->pairs[b.pair];
    if (a.count != b.count)
        return a.count > b.count;
    return x->left != y->left ? x->left < y->left : x->right < y->right;
}

static tic_status heap_push(trainer *t, uint32_t pair, tic_error *err) {
    candidate item = {t->pairs[pair].count, pair};
    TIC_TRY(tic_reserve_one(&t->heap, t->heaped, &t->heap_room, sizeof *t->heap, err));
    size_t i = t->heaped++;
    for (; i > 0 && goes_first(t, item, t->heap[(i - 1) / 2]); i = (i - 1) / 2)
        t->heap[i] = t->heap[(i - 1) / 2];
    t->heap[i] = item;
    return TIC_OK;
}

static candidate heap_pop(trainer *t) {
    candidate top = t->heap[0], item = t->heap[--t->heaped];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < t->heaped; i = child) {
        if (child + 1 < t->heaped && goes_first(t, t->heap[child + 1], t->heap[child]))
            child++;
        if (!goes_first(t, t->heap[child], item))
            break;
        t->heap[i] = t->heap[child];
    }
    t->heap[i] = item;
    return top;
}

/* ---- merging ------------------------------------------------------------------------------- */

/* Replaces left, right by id throughout the word. */
static void merge_word(trainer *t, uint32_t w, int left, int right, int id) {
    train_word *word = &t->words[w];
    int32_t *ids = t->symbols + word->symbols;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < word->length; i++) {
        bool merge = i + 1 < word->length && ids[i] == left && ids[i + 1] == right;
        ids[kept++] = merge ? id : ids[i];
        i += merge;
    }
    word->length = kept;
}

static bool holds(const trainer *t, uint32_t w, int left, int right) {
    const train_word *word = &t->words[w];
    const int32_t *ids = t->symbols + word->symbols;
    for (uint32_t i = 0; i + 1 < word->length; i++)
        if (ids[i] == left && ids[i + 1] == right)
            return true;
    return false;
}

static tic_status merge_everywhere(trainer *t, uint32_t at, int id, tic_error *err) {
    const int left = t->pairs[at].left, right = t->pairs[at].right;
    size_t first_new = t->pair_count;
    for (uint32_t p = t->pairs[at].places; p != NONE; p = t->places[p].next) {
        uint32_t w = t->places[p].word;
        if (!holds(t, w, left, right)) /* earlier merges took it */
            continue;
        subtract_pairs(t, w);
        merge_word(t, w, left, right, id);
        TIC_TRY(add_pairs(t, w, id, err));
    }
    for (size_t pair = first_new; pair < t->pair_count; pair++)
        TIC_TRY(heap_push(t, (uint32_t)pair, err));
    return TIC_OK;
}

static tic_status train(trainer *t, int merges, tic_error *err) {
    for (uint32_t w = 0; w < t->word_count; w++)
        TIC_TRY(add_pairs(t, w, -1, err));
    for (uint32_t pair = 0; pair < t->pair_count; pair++)
        TIC_TRY(heap_push(t, pair, err));
    while (t->heaped && t->vocab->merge_count < merges) {
        candidate best = heap_pop(t);
        const train_pair *pair = &t->pairs[best.pair];
        if (pair->count < LEAST_COUNT)
            continue;
        if (pair->count != best.count) {
            TIC_TRY(heap_push(t, best.pair, err));
            continue;
        }
        int id = TIC_VOCAB_BASE + t->vocab->merge_count;
        bool fresh; /* not so: other pieces make the same text, and it keeps its one id */
        TIC_TRY(tic_vocab_add(t->vocab, pair->left, pair->right, &fresh, err));
        if (fresh)
            TIC_TRY(merge_everywhere(t, best.pair, id, err));
    }
    return tic_vocab_finish(t->vocab, err);
}

tic_status tic_vocab_train(tic_vocab **out, tic_caption_fn next, void *user, int size,
                           tic_error *err) {
    trainer t = {0};
    const char *caption;
    const int reserved = TIC_VOCAB_BASE + 2;
    *out = NULL;
    if (size < reserved || size > reserved + TIC_VOCAB_MERGES)
        return tic_fail(err, TIC_EUSAGE, "a vocabulary of %d ids: it has %d to %d", size, reserved,
                        reserved + TIC_VOCAB_MERGES);
    TIC_TRY(tic_vocab_new(&t.vocab, size - reserved, err));
    tic_status status = TIC_OK;
    while (status == TIC_OK && next(user, &caption))
        status = count_caption(&t, caption, err);
    if (status == TIC_OK)
        status = train(&t, size - reserved, err);
    free_trainer(&t);
    if (status == TIC_OK)
        *out = t.vocab;
    else
        tic_vocab_free(t.vocab);
    return status;
}
