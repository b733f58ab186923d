/* What the data do over time, without training (paper, Fig. 13, 18, 19, 20): part of continual.h.
 *
 * All three take the settings of an experiment that make its index and steps (data, index, steps',
 * filter, time_field, threads, max_bad, seed) and, with a checkpoint, those of
 * tic_evaluate_checkpoint. *json is the caller's (tic_free). */
#ifndef TIC_CONTINUAL_ANALYSIS_H
#define TIC_CONTINUAL_ANALYSIS_H

typedef struct tic_shift_options {
    const char *checkpoint; /* whose picture embeddings are compared; NULL: words only */
    const char *nouns;      /* WordNet's index.noun, or a word a line; NULL: every word of three
                               letters or more that is no function word of English */
    int64_t sample;         /* pairs looked at in each step, at most */
    int64_t per_caption;    /* words taken of a caption: its first ones, each once */
} tic_shift_options;
/* Every step against the first. Two samples of n pairs are compared, n the same for all steps (the
 * smallest step's pairs, half of the first step's, at most `sample`), since the distance of finite
 * samples depends on their size: the first step's own row compares two samples of it that share no
 * pair, and is what chance makes. {"schema":1,"checkpoint","nouns","sample":n,"words":n,"steps":[
 * {"step","pairs","frechet","variation","rising":[WORD...],"falling":[WORD...]}...]}. */
tic_status tic_data_shift(const tic_experiment *experiment, const tic_shift_options *options,
                          const tic_hooks *hooks, char **json, tic_error *err);

typedef struct tic_filters_options {
    const char *checkpoint; /* of the CLIP score; NULL: captions and shapes only */
    double keep;            /* share of all pairs that the score keeps, the highest */
    double threshold;       /* not NaN: keeps scores of at least this instead */
    int64_t min_side;       /* pixels */
    int64_t sample;         /* pairs looked at, drawn from all of them; 0: all */
} tic_filters_options;
/* What share of each step a filter keeps. {"schema":1,"checkpoint","threshold","pairs","steps":[
 * {"step","pairs","score":{"mean","stderr"},"kept":{FILTER:n},"share":{FILTER:x}}...],"all":{the
 * same}}, FILTER being "words" (more than 2 words and 5 characters), "english" (and English),
 * "shape" (aspect at most 3, no side under min_side), "basic" (all of these), and with a checkpoint
 * "score" and "both". */
tic_status tic_data_filters(const tic_experiment *experiment, const tic_filters_options *options,
                            const tic_hooks *hooks, char **json, tic_error *err);

/* The steps that another time field of the json makes, against those of the pairs' own time.
 * {"schema":1,"time","other","pairs":n,"without":n,"steps":[...],"matrix":[[pairs; a row a step by
 * the own time, a column a step by the other, and last: after all of
 * them]],"same_step","later_step", "earlier_step":
 * shares,"pearson","spearman","lag_days":{"min","p5","median","p95","max","mean"}}.
 */
tic_status tic_data_times(const tic_experiment *experiment, const char *other,
                          const tic_hooks *hooks, char **json, tic_error *err);

#endif
