/* Several seeds as one number and its error. */
#include "room.h"
#include <math.h>

tic_spread tic_spread_of(const double *samples, int count) {
    double sum = 0, squares = 0;
    for (int i = 0; i < count; i++)
        sum += samples[i];
    const double mean = count > 0 ? sum / count : NAN;
    for (int i = 0; i < count; i++)
        squares += (samples[i] - mean) * (samples[i] - mean);
    return (tic_spread){mean, count > 1 ? sqrt(squares / (count - 1) / count) : NAN};
}

json_t *tic_spread_json(const double *samples, int count) {
    const tic_spread s = tic_spread_of(samples, count);
    return json_pack("{s:o, s:o}", "mean", tic_json_number(s.mean), "stderr",
                     tic_json_number(s.error));
}
