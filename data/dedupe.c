/* Duplicates among samples: of those with one identity, or with the same picture and caption, the
 * earliest is kept. And the hashing of identities, and draws by them. */
#include "data/room.h"
#include <stdlib.h>

void tic_hash_id(tic_sha256 *hash, tic_id id) {
    uint8_t bytes[16];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(id.hi >> (56 - 8 * i));
        bytes[8 + i] = (uint8_t)(id.lo >> (56 - 8 * i));
    }
    tic_sha256_add(hash, bytes, sizeof bytes);
}

tic_id tic_hash_end(tic_sha256 *hash) {
    uint8_t digest[32];
    tic_id id = {0, 0};
    tic_sha256_end(hash, digest);
    for (int i = 0; i < 8; i++) {
        id.hi = id.hi << 8 | digest[i];
        id.lo = id.lo << 8 | digest[8 + i];
    }
    return id;
}

uint64_t tic_id_draw(tic_random key, tic_id id) {
    uint32_t words[4];
    tic_philox(key, id.hi, words);
    key.lane = words[0];
    tic_philox(key, id.lo ^ ((uint64_t)words[1] << 32 | words[2]), words);
    return (uint64_t)words[0] << 32 | words[1];
}

typedef struct candidate {
    int64_t time;
    uint32_t sample; /* place; samples stand in order of shard and offset */
} candidate;

static int by_time(const void *a, const void *b) {
    const candidate *x = a, *y = b;
    if (x->time != y->time)
        return x->time < y->time ? -1 : 1;
    return (x->sample > y->sample) - (x->sample < y->sample);
}

/* An open-addressing set of 128-bit values that are hashes already. Identities taken from uids may
 * be any number, so both halves are mixed. An all-zero slot is free; `has_zero` stands for the
 * value 0 itself. */
typedef struct id_set {
    tic_id *slots;
    size_t mask;
    bool has_zero;
} id_set;

static tic_id *find(const id_set *set, tic_id id) {
    size_t at = (size_t)((id.lo ^ id.hi * 0x9E3779B97F4A7C15u) * 0xD1342543DE82EF95u >> 20);
    for (;; at++) {
        tic_id *slot = &set->slots[at & set->mask];
        if (tic_id_compare(*slot, id) == 0 || (slot->hi == 0 && slot->lo == 0))
            return slot;
    }
}

static bool is_zero(tic_id id) {
    return id.hi == 0 && id.lo == 0;
}

static bool contains(const id_set *set, tic_id id) {
    return is_zero(id) ? set->has_zero : !is_zero(*find(set, id));
}

static void insert(id_set *set, tic_id id) {
    if (is_zero(id))
        set->has_zero = true;
    else
        *find(set, id) = id;
}

tic_status tic_drop_duplicates(tic_sample *samples, size_t count, tic_error *err) {
    candidate *order = NULL;
    id_set ids = {0}, contents = {0};
    size_t n = 0, size = 64;
    while (size < 2 * count)
        size *= 2;
    ids.mask = contents.mask = size - 1;
    tic_status status = tic_alloc(&order, count, sizeof *order, err);
    if (status == TIC_OK)
        status = tic_alloc(&ids.slots, size, sizeof(tic_id), err);
    if (status == TIC_OK)
        status = tic_alloc(&contents.slots, size, sizeof(tic_id), err);
    for (size_t i = 0; status == TIC_OK && i < count; i++)
        if (samples[i].reject == TIC_REJECT_NONE)
            order[n++] = (candidate){.time = samples[i].pair.time, .sample = (uint32_t)i};
    if (n > 0)
        qsort(order, n, sizeof *order, by_time);
    for (size_t i = 0; i < n; i++) {
        tic_sample *sample = &samples[order[i].sample];
        if (contains(&ids, sample->pair.id) || contains(&contents, sample->pair.content)) {
            sample->reject = TIC_REJECT_DUPLICATE;
            continue;
        }
        insert(&ids, sample->pair.id);
        insert(&contents, sample->pair.content);
    }
    tic_free(order);
    tic_free(ids.slots);
    tic_free(contents.slots);
    return status;
}
