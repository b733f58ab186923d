/* Memory of a model: every activation, gradient and buffer is placed by one walk, which hands out
 * pointers when there is memory behind it and only counts when there is none. So the number that
 * is promised is the number that is booked. */
#include "room.h"

#include <string.h>

static void *book(tic_booking *booking, int64_t count, size_t size) {
    void *at = booking->base ? booking->base + booking->used : NULL;
    booking->used += tic_align_up((size_t)count * size);
    if (booking->used > booking->peak)
        booking->peak = booking->used;
    return at;
}

static void *book_floats(tic_booking *booking, int64_t count) {
    return book(booking, count, sizeof(float));
}

/* ---- one block ------------------------------------------------------------------------------- */

/* Sizes of a tower's activations: n sequences in at most `rows` rows, out_rows of them after the
 * attention. */
typedef struct extent {
    int64_t n, rows, out_rows;
    bool pooled, train;
} extent;

static void book_statistics(tic_booking *booking, const extent *e, tic_block_acts *acts,
                            const tic_tower *tower) {
    acts->mean_1 = book_floats(booking, e->rows);
    acts->rstd_1 = book_floats(booking, e->rows);
    acts->mean_2 = book_floats(booking, e->out_rows);
    acts->rstd_2 = book_floats(booking, e->out_rows);
    acts->lse = book_floats(booking, e->out_rows * tower->heads);
    acts->pre = book(booking, e->out_rows * tower->mlp, tic_dtype_size(tower->type));
    if (e->pooled) {
        acts->mean_pooled = book_floats(booking, e->n);
        acts->rstd_pooled = book_floats(booking, e->n);
    }
}

static void book_block(tic_booking *booking, const tic_tower *tower, const extent *e,
                       tic_block_acts *acts) {
    const size_t size = tic_dtype_size(tower->type);
    const int64_t w = tower->width;
    memset(acts, 0, sizeof *acts);
    acts->x = book_floats(booking, e->rows * w);
    acts->h_1 = book(booking, e->rows * w, size);
    acts->qkv = book(booking, e->rows * (e->pooled ? 2 : 3) * w, size);
    if (e->pooled) {
        acts->x_pooled = book_floats(booking, e->n * w);
        acts->h_pooled = book(booking, e->n * w, size);
        acts->q = book(booking, e->n * w, size);
    }
    acts->o = book(booking, e->out_rows * w, size);
    acts->y = book_floats(booking, e->out_rows * w);
    acts->h_2 = book(booking, e->out_rows * w, size);
    acts->act = book(booking, e->out_rows * tower->mlp, size);
    if (e->train)
        book_statistics(booking, e, acts, tower);
}

/* Without training the blocks share the first one's memory, and the residual stream stays in x. */
static void share_block(const tic_block_acts *first, bool pooled, tic_block_acts *acts) {
    const tic_block_acts own = *acts;
    *acts = *first;
    if (!pooled) {
        acts->y = first->x;
        return;
    }
    acts->x_pooled = own.x_pooled;
    acts->h_pooled = own.h_pooled;
    acts->q = own.q;
    acts->y = own.x_pooled;
}

static void book_shared_blocks(tic_booking *booking, tic_tower *tower, const extent *whole) {
    const size_t size = tic_dtype_size(tower->type);
    const int last = tower->layers - 1;
    tic_block_acts pooled = {0};
    pooled.x_pooled = book_floats(booking, whole->n * tower->width);
    pooled.h_pooled = book(booking, whole->n * tower->width, size);
    pooled.q = book(booking, whole->n * tower->width, size);
    tic_block_acts first;
    book_block(booking, tower, whole, &first);
    for (int l = 0; l < tower->layers; l++) {
        tower->acts[l] = pooled;
        share_block(&first, l == last, &tower->acts[l]);
    }
}

/* ---- a tower --------------------------------------------------------------------------------- */

static void book_work(tic_booking *booking, tic_tower *tower, const extent *e, bool front) {
    const size_t size = tic_dtype_size(tower->type);
    const int64_t w = tower->width;
    tic_tower_work *work = &tower->work;
    work->dx = book_floats(booking, e->rows * w);
    work->dx_front = front ? book_floats(booking, e->rows * w) : NULL;
    work->dx_pooled = book_floats(booking, e->n * w);
    work->d_h = book(booking, e->rows * w, size);
    work->d_qkv = book(booking, e->rows * 3 * w, size);
    work->d_o = book(booking, e->rows * w, size);
    work->d_pre = book(booking, e->rows * tower->mlp, size);
    work->d_h_pooled = book(booking, e->n * w, size);
    work->d_q = book(booking, e->n * w, size);
    work->d_projected = book_floats(booking, e->n * tower->embed);
}

static void book_front(tic_booking *booking, tic_tower *tower, const extent *e,
                       const tic_config *config) {
    const int64_t patches = e->n * (tower->tokens - 1);
    const int64_t columns = 3 * (int64_t)config->patch_size * config->patch_size;
    tower->patches = book(booking, patches * columns, tic_dtype_size(tower->type));
    tower->embedded = book_floats(booking, patches * tower->width);
    tower->x_front = book_floats(booking, e->rows * tower->width);
    tower->mean_front = e->train ? book_floats(booking, e->rows) : NULL;
    tower->rstd_front = e->train ? book_floats(booking, e->rows) : NULL;
}

static void book_head(tic_booking *booking, tic_tower *tower, const extent *e) {
    tower->z = book_floats(booking, e->n * tower->width);
    tower->mean_out = e->train ? book_floats(booking, e->n) : NULL;
    tower->rstd_out = e->train ? book_floats(booking, e->n) : NULL;
    tower->h_out = book(booking, e->n * tower->width, tic_dtype_size(tower->type));
    tower->projected = book_floats(booking, e->n * tower->embed);
}

/* Never shared between the towers: the vision tower's are filled once. */
static void book_offsets(tic_booking *booking, tic_tower *tower, int64_t n) {
    tower->offsets = book(booking, n + 1, sizeof(int32_t));
    tower->pooled = book(booking, n, sizeof(int32_t));
    tower->singles = book(booking, n + 1, sizeof(int32_t));
}

/* config: the vision tower's, which has a front; NULL for text. */
static void book_tower(tic_booking *booking, tic_tower *tower, const tic_model_options *options,
                       const tic_config *config) {
    const int64_t n = options->micro_batch, rows = n * tower->tokens;
    const extent whole = {n, rows, rows, false, options->train};
    const extent pooled = {n, rows, n, true, options->train};
    if (options->train) {
        for (int l = 0; l < tower->layers; l++)
            book_block(booking, tower, l == tower->layers - 1 ? &pooled : &whole, &tower->acts[l]);
        book_work(booking, tower, &whole, config != NULL);
    } else {
        book_shared_blocks(booking, tower, &whole);
    }
    if (config)
        book_front(booking, tower, &whole, config);
    book_head(booking, tower, &whole);
}

/* ---- the model ------------------------------------------------------------------------------- */

static void book_step(tic_booking *booking, tic_model *model) {
    const int64_t n = model->options.batch, e = model->config.embed_dim;
    tic_step_buffers *step = &model->step;
    step->image_inverse = book_floats(booking, n);
    step->text_inverse = book_floats(booking, n);
    if (!model->options.train)
        return;
    step->image = book_floats(booking, n * e);
    step->text = book_floats(booking, n * e);
    step->d_image = book_floats(booking, n * e);
    step->d_text = book_floats(booking, n * e);
    step->distill_image = book_floats(booking, n * e);
    step->distill_text = book_floats(booking, n * e);
}

void tic_book_activations(tic_booking *booking, tic_model *model) {
    book_step(booking, model);
    book_offsets(booking, &model->vision, model->options.micro_batch);
    book_offsets(booking, &model->text, model->options.micro_batch);
    const size_t mark = booking->used;
    book_tower(booking, &model->vision, &model->options, &model->config);
    if (model->shared)
        booking->used = mark;
    book_tower(booking, &model->text, &model->options, NULL);
}

size_t tic_parameter_bytes(const tic_layout *layout, bool train) {
    const size_t arrays = train ? 4 : 1; /* weights; gradient and two moments */
    return arrays * tic_align_up((size_t)layout->size * sizeof(float));
}

/* ---- scratch --------------------------------------------------------------------------------- */

static size_t at_least(size_t a, size_t b) {
    return a > b ? a : b;
}

static size_t tower_scratch(const tic_ctx *ctx, const tic_model *model, tic_tower *tower,
                            bool vision) {
    tic_tally tally = {0};
    tic_pass pass = {.ctx = (tic_ctx *)(uintptr_t)ctx,
                     .tally = &tally,
                     .tower = tower,
                     .config = &model->config,
                     .n = model->options.micro_batch,
                     .rows = model->options.micro_batch * tower->tokens,
                     .train = model->options.train};
    (void)(vision ? tic_vision_forward(&pass) : tic_text_forward(&pass));
    if (pass.train)
        (void)(vision ? tic_vision_backward(&pass, NULL) : tic_text_backward(&pass, NULL));
    return tally.scratch;
}

size_t tic_step_scratch(const tic_ctx *ctx, tic_model *model) {
    const int64_t b = model->options.batch, e = model->config.embed_dim;
    size_t bytes = at_least(tower_scratch(ctx, model, &model->vision, true),
                            tower_scratch(ctx, model, &model->text, false));
    if (!model->options.train)
        return bytes;
    bytes = at_least(bytes, tic_contrastive_scratch(ctx, model->options.precision, b, e));
    bytes = at_least(bytes, tic_adamw_scratch(ctx, model->layout.size, model->layout.count));
    return at_least(bytes, tic_distill_scratch(ctx, model->options.precision, b, e, e));
}

/* ---- questions before a model exists --------------------------------------------------------- */

/* 0 when the shape is impossible or there is no memory to ask with. The scratch is that of a
 * context with the default plan and all cores. */
size_t tic_model_memory(const tic_config *config, const tic_model_options *options) {
    tic_model *model = NULL;
    tic_ctx *ctx = NULL;
    size_t bytes = 0;
    tic_packings packings = {0};
    if (tic_alloc(&model, 1, sizeof *model, NULL) == TIC_OK &&
        tic_model_shape(model, config, options, NULL) == TIC_OK &&
        tic_ctx_new(&ctx, NULL, NULL) == TIC_OK) {
        tic_booking booking = {0};
        bytes = tic_step_scratch(ctx, model); /* before pointers are set: measuring reads NULL */
        tic_book_activations(&booking, model);
        bytes += tic_parameter_bytes(&model->layout, model->options.train) + booking.peak;
        bytes += options->train ? tic_table_bytes(config) : 0;
        if (tic_packings_list(ctx, model, &packings, NULL) == TIC_OK)
            bytes += packings.bytes;
        else
            bytes = 0;
    }
    tic_packings_free(&packings);
    tic_ctx_free(ctx);
    tic_free(model);
    return bytes;
}

static size_t with_teacher(const tic_config *config, const tic_model_options *options,
                           bool teacher) {
    tic_model_options frozen = *options;
    frozen.train = false;
    return tic_model_memory(config, options) + (teacher ? tic_model_memory(config, &frozen) : 0);
}

int64_t tic_micro_batch_for(const tic_config *config, const tic_model_options *options,
                            bool teacher, size_t limit) {
    tic_model_options trial = *options;
    trial.micro_batch = options->batch;
    if (with_teacher(config, &trial, teacher) <= limit)
        return options->batch; /* the only one that keeps both towers' activations */
    int64_t fits = 0, too_much = options->batch;
    while (too_much - fits > 1) { /* below the batch, memory rises with the micro-batch */
        trial.micro_batch = fits + (too_much - fits) / 2;
        if (with_teacher(config, &trial, teacher) <= limit)
            fits = trial.micro_batch;
        else
            too_much = trial.micro_batch;
    }
    return fits;
}
