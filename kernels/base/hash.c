/* SHA-256 through nettle; identities cut from it. */
#include "kernels/base/hash.h"

#include <nettle/sha2.h>

_Static_assert(sizeof(struct sha256_ctx) <= sizeof(tic_sha256), "room for nettle's state");
_Static_assert(_Alignof(struct sha256_ctx) <= _Alignof(tic_sha256), "alignment of nettle's state");

/* The state lives in the caller's opaque words; nothing but nettle ever reads them. */
static struct sha256_ctx *state(tic_sha256 *hash) {
    return (struct sha256_ctx *)(void *)hash->opaque;
}

void tic_sha256_init(tic_sha256 *hash) {
    sha256_init(state(hash));
}

void tic_sha256_add(tic_sha256 *hash, const void *bytes, size_t size) {
    if (size > 0)
        sha256_update(state(hash), size, bytes);
}

void tic_sha256_end(tic_sha256 *hash, uint8_t digest[32]) {
    sha256_digest(state(hash), 32, digest);
}

void tic_sha256_hex(const uint8_t digest[32], char text[65]) {
    static const char digits[] = "0123456789abcdef";
    for (int i = 0; i < 32; i++) {
        text[2 * i] = digits[digest[i] >> 4];
        text[2 * i + 1] = digits[digest[i] & 15];
    }
    text[64] = '\0';
}

void tic_sha256_text(const void *bytes, size_t size, char text[65]) {
    tic_sha256 hash;
    uint8_t digest[32];
    tic_sha256_init(&hash);
    tic_sha256_add(&hash, bytes, size);
    tic_sha256_end(&hash, digest);
    tic_sha256_hex(digest, text);
}

static uint64_t big_endian(const uint8_t *bytes) {
    uint64_t x = 0;
    for (int i = 0; i < 8; i++)
        x = x << 8 | bytes[i];
    return x;
}

tic_id tic_id_of(const void *bytes, size_t size) {
    tic_sha256 hash;
    uint8_t digest[32];
    tic_sha256_init(&hash);
    tic_sha256_add(&hash, bytes, size);
    tic_sha256_end(&hash, digest);
    return (tic_id){big_endian(digest), big_endian(digest + 8)};
}

int tic_id_compare(tic_id a, tic_id b) {
    if (a.hi != b.hi)
        return a.hi < b.hi ? -1 : 1;
    return a.lo == b.lo ? 0 : a.lo < b.lo ? -1 : 1;
}
