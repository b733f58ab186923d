/* CLIP's vocabulary file: gzip (or plain), a header line, then one merge a line, the two pieces
 * apart by a space. Read as OpenCLIP's SimpleTokenizer reads it. */
#include "data/vocab.h"
#include <string.h>

enum { FILE_LIMIT = 64 << 20 /* bytes, packed and unpacked */ };
static const char HEADER[] = "\"ticlip_bpe.txt#version: 0.2";

/* ---- reading ------------------------------------------------------------------------------- */

static bool blank_char(char c) {
    return c == ' ' || c == '\t' || c == '\r';
}

/* The next word of [*at, end); its length, 0 when there is none. */
static size_t next_word(const char **at, const char *end) {
    while (*at < end && blank_char(**at))
        (*at)++;
    const char *word = *at;
    while (word < end && !blank_char(*word))
        word++;
    return (size_t)(word - *at);
}

static tic_status read_merge(tic_vocab *vocab, const char *line, const char *end, const char *path,
                             int number, tic_error *err) {
    int ids[2];
    for (int i = 0; i < 2; i++) {
        size_t length = next_word(&line, end);
        if (length == 0)
            return tic_fail(err, TIC_EINPUT, "%s line %d: a merge needs two pieces", path, number);
        ids[i] = tic_vocab_find(vocab, line, length);
        if (ids[i] < 0)
            return tic_fail(err, TIC_EINPUT,
                            "%s line %d: the %s piece is neither a byte nor made by an earlier "
                            "merge",
                            path, number, i ? "second" : "first");
        line += length;
    }
    if (next_word(&line, end))
        return tic_fail(err, TIC_EINPUT, "%s line %d: more than two pieces", path, number);
    bool fresh;
    TIC_TRY(tic_vocab_add(vocab, ids[0], ids[1], &fresh, err));
    if (!fresh)
        return tic_fail(err, TIC_EINPUT, "%s line %d: its piece is there already", path, number);
    return TIC_OK;
}

/* Lines after the header; a last empty one counts when there are fewer than CLIP uses, because
 * OpenCLIP gives it an id. */
static tic_status read_merges(tic_vocab *vocab, const char *text, const char *end, const char *path,
                              tic_error *err) {
    for (int number = 2; text && vocab->merge_count < TIC_VOCAB_MERGES; number++) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        const char *line_end = newline ? newline : end;
        if (!newline && next_word(&text, line_end) == 0)
            vocab->blank = true;
        else
            TIC_TRY(read_merge(vocab, text, line_end, path, number, err));
        text = newline ? newline + 1 : NULL;
    }
    return TIC_OK;
}

static tic_status parse(tic_vocab **out, const char *text, size_t size, const char *path,
                        tic_error *err) {
    const char *newline = memchr(text, '\n', size), *end = text + size;
    size_t header = newline ? (size_t)(newline - text) : size;
    if (!memmem(text, header, "#version", strlen("#version")))
        return tic_fail(err, TIC_EINPUT,
                        "%s line 1: not a BPE vocabulary (its header holds no \"#version\")", path);
    int merges = 0;
    for (const char *at = newline; at && merges < TIC_VOCAB_MERGES; merges++)
        at = at + 1 < end ? memchr(at + 1, '\n', (size_t)(end - at - 1)) : NULL;
    TIC_TRY(tic_vocab_new(out, merges, err));
    tic_status status = read_merges(*out, newline ? newline + 1 : NULL, end, path, err);
    if (status == TIC_OK && (status = tic_vocab_finish(*out, err)) != TIC_OK)
        tic_fail_in(err, "%s", path);
    return status;
}

tic_status tic_vocab_load(tic_vocab **out, const char *path, tic_error *err) {
    char *bytes, *text = NULL;
    size_t size;
    *out = NULL;
    TIC_TRY(tic_file_read(path, FILE_LIMIT, &bytes, &size, err));
    tic_status status = TIC_OK;
    if (size >= 2 && memcmp(bytes, "\x1F\x8B", 2) == 0) {
        status = tic_gunzip(&text, &size, bytes, size, FILE_LIMIT, path, err);
        tic_free(bytes);
    } else {
        text = bytes;
    }
    if (status == TIC_OK)
        status = parse(out, text, size, path, err);
    tic_free(text);
    if (status != TIC_OK) {
        tic_vocab_free(*out);
        *out = NULL;
    }
    return status;
}

/* ---- writing ------------------------------------------------------------------------------- */

/* No newline ends the file: OpenCLIP would take what follows it for a piece. */
static size_t write_text(const tic_vocab *vocab, char *out) {
    char *at = stpcpy(out, HEADER);
    for (int i = 0; i < vocab->merge_count; i++) {
        *at++ = '\n';
        at = stpcpy(at, tic_vocab_piece(vocab, vocab->merges[i].left));
        *at++ = ' ';
        at = stpcpy(at, tic_vocab_piece(vocab, vocab->merges[i].right));
    }
    if (vocab->blank)
        *at++ = '\n';
    return (size_t)(at - out);
}

tic_status tic_vocab_save(const tic_vocab *vocab, const char *path, tic_error *err) {
    char *text;
    uint8_t *packed = NULL;
    size_t packed_size = 0;
    /* A merge's line is as long as its piece and a space and newline more. */
    size_t room = sizeof HEADER + vocab->pool_size + 2 * (size_t)vocab->merge_count + 1;
    TIC_TRY(tic_alloc(&text, room, 1, err));
    tic_status status = tic_gzip(&packed, &packed_size, text, write_text(vocab, text), err);
    if (status == TIC_OK)
        status = tic_file_write(path, packed, packed_size, err);
    tic_free(text);
    tic_free(packed);
    return status;
}
