/* SHA-256 (through nettle) and the 128-bit identities cut from it. */
#ifndef TIC_BASE_HASH_H
#define TIC_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

typedef struct tic_id { /* an identity: high and low 64 bits, compared as one number */
    uint64_t hi, lo;
} tic_id;

typedef struct tic_sha256 {
    uint64_t opaque[20];
} tic_sha256;

void tic_sha256_init(tic_sha256 *hash);
void tic_sha256_add(tic_sha256 *hash, const void *bytes, size_t size);
void tic_sha256_end(tic_sha256 *hash, uint8_t digest[32]);
/* Lower-case hexadecimal, 64 characters and a NUL. */
void tic_sha256_hex(const uint8_t digest[32], char text[65]);
/* SHA-256(bytes) as such text, in one call. */
void tic_sha256_text(const void *bytes, size_t size, char text[65]);
/* The first 128 bits of SHA-256(bytes), big-endian. */
tic_id tic_id_of(const void *bytes, size_t size);
int tic_id_compare(tic_id a, tic_id b); /* -1, 0, 1 */

#endif
