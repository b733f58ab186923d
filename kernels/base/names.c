/* Edit distance between names, neighbours swapped counting once. */
#include "kernels/base/names.h"
#include "kernels/base/integers.h"

#include <string.h>

enum { NAME_LIMIT = 63 };

/* Optimal string alignment: insertions, deletions, substitutions and swaps of neighbours. */
static int edit_distance(const char *a, const char *b) {
    int64_t rows[3][NAME_LIMIT + 1];
    int an = (int)strlen(a), bn = (int)strlen(b);
    if (an > NAME_LIMIT || bn > NAME_LIMIT)
        return NAME_LIMIT;
    for (int j = 0; j <= bn; j++)
        rows[0][j] = j;
    for (int i = 1; i <= an; i++) {
        int64_t *now = rows[i % 3], *up = rows[(i + 2) % 3], *upper = rows[(i + 1) % 3];
        now[0] = i;
        for (int j = 1; j <= bn; j++) {
            int64_t change = up[j - 1] + (a[i - 1] != b[j - 1]);
            now[j] = tic_least(change, tic_least(up[j], now[j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = tic_least(now[j], upper[j - 2] + 1);
        }
    }
    return (int)rows[an % 3][bn];
}

const char *tic_nearest(const char *given, const char *(*name)(const void *list, int i),
                        const void *list, int count) {
    const char *best = NULL;
    int best_distance = NAME_LIMIT;
    for (int i = 0; i < count; i++) {
        int distance = edit_distance(given, name(list, i));
        if (distance < best_distance) {
            best_distance = distance;
            best = name(list, i);
        }
    }
    /* A third of the letters may differ, or the beginning was typed. */
    if (best != NULL && best_distance <= 1 + (int)strlen(given) / 3)
        return best;
    for (int i = 0; i < count; i++)
        if (strlen(given) >= 2 && strncmp(name(list, i), given, strlen(given)) == 0)
            return name(list, i);
    return NULL;
}

const char *tic_name_in(const void *list, int i) {
    return ((const char *const *)list)[i];
}
