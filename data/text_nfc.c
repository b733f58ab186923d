/* Unicode's normalisation form C (UAX 15): utf8proc's tables and composition, with an ordering of
 * combining marks that takes linear time however many there are. */
#include "data/text.h"
#include <string.h>
#include <utf8proc.h>

enum { PARTS = 8 /* the longest canonical decomposition has 4 */, CLASSES = 256 };

static unsigned combining_class(uint32_t rune) {
    return utf8proc_get_property((utf8proc_int32_t)rune)->combining_class;
}

static tic_status decompose(tic_runes *out, const tic_runes *text, tic_error *err) {
    int last_class = UTF8PROC_BOUNDCLASS_START;
    for (size_t i = 0; i < text->count; i++) {
        utf8proc_int32_t parts[PARTS];
        int count = (int)utf8proc_decompose_char((utf8proc_int32_t)text->at[i], parts, PARTS,
                                                 UTF8PROC_DECOMPOSE, &last_class);
        if (count < 0 || count > PARTS)
            return tic_fail(err, TIC_EINTERNAL, "U+%04X does not decompose", text->at[i]);
        for (int p = 0; p < count; p++)
            TIC_TRY(tic_runes_push(out, (uint32_t)parts[p], err));
    }
    return TIC_OK;
}

/* Stable counting sort of a run of marks by class. */
static tic_status order_run(uint32_t *marks, size_t count, tic_error *err) {
    size_t starts[CLASSES + 1] = {0};
    uint32_t *sorted;
    TIC_TRY(tic_alloc(&sorted, count, sizeof *sorted, err));
    for (size_t i = 0; i < count; i++)
        starts[combining_class(marks[i]) + 1]++;
    for (int c = 0; c < CLASSES; c++)
        starts[c + 1] += starts[c];
    for (size_t i = 0; i < count; i++)
        sorted[starts[combining_class(marks[i])]++] = marks[i];
    memcpy(marks, sorted, count * sizeof *marks);
    tic_free(sorted);
    return TIC_OK;
}

static tic_status order_marks(tic_runes *text, tic_error *err) {
    for (size_t i = 0, end; i < text->count; i = end + 1) {
        bool ordered = true;
        for (end = i; end < text->count && combining_class(text->at[end]) != 0; end++)
            ordered &=
                end == i || combining_class(text->at[end - 1]) <= combining_class(text->at[end]);
        if (!ordered)
            TIC_TRY(order_run(text->at + i, end - i, err));
    }
    return TIC_OK;
}

static tic_status normalise(tic_runes *parts, const tic_runes *text, tic_error *err) {
    TIC_TRY(decompose(parts, text, err));
    TIC_TRY(order_marks(parts, err));
    utf8proc_ssize_t count =
        utf8proc_normalize_utf32((utf8proc_int32_t *)parts->at, (utf8proc_ssize_t)parts->count,
                                 UTF8PROC_STABLE | UTF8PROC_COMPOSE);
    if (count < 0)
        return tic_fail(err, TIC_EINTERNAL, "normalisation: %s", utf8proc_errmsg(count));
    parts->count = (size_t)count;
    return TIC_OK;
}

tic_status tic_text_compose(tic_runes *text, tic_error *err) {
    tic_runes parts = {0};
    size_t i = 0;
    while (i < text->count && text->at[i] < 0x300) /* up to here every text is in form C */
        i++;
    if (i == text->count)
        return TIC_OK;
    tic_status status = normalise(&parts, text, err);
    if (status == TIC_OK)
        tic_runes_swap(text, &parts);
    tic_runes_free(&parts);
    return status;
}
