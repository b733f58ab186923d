/* Data: dated image-text pairs from tar shards to packed batches. The room's one public header.
 *
 * A pair is known by its identity (its json's `uid`, else a hash of picture and caption), never by
 * its place in a file: held-out sets, duplicates and sample order all speak of identities. */
#ifndef TIC_DATA_H
#define TIC_DATA_H

#include "kernels/kernels.h"

/* Called now and then from the calling thread; `total` is 0 while unknown. */
typedef void (*tic_progress_fn)(void *user, const char *what, uint64_t done, uint64_t total);
/* Asked now and then from the calling thread: true ends the work with TIC_EINTERRUPTED. */
typedef bool (*tic_stop_fn)(void *user);

/* ---- index --------------------------------------------------------------------------------- */

typedef enum tic_reject { /* why a sample of a shard is not usable; names by tic_reject_name */
                          TIC_REJECT_NONE,
                          TIC_REJECT_UNPAIRED, /* no picture, or no caption */
                          TIC_REJECT_NO_JSON,  /* json missing or not an object */
                          TIC_REJECT_NO_TIME, /* no timestamp / created_utc / dateuploaded, or not a
                                                 time */
                          TIC_REJECT_NOT_IMAGE, /* not a JPEG (HTML named .jpg, empty file, PNG) */
                          TIC_REJECT_CORRUPT, /* the decoder gave an error, a warning of lost data,
                                                 or 12 bits */
                          TIC_REJECT_TOO_LARGE, /* over the pixel, scan or byte limit */
                          TIC_REJECT_DUPLICATE, /* same identity, or same picture and caption, as an
                                                   earlier pair */
                          TIC_REJECT_FEW_WORDS, /* basic filter: not more than 2 words or 5
                                                   characters */
                          TIC_REJECT_NOT_ENGLISH, /* basic filter */
                          TIC_REJECT_SHAPE, /* basic filter: aspect over 3, or a side under min_side
                                             */
                          TIC_REJECT_BAD_TEXT, /* caption is not UTF-8, or over 64 KiB */
                          TIC_REJECT_LOST, /* truncated or damaged shard: the sample is incomplete
                                            */
                          TIC_REJECT_COUNT
} tic_reject;
const char *tic_reject_name(tic_reject reason); /* "no-time", "duplicate", ... */

/* One usable pair. Offsets are of the members' contents in their shard. */
typedef struct tic_pair {
    /* The json's `uid`: 32 hexadecimal digits as a number, any other text hashed; else content. */
    tic_id id;
    /* SHA-256 of the picture's size (8 bytes, little-endian), its bytes, and the caption without
     * white space at its ends, cut to 128 bits. */
    tic_id content;
    int64_t time;                        /* seconds since 1970, UTC */
    uint64_t image_at, text_at, json_at; /* text_at 0: the caption is the json's */
    uint32_t image_size, text_size, json_size;
    uint32_t shard;
    uint16_t width, height; /* pixels */
} tic_pair;

typedef struct tic_rejected { /* one sample that is not usable */
    uint32_t shard;
    uint64_t at; /* offset of its first member's header */
    tic_reject reason;
    char key[64]; /* cut to fit */
} tic_rejected;

typedef struct tic_index tic_index;
typedef struct tic_index_options {
    int threads;  /* 0: one per core */
    bool filter;  /* basic filter of the paper: English, > 2 words, > 5 characters, aspect <= 3 */
    int min_side; /* with filter: pictures with a smaller side are rejected; pixels, 0: none */
    const char *time_field; /* json field of a pair's time, at most 63 bytes (else TIC_EUSAGE); NULL
                               or "": timestamp, created_utc or dateuploaded, the first that is one
                             */
    uint64_t max_bad;       /* damaged shards may lose this many pairs, more is TIC_EINPUT */
    tic_progress_fn progress; /* may be NULL */
    tic_stop_fn stop;         /* may be NULL; what was read till then is lost */
    void *user;
} tic_index_options;

/* Reads every `*.tar` of `folder` (sorted by name) once: members, json, time, hashes, a full decode
 * of each picture; removes duplicates keeping the earliest. The result is the same for any number
 * of threads. Pairs are sorted by identity. On success *out is the caller's (tic_index_free).
 * No shard, an unreadable one, losses above max_bad, members that are not plain files, or a key
 * that comes twice in a shard: TIC_EINPUT naming shard and offset. A shard that breaks off counts
 * at least one pair as lost. An index may be empty: its rejects say why. */
tic_status tic_index_build(tic_index **out, const char *folder, const tic_index_options *options,
                           tic_error *err);
/* A saved index is valid for exactly the shards (names, sizes, mtimes) and options that made it.
 * load gives *out NULL and TIC_OK when there is no such file or it is stale; a damaged one is
 * treated as stale. */
tic_status tic_index_save(const tic_index *index, const char *path, tic_error *err);
/* TIC_EINPUT naming the file when it is not as it was saved. */
tic_status tic_index_check(const char *path, tic_error *err);
tic_status tic_index_load(tic_index **out, const char *path, const char *folder,
                          const tic_index_options *options, tic_error *err);
void tic_index_free(tic_index *index); /* NULL is allowed */

size_t tic_index_size(const tic_index *index);
const tic_pair *tic_index_pairs(const tic_index *index); /* borrowed */
int tic_index_shards(const tic_index *index);
const char *tic_index_shard(const tic_index *index, int shard); /* path, borrowed */
size_t tic_index_rejects(const tic_index *index, const tic_rejected **list);
uint64_t tic_index_rejected(const tic_index *index, tic_reject reason);
/* Hash over the identities of all pairs in order: what a run was computed from. */
tic_id tic_index_hash(const tic_index *index);
/* A keyed hash of all 128 bits of an identity; the key's lane tells independent draws apart. */
uint64_t tic_id_draw(tic_random key, tic_id id);
/* Random access; the text or json is the caller's (tic_free), NUL-terminated. A change of the shard
 * since indexing is TIC_EINPUT. */
tic_status tic_index_caption(tic_index *index, uint32_t pair, char **text, tic_error *err);
/* A top-level string (or number, as text) field of the pair's json; *value NULL when absent. */
tic_status tic_index_field(tic_index *index, uint32_t pair, const char *field, char **value,
                           tic_error *err);
/* The same for a field that tells a time. False in *known: absent, or no time. */
tic_status tic_index_time(tic_index *index, uint32_t pair, const char *field, int64_t *time,
                          bool *known, tic_error *err);

/* ---- the basic filter ---------------------------------------------------------------------- */

/* What the paper's basic filter says of a caption; language: the json's field or NULL. */
tic_reject tic_filter_caption(const char *caption, const char *language);
tic_reject tic_filter_shape(int width, int height, int min_side);

/* ---- time steps ---------------------------------------------------------------------------- */

typedef enum tic_granularity {
    TIC_YEAR,
    TIC_QUARTER,
    TIC_MONTH,
    TIC_LIST,
    TIC_IID
} tic_granularity;
enum { TIC_SPLITS_MAX = 999 }; /* of TIC_IID */
typedef struct tic_steps_options {
    tic_granularity granularity;
    /* "2016", "2016Q3" or "2016-07": pools all before its end; NULL: none. Not with TIC_LIST. */
    const char *first_step;
    /* TIC_LIST: "2006,2007-06,2007-12", the last month, quarter or year of each step. Pairs after
     * the last end belong to no step. */
    const char *list;
    /* TIC_IID: this many steps, a pair's by a keyed hash of its identity and not by its time
     * (paper, Table 3); each spans all of the time. Neither first_step nor min_step go with it. */
    int splits;
    /* A step with fewer pairs (before any is held out) joins the next, the last the one before. A
     * period without any pair always does. */
    size_t min_step;
    size_t eval_pairs; /* held out of every step (at most a fifth of it, at least one) */
    uint64_t eval_seed;
} tic_steps_options;

typedef struct tic_step {
    char name[16];          /* "2016", "2016Q3", "2016-07": the name of its last part; "iid-3" */
    int64_t begin, end;     /* [begin, end) in seconds since 1970 */
    uint32_t *train, *eval; /* places in tic_index_pairs, rising (so: in order of identity) */
    size_t trains, evals;
} tic_step;
typedef struct tic_steps {
    tic_step *step;
    int count;
} tic_steps;
/* Steps follow each other without gaps (but for TIC_IID). Held-out pairs are those of the step with
 * the smallest keyed hash of identity: they stay held out whatever else is in the data. Since an
 * index holds no two pairs with one identity or one content, no copy of a held-out pair is in any
 * step's train. Fewer than two pairs in a step, or no step: TIC_EINPUT; a first_step or list that
 * cannot be read: TIC_EUSAGE. On failure *out is empty. */
tic_status tic_steps_make(tic_steps *out, const tic_index *index, const tic_steps_options *options,
                          tic_error *err);
void tic_steps_free(tic_steps *steps);
/* The step of each of the index's `pairs` pairs, whichever way they were dealt into steps; -1: it
 * belongs to none. *out is the caller's (tic_free). */
tic_status tic_steps_places(const tic_steps *steps, size_t pairs, int **out, tic_error *err);

/* ---- vocabulary and tokens ----------------------------------------------------------------- */

/* CLIP's byte-pair encoding (reference/openclip.md, Tokenizer). */
typedef struct tic_vocab tic_vocab;
/* Reads CLIP's format, gzipped or plain: a header line that holds "#version", then one merge a
 * line. At most 48,894 merges are used (CLIP's own file has more lines that CLIP ignores). Like
 * OpenCLIP, a final newline after fewer of them counts as an empty piece with an id. A line that is
 * no merge of two known pieces, a piece made twice, more than 64 MiB unpacked: TIC_EINPUT naming
 * the line or offset. On success *out is the caller's (tic_vocab_free), on failure NULL. */
tic_status tic_vocab_load(tic_vocab **out, const char *path, tic_error *err);
/* Trains byte-pair merges on captions given by `next` (NULL-terminated text, borrowed until the
 * following call; false at the end), to a vocabulary of `size` ids (514 .. 49408), or fewer when
 * no pair is left that occurs twice: ask tic_vocab_size. The most frequent pair goes first, of
 * equals the one with the smaller ids. *out as above; another size: TIC_EUSAGE. */
typedef bool (*tic_caption_fn)(void *user, const char **text);
tic_status tic_vocab_train(tic_vocab **out, tic_caption_fn next, void *user, int size,
                           tic_error *err);
/* Writes it gzipped, the same bytes for the same vocabulary. */
tic_status tic_vocab_save(const tic_vocab *vocab, const char *path, tic_error *err);
void tic_vocab_free(tic_vocab *vocab);
int tic_vocab_size(const tic_vocab *vocab); /* ids are [0, size); SOT size-2, EOT size-1 */
/* The text of an id ("</w>" marks a word's end, bytes in GPT-2's visible alphabet), for `ticlip
 * vocab show`; borrowed; empty for what is no id. */
const char *tic_vocab_piece(const tic_vocab *vocab, int id);
/* The ids that OpenCLIP's SimpleTokenizer gives: SOT, ids, EOT, cut to `context` (1 or more, else
 * TIC_EUSAGE) with EOT last; no padding. Writes at most `context` ids to ids, their number to
 * *count. As there, "<start_of_text>" and "<end_of_text>" in a caption stand for their ids: the
 * first EOT may come before the last. Safe from many threads at once. Text that is not UTF-8 is
 * repaired as Python's 'replace' does. Whether a character newer than Unicode 15 is a letter is
 * utf8proc's word; OpenCLIP's depends on the installed `regex`. */
tic_status tic_tokenize(const tic_vocab *vocab, const char *text, int context, int32_t *ids,
                        int *count, tic_error *err);
/* What a text tower reads of a caption: the same ids up to the first EOT. CLIP pools there (the
 * argmax of the ids), and with causal attention what follows it changes nothing. */
tic_status tic_tokenize_caption(const tic_vocab *vocab, const char *text, int context, int32_t *ids,
                                int *count, tic_error *err);

/* ---- pictures ------------------------------------------------------------------------------ */

typedef struct tic_image { /* 8-bit RGB, dense rows */
    int width, height;
    uint8_t *pixels; /* [height, width, 3] */
} tic_image;
/* Decodes a JPEG to RGB (grey and CMYK are converted). When min_side > 0, the decoder may scale by
 * 1/2, 1/4 or 1/8 as long as the shorter side stays at least 2 * min_side. Limits: 25 M pixels
 * before scaling, 500 scans, 256 MiB of libjpeg's own memory. On success image->pixels is the
 * caller's (tic_free). A picture that is refused is TIC_EINPUT with its *reason and no pixels. */
tic_status tic_jpeg_decode(tic_image *image, const void *bytes, size_t size, int min_side,
                           tic_reject *reason, tic_error *err);
/* Baseline, 4:2:0; quality 1 .. 100. On success *bytes is the caller's (tic_free). */
tic_status tic_jpeg_encode(const tic_image *image, int quality, uint8_t **bytes, size_t *size,
                           tic_error *err);
/* Pillow's antialiased bicubic of box [x0,y0,x1,y1) (whole pixels) to out_w x out_h, on 8-bit data
 * with 8-bit rounding between the passes; out is [out_h, out_w, 3]. As torchvision's resized_crop:
 * the box is cut out first, pixels outside it have no influence. */
tic_status tic_resize_bicubic(const tic_image *image, const int box[4], int out_w, int out_h,
                              uint8_t *out, tic_error *err);
/* Shorter side to `size`, centre crop with half-even rounding; out [size, size, 3]. */
tic_status tic_preprocess_eval(const tic_image *image, int size, uint8_t *out, tic_error *err);
/* RandomResizedCrop(size, scale (0.9, 1.0), ratio 3/4 .. 4/3), drawn at (key, position). */
tic_status tic_preprocess_train(const tic_image *image, int size, tic_random key, uint64_t position,
                                uint8_t *out, tic_error *err);

/* ---- batches ------------------------------------------------------------------------------- */

typedef struct tic_batch { /* n pairs, pictures cut to size and captions packed without padding */
    int64_t n, tokens;
    uint8_t *pixels;  /* [n, size, size, 3] */
    int32_t *ids;     /* [tokens] */
    int32_t *offsets; /* [n + 1] */
    uint32_t *pairs;  /* [n], places in the index (NULL for sets that have no index) */
} tic_batch;

/* An endless stream over a pool: position p is pool[permutation of epoch p / n at p % n]. */
typedef struct tic_loader tic_loader;
typedef struct tic_loader_options {
    tic_index *index; /* borrowed, as are pool and vocab */
    const tic_vocab *vocab;
    const uint32_t *pool;
    size_t pool_size;
    int image_size, context;
    int64_t batch;
    bool train; /* random order and crops; else pool order, centre crops, and an end */
    uint64_t seed;
    uint64_t first;     /* position in the stream of the first pair to deliver: exact resume */
    int threads;        /* decoding threads, 0: one per core */
    int ahead;          /* batches decoded ahead, 0: 4 */
    size_t cache_bytes; /* decoded pictures kept in memory, 0: none */
} tic_loader_options;
tic_status tic_loader_new(tic_loader **out, const tic_loader_options *options, tic_error *err);
/* The next batch, borrowed until the next call. In evaluation the last may be smaller, and after it
 * batch->n is 0. A picture that no longer decodes is TIC_EINPUT (the data changed since indexing).
 */
tic_status tic_loader_next(tic_loader *loader, const tic_batch **batch, tic_error *err);
double tic_loader_waited(const tic_loader *loader); /* seconds that next had to wait, in sum */
void tic_loader_free(tic_loader *loader);           /* NULL is allowed */
/* The place in the index of the pair at stream position p: what `verify` recomputes. */
uint32_t tic_stream_pair(const uint32_t *pool, size_t pool_size, uint64_t seed, uint64_t position);

/* ---- evaluation sets ----------------------------------------------------------------------- */

/* A CLIP_benchmark / DataComp folder: dataset_type.txt ("zeroshot_classification" or "retrieval";
 * absent: by what is there), classnames.txt, zeroshot_classification_templates.txt ("{c}" is the
 * class), test/nshards.txt, test/N.tar with .jpg and .cls or .txt (a caption a line). */
typedef struct tic_evalset {
    char name[64];
    bool retrieval;
    char **classes, **templates; /* classification */
    int class_count, template_count;
    int64_t pictures;
    uint8_t *pixels;          /* [pictures, size, size, 3], preprocessed for evaluation */
    int32_t *labels;          /* [pictures], classification */
    char **captions;          /* retrieval */
    int32_t *caption_picture; /* [caption_count]: which picture each belongs to */
    int64_t caption_count;
} tic_evalset;
tic_status tic_evalset_load(tic_evalset **out, const char *folder, int image_size, tic_error *err);
void tic_evalset_free(tic_evalset *set);

/* Dynamic classification from a json field of the pairs: DATA/classes.json,
 * {"field": "label", "templates": ["a photo of a {c}."], "classes": [{"label": "cup", "name":
 * "cup", "subtree": "kitchen"}, ...]}. *out NULL and TIC_OK when the file is absent. */
typedef struct tic_classes {
    char *field;
    char **labels, **names, **subtrees, **templates;
    int count, template_count;
} tic_classes;
tic_status tic_classes_load(tic_classes **out, const char *folder, tic_error *err);
/* The same from the values of a json field over all pairs of an index, in the order of strcmp; a
 * class's name is its label, its subtree the value of `tree` (NULL: none) in the first pair, by
 * identity, that has the label. Pairs without the field have no class. Fewer than two values, or
 * more than 10,000: TIC_EINPUT. */
tic_status tic_classes_collect(tic_classes **out, tic_index *index, const char *field,
                               const char *tree, tic_error *err);
void tic_classes_free(tic_classes *classes);

/* ---- the generated data set ---------------------------------------------------------------- */

/* `ticlip world`: docs/world.md. Writes folder/NNNNNN.tar (pairs in no order of time),
 * classes.json, and folder/eval/NAME/ as evaluation sets. Same seed, size and pairs: the same
 * bytes on every machine and thread count. Refuses a folder that holds something else. */
typedef struct tic_world_options {
    const char *folder;
    uint64_t pairs, seed; /* pairs: 0 means the default, 40,000 */
    int size;             /* pixels of a picture's shorter side, 0: the default */
    int threads;
    tic_progress_fn progress;
    void *user;
} tic_world_options;
tic_status tic_world_generate(const tic_world_options *options, tic_error *err);

#endif
