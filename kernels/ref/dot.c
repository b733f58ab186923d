/* The products of all references: see dot.h. */
#include "kernels/ref/dot.h"

static double element(tic_line line, int64_t i) {
    const int64_t at = i * line.step;
    if (line.type == TIC_LINE_F64)
        return ((const double *)line.from)[at];
    if (line.type == TIC_LINE_BF16)
        return tic_from_bf16(((const tic_bf16 *)line.from)[at]);
    const float x = ((const float *)line.from)[at];
    return line.round ? tic_from_bf16(tic_to_bf16(x)) : x;
}

TIC_PRODUCT double tic_line_dot(int64_t n, tic_line x, tic_line y) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        sum += element(x, i) * element(y, i);
    return sum;
}

TIC_PRODUCT void tic_line_add(int64_t n, double factor, tic_line x, double *y) {
    for (int64_t i = 0; i < n; i++)
        y[i] += factor * element(x, i);
}
