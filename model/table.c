/* The token table's rows and the optimizer. A batch has a few hundred of the table's 49,408 tokens;
 * the step of every other row follows from what is in the row alone, so it waits. What a pass reads
 * is brought up to date before, the rest a part at a time, and all of it when somebody looks. Each
 * number has the bits that it would have had in time (tic_adamw_rows), and the table is not read
 * and written whole in every step: a quarter of the demo model's. */
#include "room.h"

static size_t row_bytes(const tic_table *table) {
    return sizeof *table->made + sizeof *table->read + sizeof *table->list;
}

size_t tic_table_bytes(const tic_config *config) {
    return (size_t)config->vocab_size * row_bytes(NULL);
}

tic_status tic_table_book(tic_model *model, tic_error *err) {
    tic_table *table = &model->table;
    const size_t rows = (size_t)model->config.vocab_size;
    table->rows = model->config.vocab_size;
    TIC_TRY(tic_alloc(&table->made, rows, sizeof *table->made, err));
    TIC_TRY(tic_alloc(&table->read, rows, sizeof *table->read, err));
    return tic_alloc(&table->list, rows, sizeof *table->list, err);
}

void tic_table_free(tic_table *table) {
    tic_free(table->made);
    tic_free(table->read);
    tic_free(table->list);
}

/* Row `first` on; list [count] counts from there, NULL: the count that follow. `now` NULL: only the
 * steps that they have missed. */
static tic_status move(tic_model *model, int64_t first, const int32_t *list, int64_t count,
                       const tic_adamw_args *now, tic_error *err) {
    tic_table *table = &model->table;
    const int64_t cols = model->config.text_width;
    const int64_t at = model->layout.text.table + first * cols;
    const tic_adamw_rows rows = {.cols = cols,
                                 .count = count,
                                 .list = list,
                                 .made = table->made + first,
                                 .history = table->history,
                                 .steps = table->steps};
    tic_adamw_args args = now != NULL ? *now : (tic_adamw_args){0};
    args.n = (table->rows - first) * cols;
    args.w = model->weights + at;
    args.g = now != NULL ? model->gradient + at : NULL;
    args.m = model->moment1 + at;
    args.v = model->moment2 + at;
    args.rows = &rows;
    return tic_adamw_add(model->ctx, &args, err);
}

tic_status tic_table_settle(tic_model *model, tic_error *err) {
    tic_table *table = &model->table;
    if (table->settled == table->steps)
        return TIC_OK;
    TIC_TRY(move(model, 0, NULL, table->rows, NULL, err));
    table->settled = table->steps;
    return TIC_OK;
}

tic_status tic_table_read(tic_model *model, const int32_t *ids, int64_t count, tic_error *err) {
    tic_table *table = &model->table;
    const int64_t before = table->count;
    for (int64_t i = 0; i < count; i++) {
        const int32_t row = ids[i];
        /* One that is no token is refused by the pass. */
        if (row < 0 || row >= table->rows || table->read[row] == table->steps + 1)
            continue;
        table->read[row] = table->steps + 1;
        table->list[table->count++] = row;
    }
    return move(model, 0, table->list + before, table->count - before, NULL, err);
}

/* A 64th of the rows in turn, so that none misses more steps than are kept. */
static tic_status move_some(tic_model *model, tic_error *err) {
    const tic_table *table = &model->table;
    const int64_t some = (table->rows + TIC_ADAMW_KEPT - 1) / TIC_ADAMW_KEPT;
    const int64_t first = table->steps % TIC_ADAMW_KEPT * some, left = table->rows - first;
    return left > 0 ? move(model, first, NULL, left < some ? left : some, NULL, err) : TIC_OK;
}

tic_status tic_table_update(tic_model *model, const tic_adamw_args *now, tic_error *err) {
    tic_table *table = &model->table;
    TIC_TRY(move(model, 0, table->list, table->count, now, err));
    table->history[table->steps % TIC_ADAMW_KEPT] = tic_adamw_step_of(now);
    table->steps++;
    table->count = 0;
    return move_some(model, err);
}

void tic_table_updated(tic_model *model) {
    tic_table *table = &model->table;
    table->settled = ++table->steps;
    for (int64_t i = 0; i < table->rows; i++)
        table->made[i] = table->steps;
    table->count = 0;
    table->written = false;
}
