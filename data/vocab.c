/* A vocabulary of byte-pair encoding: its pieces and merges, and how both are found. */
#include "data/vocab.h"
#include <string.h>

static size_t power_above(size_t count) {
    size_t power = 64;
    while (power < count)
        power *= 2;
    return power;
}

/* ---- pieces by text ------------------------------------------------------------------------ */

static uint32_t hash_text(const char *text, size_t length) { /* FNV-1a */
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)text[i]) * 16777619u;
    return hash;
}

/* The slot that holds the piece, or the free one where it would be. */
static int32_t *piece_slot(const tic_vocab *vocab, const char *text, size_t length) {
    for (size_t i = hash_text(text, length) & vocab->piece_mask;; i = (i + 1) & vocab->piece_mask) {
        int32_t id = vocab->piece_slots[i];
        if (id < 0)
            return &vocab->piece_slots[i];
        const char *piece = vocab->pool + vocab->pieces[id];
        if (strlen(piece) == length && memcmp(piece, text, length) == 0)
            return &vocab->piece_slots[i];
    }
}

int tic_vocab_find(const tic_vocab *vocab, const char *text, size_t length) {
    return *piece_slot(vocab, text, length);
}

/* Room for one more text of that length in the pool. */
static tic_status widen_pool(tic_vocab *vocab, size_t length, tic_error *err) {
    if (vocab->pool_size + length + 1 <= vocab->pool_capacity)
        return TIC_OK;
    size_t capacity = 2 * vocab->pool_capacity + length + 1;
    TIC_TRY(tic_grow(&vocab->pool, vocab->pool_size, capacity, 1, err));
    vocab->pool_capacity = capacity;
    return TIC_OK;
}

/* Makes the text that stands at the end of the pool a piece, unless there is one already. */
static bool keep_piece(tic_vocab *vocab, size_t length) {
    int32_t *slot = piece_slot(vocab, vocab->pool + vocab->pool_size, length);
    if (*slot >= 0)
        return false;
    *slot = vocab->piece_count;
    vocab->pieces[vocab->piece_count++] = (uint32_t)vocab->pool_size;
    vocab->pool_size += length + 1;
    return true;
}

static tic_status add_piece(tic_vocab *vocab, const char *text, bool *fresh, tic_error *err) {
    size_t length = strlen(text);
    TIC_TRY(widen_pool(vocab, length, err));
    memcpy(vocab->pool + vocab->pool_size, text, length + 1);
    *fresh = keep_piece(vocab, length);
    return TIC_OK;
}

/* ---- merges -------------------------------------------------------------------------------- */

static tic_merge_slot *merge_slot(const tic_vocab *vocab, int left, int right) {
    uint32_t pair = (uint32_t)left << 16 | (uint32_t)right;
    uint64_t hash = pair * UINT64_C(0x9E3779B97F4A7C15); /* Fibonacci hashing */
    size_t i = (size_t)(hash >> 32) & vocab->merge_mask;
    while (vocab->merge_slots[i].merge >= 0 && vocab->merge_slots[i].pair != pair)
        i = (i + 1) & vocab->merge_mask;
    return &vocab->merge_slots[i];
}

int tic_vocab_merge(const tic_vocab *vocab, int left, int right) {
    return merge_slot(vocab, left, right)->merge;
}

tic_status tic_vocab_add(tic_vocab *vocab, int left, int right, bool *fresh, tic_error *err) {
    size_t first = strlen(vocab->pool + vocab->pieces[left]);
    size_t second = strlen(vocab->pool + vocab->pieces[right]);
    TIC_TRY(widen_pool(vocab, first + second, err));
    char *text = vocab->pool + vocab->pool_size;
    memcpy(text, vocab->pool + vocab->pieces[left], first);
    memcpy(text + first, vocab->pool + vocab->pieces[right], second + 1);
    *fresh = keep_piece(vocab, first + second);
    if (!*fresh)
        return TIC_OK;
    *merge_slot(vocab, left, right) =
        (tic_merge_slot){(uint32_t)left << 16 | (uint32_t)right, vocab->merge_count};
    vocab->merges[vocab->merge_count++] = (tic_merge){left, right};
    return TIC_OK;
}

/* ---- making -------------------------------------------------------------------------------- */

/* GPT-2's alphabet: the bytes that can be seen in Latin-1 in order, then the rest. */
static bool visible(int byte) {
    return (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte != 0xAD);
}

static tic_status add_alphabet(tic_vocab *vocab, tic_error *err) {
    uint32_t runes[TIC_VOCAB_BYTES];
    int id = 0;
    for (int rest = 0; rest < 2; rest++)
        for (int byte = 0, hidden = 0; byte < TIC_VOCAB_BYTES; byte++) {
            hidden += !visible(byte);
            if (visible(byte) != (rest == 0))
                continue;
            runes[id] = rest ? (uint32_t)(0x100 + hidden - 1) : (uint32_t)byte;
            vocab->byte_ids[byte] = id++;
        }
    for (int end = 0; end < 2; end++)
        for (id = 0; id < TIC_VOCAB_BYTES; id++) {
            char text[2 + sizeof "</w>"] = ""; /* a byte character takes one or two bytes */
            bool fresh;
            int length = tic_rune_encode(runes[id], (uint8_t *)text);
            strcpy(text + length, end ? "</w>" : "");
            TIC_TRY(add_piece(vocab, text, &fresh, err));
        }
    return TIC_OK;
}

static tic_status fill_new(tic_vocab *vocab, int merges, tic_error *err) {
    size_t ids = (size_t)(TIC_VOCAB_BASE + merges + 3); /* a blank piece, start, end */
    size_t pieces = power_above(2 * ids), pairs = power_above(2 * (size_t)merges);
    TIC_TRY(tic_alloc(&vocab->merges, (size_t)merges, sizeof *vocab->merges, err));
    TIC_TRY(tic_alloc(&vocab->pieces, ids, sizeof *vocab->pieces, err));
    TIC_TRY(tic_alloc(&vocab->piece_slots, pieces, sizeof *vocab->piece_slots, err));
    TIC_TRY(tic_alloc(&vocab->merge_slots, pairs, sizeof *vocab->merge_slots, err));
    vocab->pool_capacity = 8 * ids;
    TIC_TRY(tic_alloc(&vocab->pool, vocab->pool_capacity, 1, err));
    vocab->piece_mask = pieces - 1;
    vocab->merge_mask = pairs - 1;
    for (size_t i = 0; i < pieces; i++)
        vocab->piece_slots[i] = -1;
    for (size_t i = 0; i < pairs; i++)
        vocab->merge_slots[i].merge = -1;
    return add_alphabet(vocab, err);
}

tic_status tic_vocab_new(tic_vocab **out, int merges, tic_error *err) {
    TIC_TRY(tic_alloc(out, 1, sizeof **out, err));
    tic_status status = fill_new(*out, merges, err);
    if (status != TIC_OK) {
        tic_vocab_free(*out);
        *out = NULL;
    }
    return status;
}

tic_status tic_vocab_finish(tic_vocab *vocab, tic_error *err) {
    bool fresh;
    if (vocab->blank)
        TIC_TRY(add_piece(vocab, "", &fresh, err));
    vocab->size = vocab->piece_count + 2;
    const char *const LAST[] = {"<start_of_text>", "<end_of_text>"};
    for (int i = 0; i < 2; i++) {
        TIC_TRY(add_piece(vocab, LAST[i], &fresh, err));
        if (!fresh) /* a merge spells it; the pieces must stay one an id */
            return tic_fail(err, TIC_EINPUT, "a merge makes the reserved piece %s", LAST[i]);
    }
    return TIC_OK;
}

void tic_vocab_free(tic_vocab *vocab) {
    if (!vocab)
        return;
    tic_free(vocab->merges);
    tic_free(vocab->pool);
    tic_free(vocab->pieces);
    tic_free(vocab->piece_slots);
    tic_free(vocab->merge_slots);
    tic_free(vocab);
}

int tic_vocab_size(const tic_vocab *vocab) {
    return vocab->size;
}

const char *tic_vocab_piece(const tic_vocab *vocab, int id) {
    return id >= 0 && id < vocab->size ? vocab->pool + vocab->pieces[id] : "";
}
