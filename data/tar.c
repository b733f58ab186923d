/* Reads tar archives member by member: ustar, GNU long names, pax paths and sizes. Everything is
 * read with pread, never mapped: a shard that is cut while we read gives an error, not a signal. */
#include "data/room.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PAX_BYTES = 64 << 10 };

typedef struct header { /* POSIX ustar; GNU's differs after `magic` only where we do not look */
    char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100];
    char magic[6], version[2], user[32], group[32], major[8], minor[8], prefix[155], pad[12];
} header;
_Static_assert(sizeof(header) == TIC_TAR_BLOCK, "a tar header is one block");

/* What extension headers say about the member that follows them. */
typedef struct extension {
    char *name; /* the member's name buffer, filled when has_name */
    bool has_name, has_size, sparse;
    uint64_t size;
} extension;

bool tic_read_at(int file, uint64_t at, void *bytes, size_t size) {
    char *to = bytes;
    while (size > 0) {
        ssize_t got = pread(file, to, size, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return false;
        to += got, at += (uint64_t)got, size -= (size_t)got;
    }
    return true;
}

static bool all_zero(const void *bytes, size_t size) {
    const char *b = bytes;
    return size == 0 || (b[0] == 0 && memcmp(b, b + 1, size - 1) == 0);
}

/* Octal with leading blanks, ended by a blank or NUL; or GNU's base 256 with the top bit set. */
static bool parse_number(const char *field, size_t width, uint64_t *value) {
    uint64_t v = 0;
    size_t i = 0;
    if ((unsigned char)field[0] & 0x80) {
        v = (unsigned char)field[0] & 0x7f;
        for (i = 1; i < width; i++) {
            if (v >> 55)
                return false;
            v = v << 8 | (unsigned char)field[i];
        }
        *value = v;
        return true;
    }
    while (i < width && field[i] == ' ')
        i++;
    for (; i < width && field[i] >= '0' && field[i] <= '7'; i++)
        v = v << 3 | (uint64_t)(field[i] - '0');
    *value = v;
    return i == width || field[i] == ' ' || field[i] == 0;
}

/* The sum of the header's bytes with its own field as blanks; some old writers summed signed
 * chars. */
static bool checksum_fits(const header *h) {
    const unsigned char *bytes = (const unsigned char *)h;
    uint64_t written;
    int64_t sum = 0, sum_signed = 0;
    size_t from = offsetof(header, checksum), to = from + sizeof h->checksum;
    for (size_t i = 0; i < sizeof *h; i++) {
        int c = i >= from && i < to ? ' ' : bytes[i];
        sum += c;
        sum_signed += (signed char)c;
    }
    return parse_number(h->checksum, sizeof h->checksum, &written) &&
           ((int64_t)written == sum || (int64_t)written == sum_signed);
}

static tic_tar_state stop(tic_tar *tar, tic_tar_state state, uint64_t at, const char *why) {
    tar->why = why;
    tar->why_at = at;
    return state;
}

/* A block of zeros ends an archive. Anything but zeros after it means that a block in the middle
 * was wiped, or that archives were glued together: either way there is more that we cannot trust.
 */
static tic_tar_state end_of_archive(tic_tar *tar) {
    char block[4096];
    uint64_t end = tar->at;
    for (uint64_t at = end; at < tar->size;) {
        size_t part = tar->size - at < sizeof block ? (size_t)(tar->size - at) : sizeof block;
        if (!tic_read_at(tar->file, at, block, part))
            return stop(tar, TIC_TAR_DAMAGED, at, "cannot be read");
        if (!all_zero(block, part))
            return stop(tar, TIC_TAR_DAMAGED, end, "data after the end marker");
        at += part;
    }
    return TIC_TAR_END;
}

/* One pax record, "<length> <key>=<value>\n" with length counting all of it. */
static bool pax_record(char *record, size_t left, size_t *length, extension *ext) {
    char *end;
    unsigned long n = strtoul(record, &end, 10);
    if (end == record || *end != ' ' || n > left || n < (size_t)(end - record) + 3 ||
        record[n - 1] != '\n')
        return false;
    char *key = end + 1, *value = memchr(key, '=', (size_t)(record + n - key));
    if (!value)
        return false;
    *value++ = 0;
    record[n - 1] = 0;
    *length = n;
    if (strcmp(key, "path") == 0) {
        size_t size = (size_t)(record + n - value);
        if (size > TIC_TAR_NAME)
            return false;
        memcpy(ext->name, value, size);
        ext->has_name = true;
    } else if (strcmp(key, "size") == 0) {
        char *stopped;
        errno = 0;
        ext->size = strtoull(value, &stopped, 10);
        ext->has_size = true;
        return errno == 0 && stopped != value && *stopped == 0;
    } else if (strncmp(key, "GNU.sparse.", 11) == 0) {
        ext->sparse = true;
    }
    return true;
}

static bool read_pax(const tic_tar *tar, uint64_t at, uint64_t size, extension *ext) {
    char records[PAX_BYTES + 1];
    if (size > PAX_BYTES || !tic_read_at(tar->file, at, records, size))
        return false;
    records[size] = 0; /* strtoul stops here */
    for (size_t from = 0, length; from < size; from += length)
        if (!pax_record(records + from, size - from, &length, ext))
            return false;
    return true;
}

static bool read_long_name(const tic_tar *tar, uint64_t at, uint64_t size, extension *ext) {
    if (size >= TIC_TAR_NAME || !tic_read_at(tar->file, at, ext->name, size))
        return false;
    ext->name[size] = 0;
    ext->has_name = true;
    return true;
}

/* The ustar name, with POSIX's prefix (GNU keeps times where POSIX has the prefix). */
static void header_name(const header *h, char *out) {
    size_t n = 0;
    if (memcmp(h->magic, "ustar", 6) == 0 && h->prefix[0]) {
        n = strnlen(h->prefix, sizeof h->prefix);
        memcpy(out, h->prefix, n);
        out[n++] = '/';
    }
    size_t m = strnlen(h->name, sizeof h->name);
    memcpy(out + n, h->name, m);
    out[n + m] = 0;
}

static const char *refusal(char type) {
    switch (type) {
    case '1':
        return "hard links are not read";
    case '2':
        return "symbolic links are not read";
    case 'S':
        return "sparse files are not read";
    case 'M':
        return "archives in several volumes are not read";
    default:
        return "a member that is not a file";
    }
}

typedef enum header_state { HEADER_GOOD, HEADER_END, HEADER_DAMAGED } header_state;

/* Reads the header at tar->at and the extent of its contents; on damage fills tar->why. */
static header_state read_header(tic_tar *tar, header *h, uint64_t *size) {
    if (tar->size - tar->at < sizeof *h) {
        stop(tar, TIC_TAR_DAMAGED, tar->size,
             tar->size == 0 ? "the file is empty" : "the file ends without an end marker");
        return HEADER_DAMAGED;
    }
    const char *why = NULL;
    if (!tic_read_at(tar->file, tar->at, h, sizeof *h))
        why = "cannot be read";
    else if (all_zero(h, sizeof *h))
        return HEADER_END;
    else if (!checksum_fits(h))
        why = "member header checksum mismatch";
    else if (!parse_number(h->size, sizeof h->size, size))
        why = "member header with a size that is no number";
    if (!why)
        return HEADER_GOOD;
    stop(tar, TIC_TAR_DAMAGED, tar->at, why);
    return HEADER_DAMAGED;
}

/* Moves over the contents at `at`, to the next header. False when they leave the file. */
static bool pass(tic_tar *tar, uint64_t at, uint64_t size) {
    if (size > tar->size - at)
        return false;
    uint64_t padded = (size + TIC_TAR_BLOCK - 1) / TIC_TAR_BLOCK * TIC_TAR_BLOCK;
    tar->at = padded > tar->size - at ? tar->size : at + padded;
    return true;
}

tic_tar_state tic_tar_next(tic_tar *tar, tic_member *member) {
    extension ext = {.name = member->name};
    member->header = tar->at;
    for (;;) {
        header h;
        uint64_t size = 0, here = tar->at, at = here + TIC_TAR_BLOCK;
        header_state state = read_header(tar, &h, &size);
        if (state == HEADER_END && here == member->header)
            return end_of_archive(tar);
        if (state == HEADER_END)
            return stop(tar, TIC_TAR_DAMAGED, here, "an extension header without its member");
        if (state == HEADER_DAMAGED)
            return TIC_TAR_DAMAGED;
        bool regular = h.type == '0' || h.type == 0 || h.type == '7';
        if (regular && ext.has_size)
            size = ext.size;
        if (!pass(tar, at, size))
            return stop(tar, TIC_TAR_DAMAGED, here, "the file ends inside this member");
        if (h.type == 'L' || h.type == 'x') {
            bool good =
                h.type == 'L' ? read_long_name(tar, at, size, &ext) : read_pax(tar, at, size, &ext);
            if (!good)
                return stop(tar, TIC_TAR_DAMAGED, here, "an extension header that makes no sense");
        } else if (regular) {
            if (ext.sparse)
                return stop(tar, TIC_TAR_REFUSED, here, refusal('S'));
            if (!ext.has_name)
                header_name(&h, member->name);
            member->at = at;
            member->size = size;
            return TIC_TAR_MEMBER;
        } else if (h.type == '5') { /* a folder: what was said of it is not for the next member */
            ext = (extension){.name = member->name};
            member->header = tar->at;
        } else if (h.type != 'g' && h.type != 'K') {
            return stop(tar, TIC_TAR_REFUSED, here, refusal(h.type));
        }
    }
}

bool tic_tar_resync(tic_tar *tar) {
    header h;
    uint64_t at = tar->why_at / TIC_TAR_BLOCK * TIC_TAR_BLOCK + TIC_TAR_BLOCK;
    for (; at <= tar->size && tar->size - at >= sizeof h; at += TIC_TAR_BLOCK) {
        if (!tic_read_at(tar->file, at, &h, sizeof h))
            return false;
        if (memcmp(h.magic, "ustar", 5) == 0 && checksum_fits(&h)) {
            tar->at = at;
            return true;
        }
    }
    return false;
}
