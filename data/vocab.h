/* Inside data/ only: how a vocabulary is held, for its files, its training and the tokenizer.
 *
 * Ids: 256 byte characters, the same 256 as ends of words ("</w>"), one id a merge, start of text,
 * end of text. A byte character is the byte's own, or U+0100 and up for bytes that have none that
 * can be seen (GPT-2's alphabet). */
#ifndef TIC_DATA_VOCAB_H
#define TIC_DATA_VOCAB_H

#include "data/data.h"
#include "data/text.h"

enum {
    TIC_VOCAB_BYTES = 256,
    TIC_VOCAB_BASE = 512,     /* ids before the merges */
    TIC_VOCAB_MERGES = 48894, /* at most */
};

typedef struct tic_merge { /* ids */
    int32_t left, right;
} tic_merge;
typedef struct tic_merge_slot {
    uint32_t pair; /* left << 16 | right; ids are below 2^16 */
    int32_t merge; /* -1: the slot is free */
} tic_merge_slot;

struct tic_vocab {
    tic_merge *merges;
    int merge_count;
    bool blank; /* an empty piece follows the merges, see tic_vocab_load */
    int size;   /* 0 until finished */
    char *pool; /* the pieces' texts, each with its NUL */
    size_t pool_size, pool_capacity;
    uint32_t *pieces; /* [ids], where each starts in the pool */
    int piece_count;
    int32_t *piece_slots; /* pieces by text, -1: free */
    tic_merge_slot *merge_slots;
    size_t piece_mask, merge_mask; /* slots - 1 */
    int32_t byte_ids[TIC_VOCAB_BYTES];
};

/* A vocabulary of the byte characters, with room for that many merges. */
tic_status tic_vocab_new(tic_vocab **out, int merges, tic_error *err);
/* Appends a merge of two ids; its id is TIC_VOCAB_BASE + its number. When a piece with that text
 * exists already nothing is added and *fresh is false. */
tic_status tic_vocab_add(tic_vocab *vocab, int left, int right, bool *fresh, tic_error *err);
/* Adds the ids after the merges. */
tic_status tic_vocab_finish(tic_vocab *vocab, tic_error *err);
/* The id of a piece, -1 when there is none. `text` need not end with a NUL. */
int tic_vocab_find(const tic_vocab *vocab, const char *text, size_t length);
/* The number of the merge of two ids, -1 when there is none. */
int tic_vocab_merge(const tic_vocab *vocab, int left, int right);

/* A word's bytes, from runes; *bytes (capacity *room, NULL and 0 at first) grows and is the
 * caller's (tic_free). */
tic_status tic_word_bytes(const uint32_t *runes, size_t count, uint8_t **bytes, size_t *room,
                          size_t *size, tic_error *err);

/* gzip, all members, to at most `limit` bytes and a NUL; `path` is for messages. *out is the
 * caller's (tic_free). Damage or more than the limit: TIC_EINPUT. */
tic_status tic_gunzip(char **out, size_t *out_size, const void *bytes, size_t size, size_t limit,
                      const char *path, tic_error *err);
/* One member without name or time: the same bytes for the same input and zlib. */
tic_status tic_gzip(uint8_t **out, size_t *out_size, const void *bytes, size_t size,
                    tic_error *err);

#endif
