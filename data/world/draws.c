/* Random draws of one sample: a stream of Philox words at (seed, sample), one lane after another.
 */
#include "data/world/room.h"

enum { LANES_PER_STREAM = 1 << 20 };

tic_world_draws tic_world_draws_at(uint64_t seed, uint64_t sample, tic_world_stream stream) {
    return (tic_world_draws){
        .key = {.seed = seed,
                .purpose = TIC_RNG_WORLD,
                .lane = (uint32_t)stream * LANES_PER_STREAM},
        .sample = sample,
    };
}

uint32_t tic_world_word(tic_world_draws *draws) {
    if (draws->left == 0) {
        tic_philox(draws->key, draws->sample, draws->words);
        draws->key.lane++;
        draws->left = 4;
    }
    return draws->words[--draws->left];
}

double tic_world_uniform(tic_world_draws *draws) {
    return tic_world_word(draws) * 0x1p-32;
}

double tic_world_between(tic_world_draws *draws, double low, double high) {
    return low + (high - low) * tic_world_uniform(draws);
}

int tic_world_below(tic_world_draws *draws, int n) {
    return (int)(((uint64_t)tic_world_word(draws) * (uint64_t)n) >> 32);
}

bool tic_world_chance(tic_world_draws *draws, double probability) {
    return tic_world_uniform(draws) < probability;
}

int tic_world_weighted(tic_world_draws *draws, const double *weights, int n) {
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += weights[i];
    double rest = tic_world_uniform(draws) * sum;
    int last = 0; /* rounding may leave a rest: the last possible one takes it */
    for (int i = 0; i < n; i++) {
        if (weights[i] <= 0)
            continue;
        last = i;
        rest -= weights[i];
        if (rest < 0)
            break;
    }
    return last;
}
