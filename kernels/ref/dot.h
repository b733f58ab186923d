/* The products of all references: dot products of lines of elements, summed in double in rising
 * order. Inside kernels/ref/ only. */
#ifndef TIC_REF_DOT_H
#define TIC_REF_DOT_H

#include "kernels/room.h"

typedef struct tic_line { /* elements `step` apart */
    const void *from;
    int64_t step;
    enum { TIC_LINE_F32 = TIC_F32, TIC_LINE_BF16 = TIC_BF16, TIC_LINE_F64 } type;
    bool round; /* f32 elements to the nearest bf16 */
} tic_line;

/* From element (i, j) on, along a row or down a column. */
static inline tic_line tic_line_along(tic_mat mat, int64_t i, int64_t j) {
    const char *from = (const char *)mat.data + (size_t)(i * mat.ld + j) * tic_dtype_size(mat.type);
    return (tic_line){.from = from, .step = 1, .type = (int)mat.type};
}
static inline tic_line tic_line_down(tic_mat mat, int64_t i, int64_t j) {
    tic_line line = tic_line_along(mat, i, j);
    line.step = mat.ld;
    return line;
}
static inline tic_line tic_line_f32(const float *from, int64_t step, bool round) {
    return (tic_line){from, step, TIC_LINE_F32, round};
}
static inline tic_line tic_line_f64(const double *from, int64_t step) {
    return (tic_line){from, step, TIC_LINE_F64, false};
}

/* sum of x[i] y[i]: n MACs */
double tic_line_dot(int64_t n, tic_line x, tic_line y);
/* y[i] += factor x[i]: n MACs */
void tic_line_add(int64_t n, double factor, tic_line x, double *y);

#endif
