/* The valid name that was probably meant: least edit distance. */
#include "room.h"

#include <string.h>

enum { MAX_NAME = 63 };

static int least(int a, int b, int c) {
    const int ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein distance of two names, compared up to MAX_NAME characters. */
static int distance(const char *a, const char *b) {
    const int m = (int)strnlen(a, MAX_NAME), n = (int)strnlen(b, MAX_NAME);
    int row[MAX_NAME + 1];
    for (int j = 0; j <= n; j++)
        row[j] = j;
    for (int i = 1; i <= m; i++) {
        int diagonal = row[0];
        row[0] = i;
        for (int j = 1; j <= n; j++) {
            const int change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = least(row[j] + 1, row[j - 1] + 1, change);
        }
    }
    return row[n];
}

int tic_nearest(const char *name, const char *const *names, int count) {
    int best = -1, best_distance = (int)strnlen(name, MAX_NAME) / 2 + 2;
    for (int i = 0; i < count; i++) {
        const int d = distance(name, names[i]);
        if (d < best_distance) {
            best = i;
            best_distance = d;
        }
    }
    return best;
}
