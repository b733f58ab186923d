/* Eigenvalues and eigenvectors of a symmetric matrix, in double. Not the core, and a library would
 * do: but LAPACK brings a BLAS of its own whose names BLIS has too. */
#include "shift.h"
#include <math.h>
#include <string.h>

/* ---- tridiagonal form ------------------------------------------------------------------------ */

/* The reflection I - beta v vᵀ that takes x [n] to (alpha, 0, ...); v replaces x. */
static double reflect(double *x, int n, double *alpha) {
    double below = 0, norm;
    for (int i = 1; i < n; i++)
        below += x[i] * x[i];
    *alpha = x[0];
    if (below == 0) /* nothing to take away */
        return 0;
    norm = sqrt(x[0] * x[0] + below);
    *alpha = x[0] > 0 ? -norm : norm;
    x[0] -= *alpha; /* of equal signs: no cancellation */
    return 2 / (x[0] * x[0] + below);
}

/* The lower right block of a, from row and column k on, becomes H a H: with p = beta a v and
 * w = p - (beta pᵀv / 2) v it is a - v wᵀ - w vᵀ. */
static void apply_both(double *a, int n, int k, const double *v, double beta, double *w) {
    const int m = n - k;
    double dot = 0;
    for (int i = 0; i < m; i++) {
        const double *row = a + (size_t)(k + i) * n + k;
        w[i] = 0;
        for (int j = 0; j < m; j++)
            w[i] += row[j] * v[j];
        w[i] *= beta;
        dot += w[i] * v[i];
    }
    for (int i = 0; i < m; i++)
        w[i] -= beta * dot / 2 * v[i];
    for (int i = 0; i < m; i++) {
        double *row = a + (size_t)(k + i) * n + k;
        for (int j = 0; j < m; j++)
            row[j] -= v[i] * w[j] + w[i] * v[j];
    }
}

/* Rows and columns from k on: qt becomes qt H, H acting on its columns. */
static void apply_right(double *qt, int n, int k, const double *v, double beta) {
    const int m = n - k;
    for (int i = 0; i < n; i++) {
        double *row = qt + (size_t)i * n + k, dot = 0;
        for (int j = 0; j < m; j++)
            dot += row[j] * v[j];
        for (int j = 0; j < m; j++)
            row[j] -= beta * dot * v[j];
    }
}

typedef struct tridiagonal { /* Qᵀ a Q */
    int n;
    double *diagonal, *beside; /* [n]; beside[i] between i and i + 1 */
    double *qt;                /* [n,n]; NULL: not wanted */
} tridiagonal;

/* v and w: [n] each. */
static void reduce(double *a, const tridiagonal *t, double *v, double *w) {
    const int n = t->n;
    for (int k = 0; k + 1 < n; k++) {
        double alpha;
        for (int i = k + 1; i < n; i++)
            v[i - k - 1] = a[(size_t)i * n + k];
        const double beta = reflect(v, n - k - 1, &alpha);
        t->diagonal[k] = a[(size_t)k * n + k];
        t->beside[k] = alpha;
        if (beta == 0)
            continue;
        apply_both(a, n, k + 1, v, beta, w);
        if (t->qt != NULL)
            apply_right(t->qt, n, k + 1, v, beta);
    }
    t->diagonal[n - 1] = a[(size_t)n * n - 1];
    t->beside[n - 1] = 0;
}

/* ---- QL -------------------------------------------------------------------------------------- */

/* Rows i and i + 1 of qt, turned by the rotation (c, s). */
static void rotate(const tridiagonal *t, int i, double c, double s) {
    double *low = t->qt + (size_t)i * t->n, *high = low + t->n;
    for (int k = 0; k < t->n; k++) {
        const double old = high[k];
        high[k] = s * low[k] + c * old;
        low[k] = c * low[k] - s * old;
    }
}

/* The first place from `from` on after which the matrix falls apart. */
static int split_at(const tridiagonal *t, int from) {
    int m = from;
    for (; m + 1 < t->n; m++) {
        const double scale = fabs(t->diagonal[m]) + fabs(t->diagonal[m + 1]);
        if (fabs(t->beside[m]) <= 0x1p-53 * scale)
            break;
    }
    return m;
}

/* One sweep over rows from .. to, with Wilkinson's shift. */
static void sweep(const tridiagonal *t, int from, int to) {
    double *d = t->diagonal, *e = t->beside;
    const double half = (d[from + 1] - d[from]) / (2 * e[from]);
    double bulge = d[to] - d[from] + e[from] / (half + copysign(hypot(half, 1), half));
    double s = 1, c = 1, shift = 0;
    for (int i = to - 1; i >= from; i--) {
        const double f = s * e[i], b = c * e[i], r = hypot(f, bulge);
        e[i + 1] = r;
        if (r == 0) { /* it fell apart within the sweep */
            d[i + 1] -= shift;
            e[to] = 0;
            return;
        }
        s = f / r;
        c = bulge / r;
        const double moved = d[i + 1] - shift, turn = (d[i] - moved) * s + 2 * c * b;
        shift = s * turn;
        d[i + 1] = moved + shift;
        bulge = c * turn - b;
        if (t->qt != NULL)
            rotate(t, i, c, s);
    }
    d[from] -= shift;
    e[from] = bulge;
    e[to] = 0;
}

static tic_status diagonalise(const tridiagonal *t, tic_error *err) {
    enum { SWEEPS = 60 }; /* two or three do */
    for (int from = 0; from < t->n; from++) {
        int sweeps = 0;
        for (int to; (to = split_at(t, from)) != from; sweeps++) {
            if (sweeps == SWEEPS)
                return tic_fail(err, TIC_EINTERNAL, "an eigenvalue did not converge");
            sweep(t, from, to);
        }
    }
    return TIC_OK;
}

/* ---- both ------------------------------------------------------------------------------------ */

/* room: [2n + n] and, with vectors, [n,n] more. */
static tic_status solve(double *a, int n, double *values, bool vectors, double *room,
                        tic_error *err) {
    double *v = room, *w = v + n;
    tridiagonal t = {n, values, w + n, vectors ? w + 2 * (size_t)n : NULL};
    for (int i = 0; i < n && vectors; i++)
        t.qt[(size_t)i * n + i] = 1;
    reduce(a, &t, v, w);
    if (vectors) { /* Q so far; its transpose is what rows are turned of */
        for (int i = 0; i < n; i++)
            for (int j = 0; j < n; j++)
                a[(size_t)j * n + i] = t.qt[(size_t)i * n + j];
        t.qt = a;
    }
    return diagonalise(&t, err);
}

tic_status tic_eigen_symmetric(double *a, int n, double *values, bool vectors, tic_error *err) {
    const size_t cells = (size_t)n * (size_t)n;
    double *room;
    for (size_t i = 0; i < cells; i++)
        if (!isfinite(a[i]))
            return tic_fail(err, TIC_EINPUT, "a matrix with a value that is not finite");
    TIC_TRY(tic_alloc(&room, 3 * (size_t)n + (vectors ? cells : 0), sizeof(double), err));
    tic_status status = solve(a, n, values, vectors, room, err);
    tic_free(room);
    return status;
}
