/* One pair of the stream as a pure function of seed, number of pairs and its own number. */
#include "data/world/room.h"
#include <string.h>

enum { CRAWL_DAYS = 400, COPY_DAYS = 120, DAY = 86400 };

typedef struct tic_world_fate { /* what is decided before anything is drawn */
    int64_t time;
    bool studio;
    tic_world_defect defect;
    tic_id uid;
    double crawl;    /* delay, relative */
    uint64_t source; /* of a duplicate */
    double later;    /* relative delay of a duplicate */
} tic_world_fate;

static tic_world_fate fate_of(const tic_world_options *options, uint64_t number) {
    const tic_world_parameters *p = &tic_world_parameter;
    const double shares[] = {[TIC_WORLD_MISMATCHED] = p->mismatched,
                             [TIC_WORLD_DUPLICATE] = p->duplicate,
                             [TIC_WORLD_FOREIGN] = p->foreign,
                             [TIC_WORLD_TOO_SHORT] = p->too_short};
    tic_world_draws draws = tic_world_draws_at(options->seed, number, TIC_WORLD_FATE);
    tic_world_fate fate = {.time = tic_world_draw_time(&draws)};
    fate.studio = tic_world_chance(&draws, p->studio);
    double defect = tic_world_uniform(&draws);
    for (int i = TIC_WORLD_MISMATCHED; i <= TIC_WORLD_TOO_SHORT; i++) {
        if (defect >= 0 && defect < shares[i])
            fate.defect = (tic_world_defect)i;
        defect -= shares[i];
    }
    uint64_t words[6];
    for (int i = 0; i < 6; i++)
        words[i] = tic_world_word(&draws);
    fate.uid = (tic_id){words[0] << 32 | words[1], words[2] << 32 | words[3]};
    fate.source = (words[4] << 32 | words[5]) % options->pairs;
    fate.crawl = tic_world_uniform(&draws);
    fate.later = tic_world_uniform(&draws);
    return fate;
}

/* A duplicate shows an earlier sample that is none itself; where chance picked one that is, the
 * sample is a sound one of its own. */
static tic_world_fate settle(const tic_world_options *options, tic_world_sample *sample) {
    tic_world_fate fate = fate_of(options, sample->number);
    sample->original = sample->number;
    sample->uid = fate.uid;
    sample->time = fate.time;
    if (fate.defect == TIC_WORLD_DUPLICATE) {
        tic_world_fate source = fate_of(options, fate.source);
        int64_t room = tic_world_last_second() - source.time;
        if (source.defect == TIC_WORLD_DUPLICATE || room < 1) {
            fate.defect = TIC_WORLD_SOUND;
        } else {
            int64_t most = room < COPY_DAYS * DAY ? room : COPY_DAYS * DAY;
            sample->original = fate.source;
            sample->time = source.time + 1 + (int64_t)(fate.later * (double)(most - 1));
            fate.time = source.time;
            fate.studio = source.studio;
        }
    }
    sample->defect = fate.defect;
    sample->crawled = sample->time + DAY + (int64_t)(fate.crawl * CRAWL_DAYS * DAY);
    return fate;
}

static void tell(tic_world_sample *sample, const tic_world_options *options,
                 const tic_world_fate *fate, tic_world_defect defect) {
    char *text = sample->caption;
    tic_world_draws draws = tic_world_draws_at(options->seed, sample->original, TIC_WORLD_CAPTION);
    sample->language = "en";
    if (defect == TIC_WORLD_FOREIGN) {
        sample->language = tic_world_foreign_caption(&draws, text, TIC_WORLD_CAPTION_BYTES);
    } else if (defect == TIC_WORLD_TOO_SHORT) {
        tic_world_short_caption(&sample->scene, &draws, text, TIC_WORLD_CAPTION_BYTES);
    } else if (defect == TIC_WORLD_MISMATCHED) {
        tic_world_draws other =
            tic_world_draws_at(options->seed, sample->original, TIC_WORLD_OTHER);
        tic_world_scene scene;
        tic_world_sample_scene(&scene, &other, fate->time, fate->studio, options->size);
        tic_world_caption(&scene, &draws, text, TIC_WORLD_CAPTION_BYTES);
    } else {
        tic_world_caption(&sample->scene, &draws, text, TIC_WORLD_CAPTION_BYTES);
    }
}

void tic_world_sample_at(tic_world_sample *sample, const tic_world_options *options,
                         uint64_t number) {
    memset(sample, 0, sizeof *sample);
    sample->number = number;
    tic_world_fate fate = settle(options, sample);
    tic_world_draws draws = tic_world_draws_at(options->seed, sample->original, TIC_WORLD_SCENE);
    tic_world_sample_scene(&sample->scene, &draws, fate.time, fate.studio, options->size);
    tic_world_defect defect = sample->defect;
    if (defect == TIC_WORLD_DUPLICATE) /* the caption keeps what its original suffers from */
        defect = fate_of(options, sample->original).defect;
    tell(sample, options, &fate, defect);
}
