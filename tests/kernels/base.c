/* Status, memory and hashes. */
#include "check.h"

#include <stdlib.h>

Test(status, text_is_one_line_and_prefixed) {
    tic_error err = {0};
    cr_assert(tic_fail(&err, TIC_EINPUT, "a\nb %d", 7) == TIC_EINPUT);
    cr_assert_str_eq(err.text, "a b 7");
    cr_assert(tic_fail_in(&err, "file@%d", 3) == TIC_EINPUT);
    cr_assert_str_eq(err.text, "file@3: a b 7");
    cr_assert(tic_fail(&err, TIC_EVERIFY, "again: %s", err.text) == TIC_EVERIFY);
    cr_assert_str_eq(err.text, "again: file@3: a b 7");
    cr_assert(tic_fail(NULL, TIC_EUSAGE, "nobody listens") == TIC_EUSAGE);
}

Test(status, long_text_is_cut) {
    tic_error err = {0};
    char text[2 * TIC_ERROR_TEXT];
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    tic_fail(&err, TIC_EINPUT, "%s", text);
    cr_assert(strlen(err.text) == TIC_ERROR_TEXT - 1);
    cr_assert(tic_fail_in(&err, "prefix") == TIC_EINPUT);
    cr_assert(strlen(err.text) == TIC_ERROR_TEXT - 1);
    cr_assert(memcmp(err.text, "prefix: xxx", 11) == 0);
    cr_assert(tic_fail_in(&err, "%s", text) == TIC_EINPUT);
    cr_assert(strlen(err.text) == TIC_ERROR_TEXT - 1);
}

Test(memory, alloc_is_zeroed_and_aligned) {
    for (size_t n = 0; n < 300; n += 7) {
        unsigned char *p;
        CHECK_OK(tic_alloc(&p, n, 3, err));
        cr_assert(p != NULL && (uintptr_t)p % TIC_ALIGN == 0);
        for (size_t i = 0; i < 3 * n; i++)
            cr_assert(p[i] == 0);
        memset(p, 1, 3 * n);
        tic_free(p);
    }
}

Test(memory, overflow_is_refused) {
    void *p = &p;
    CHECK_FAILS(TIC_ERESOURCE, "memory", tic_alloc(&p, SIZE_MAX / 2, 3, err));
    cr_assert(p == NULL);
    CHECK_FAILS(TIC_ERESOURCE, "memory", tic_alloc(&p, SIZE_MAX, 1, err));
    CHECK_FAILS(TIC_ERESOURCE, "memory", tic_alloc(&p, (size_t)1 << 62, 1, err));
    cr_assert(p == NULL);
}

Test(memory, grow_keeps_and_zeroes) {
    int *p = NULL;
    CHECK_OK(tic_grow(&p, 0, 5, sizeof *p, err));
    for (int i = 0; i < 5; i++)
        p[i] = i + 1;
    CHECK_OK(tic_grow(&p, 5, 100, sizeof *p, err));
    for (int i = 0; i < 100; i++)
        cr_assert(p[i] == (i < 5 ? i + 1 : 0));
    int *before = p;
    CHECK_FAILS(TIC_ERESOURCE, "memory", tic_grow(&p, 100, SIZE_MAX / 2, sizeof *p, err));
    cr_assert(p == before && p[4] == 5);
    tic_free(p);
}

Test(memory, reserve_one_doubles) {
    int *p = NULL;
    size_t capacity = 0;
    int grown = 0;
    for (size_t count = 0; count < 1000; count++) {
        size_t old = capacity;
        CHECK_OK(tic_reserve_one(&p, count, &capacity, sizeof *p, err));
        grown += capacity != old;
        cr_assert(capacity > count);
        p[count] = (int)count;
    }
    cr_assert(grown <= 10);
    for (int i = 0; i < 1000; i++)
        cr_assert(p[i] == i);
    tic_free(p);
}

Test(memory, arena) {
    tic_arena arena;
    CHECK_OK(tic_arena_new(&arena, 256, err));
    unsigned char *a = tic_arena_take(&arena, 1), *b = tic_arena_take(&arena, 65);
    cr_assert(a != NULL && b == a + 64 && arena.used == 192);
    size_t mark = tic_arena_mark(&arena);
    cr_assert(tic_arena_take(&arena, 65) == NULL && arena.used == 192);
    cr_assert(tic_arena_take(&arena, 64) == b + 128);
    cr_assert(tic_arena_take(&arena, 1) == NULL);
    cr_assert(tic_arena_take(&arena, SIZE_MAX) == NULL);
    tic_arena_release(&arena, mark);
    cr_assert(arena.used == 192 && arena.peak == 256);
    tic_arena_free(&arena);
    cr_assert(arena.base == NULL && tic_arena_take(&arena, 1) == NULL);
}

/* FIPS 180-4's examples. */
Test(hash, sha256_known_answers) {
    static const char *const cases[][2] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t c = 0; c < 3; c++) {
        tic_sha256 hash;
        uint8_t digest[32];
        char text[65];
        tic_sha256_init(&hash);
        for (const char *p = cases[c][0]; *p != '\0'; p++)
            tic_sha256_add(&hash, p, 1);
        tic_sha256_end(&hash, digest);
        tic_sha256_hex(digest, text);
        cr_assert_str_eq(text, cases[c][1]);
    }
}

Test(hash, identities) {
    tic_id id = tic_id_of("abc", 3);
    cr_assert(id.hi == 0xba7816bf8f01cfea && id.lo == 0x414140de5dae2223);
    cr_assert(tic_id_compare(id, id) == 0);
    cr_assert(tic_id_compare((tic_id){1, 9}, (tic_id){2, 0}) == -1);
    cr_assert(tic_id_compare((tic_id){2, 1}, (tic_id){2, 0}) == 1);
    cr_assert(tic_id_compare((tic_id){2, 0}, (tic_id){2, 1}) == -1);
}
