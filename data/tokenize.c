/* From a caption to ids: cleaned, cut into words, each word merged pair by pair. */
#include "data/vocab.h"

/* Merging works on a list of symbols and a heap of the merges that could be done next, the earliest
 * in the vocabulary first and of equals the leftmost. A merge's pieces come before it in the
 * vocabulary, so what a merge makes possible always ranks after it, and the order is that of passes
 * over the word; but a word of n bytes takes O(n log n). */
typedef struct symbol {
    int32_t id;             /* -1: merged into the one before it */
    uint32_t before, after; /* neighbours; NONE at the ends */
} symbol;
enum { NONE = UINT32_MAX };

typedef struct workspace {
    tic_runes text;
    uint8_t *bytes;
    size_t byte_room;
    symbol *symbols;
    uint64_t *heap; /* merge << 32 | place of its left symbol */
    size_t symbol_room, heaped;
} workspace;

static void free_workspace(workspace *work) {
    tic_runes_free(&work->text);
    tic_free(work->bytes);
    tic_free(work->symbols);
    tic_free(work->heap);
}

tic_status tic_word_bytes(const uint32_t *runes, size_t count, uint8_t **bytes, size_t *room,
                          size_t *size, tic_error *err) {
    if (*room < 4 * count) {
        size_t wider = 4 * count > 64 ? 4 * count : 64;
        TIC_TRY(tic_grow(bytes, 0, wider, 1, err));
        *room = wider;
    }
    *size = 0;
    for (size_t i = 0; i < count; i++)
        *size += (size_t)tic_rune_encode(runes[i], *bytes + *size);
    return TIC_OK;
}

/* ---- the heap ------------------------------------------------------------------------------ */

static void heap_push(workspace *work, uint64_t item) {
    size_t i = work->heaped++;
    for (; i > 0 && work->heap[(i - 1) / 2] > item; i = (i - 1) / 2)
        work->heap[i] = work->heap[(i - 1) / 2];
    work->heap[i] = item;
}

static uint64_t heap_pop(workspace *work) {
    uint64_t top = work->heap[0], item = work->heap[--work->heaped];
    size_t i = 0;
    for (size_t child; (child = 2 * i + 1) < work->heaped; i = child) {
        if (child + 1 < work->heaped && work->heap[child + 1] < work->heap[child])
            child++;
        if (work->heap[child] >= item)
            break;
        work->heap[i] = work->heap[child];
    }
    work->heap[i] = item;
    return top;
}

/* ---- one word ------------------------------------------------------------------------------ */

/* n symbols have n - 1 pairs, and each of at most n - 1 merges makes two more. */
static tic_status make_room(workspace *work, size_t symbols, tic_error *err) {
    if (work->symbol_room >= symbols)
        return TIC_OK;
    size_t room = symbols > 64 ? symbols : 64;
    TIC_TRY(tic_grow(&work->symbols, 0, room, sizeof *work->symbols, err));
    TIC_TRY(tic_grow(&work->heap, 0, 3 * room, sizeof *work->heap, err));
    work->symbol_room = room;
    return TIC_OK;
}

static void offer(workspace *work, const tic_vocab *vocab, uint32_t left) {
    uint32_t right = left == NONE ? NONE : work->symbols[left].after;
    if (right == NONE)
        return;
    int merge = tic_vocab_merge(vocab, work->symbols[left].id, work->symbols[right].id);
    if (merge >= 0)
        heap_push(work, (uint64_t)merge << 32 | left);
}

static void merge_at(workspace *work, const tic_vocab *vocab, uint32_t left, int merge) {
    symbol *symbols = work->symbols;
    uint32_t right = symbols[left].after;
    symbols[left].id = TIC_VOCAB_BASE + merge;
    symbols[left].after = symbols[right].after;
    symbols[right].id = -1;
    if (symbols[left].after != NONE)
        symbols[symbols[left].after].before = left;
    offer(work, vocab, symbols[left].before);
    offer(work, vocab, left);
}

/* Merges the word in work->bytes; the result is the list that starts at symbol 0. */
static tic_status merge_word(workspace *work, const tic_vocab *vocab, size_t size, tic_error *err) {
    TIC_TRY(make_room(work, size, err));
    for (uint32_t i = 0; i < size; i++)
        work->symbols[i] = (symbol){vocab->byte_ids[work->bytes[i]], i ? i - 1 : NONE,
                                    i + 1 < size ? i + 1 : NONE};
    work->symbols[size - 1].id += TIC_VOCAB_BYTES; /* as a word's end */
    work->heaped = 0;
    for (uint32_t i = 0; i < size; i++)
        offer(work, vocab, i);
    while (work->heaped) {
        uint64_t item = heap_pop(work);
        uint32_t left = (uint32_t)item, right = work->symbols[left].after;
        const tic_merge *merge = &vocab->merges[item >> 32];
        if (work->symbols[left].id == merge->left && right != NONE &&
            work->symbols[right].id == merge->right) /* else an earlier merge took one of them */
            merge_at(work, vocab, left, (int)(item >> 32));
    }
    return TIC_OK;
}

/* ---- a caption ----------------------------------------------------------------------------- */

/* Fills at most `context` ids, without the end of text; *count may come out one above context to
 * tell that there are more. */
static tic_status encode(workspace *work, const tic_vocab *vocab, int context, int32_t *ids,
                         int *count, tic_error *err) {
    size_t at = 0, begin, end, size;
    tic_word_kind kind;
    *count = 1;
    ids[0] = vocab->size - 2;
    while (*count <= context && tic_word_next(&work->text, &at, &begin, &end, &kind)) {
        if (kind != TIC_WORD) {
            if (*count < context)
                ids[*count] = kind == TIC_WORD_START ? vocab->size - 2 : vocab->size - 1;
            ++*count;
            continue;
        }
        TIC_TRY(tic_word_bytes(work->text.at + begin, end - begin, &work->bytes, &work->byte_room,
                               &size, err));
        TIC_TRY(merge_word(work, vocab, size, err));
        for (uint32_t i = 0; i != NONE && *count <= context; i = work->symbols[i].after) {
            if (*count < context)
                ids[*count] = work->symbols[i].id;
            ++*count;
        }
    }
    return TIC_OK;
}

tic_status tic_tokenize(const tic_vocab *vocab, const char *text, int context, int32_t *ids,
                        int *count, tic_error *err) {
    workspace work = {0};
    if (context < 1)
        return tic_fail(err, TIC_EUSAGE, "a context of %d ids has no room for the end of text",
                        context);
    tic_status status = tic_text_clean(&work.text, text, err);
    if (status == TIC_OK)
        status = encode(&work, vocab, context, ids, count, err);
    if (status == TIC_OK) {
        if (*count >= context)
            *count = context - 1;
        ids[(*count)++] = vocab->size - 1;
    }
    free_workspace(&work);
    return status;
}

tic_status tic_tokenize_caption(const tic_vocab *vocab, const char *text, int context, int32_t *ids,
                                int *count, tic_error *err) {
    TIC_TRY(tic_tokenize(vocab, text, context, ids, count, err));
    int end = 0;
    while (ids[end] != vocab->size - 1) /* the last id is one */
        end++;
    *count = end + 1;
    return TIC_OK;
}
