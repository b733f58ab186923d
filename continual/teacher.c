/* LwF's teacher: the last model, which looks at every batch beside the one that trains (Li & Hoiem
 * 2017; reference/tic-clip.md, Methods). */
#include "room.h"

void tic_teacher_free(tic_teacher *teacher) {
    tic_free(teacher->image);
    tic_free(teacher->text);
    *teacher = (tic_teacher){.image = NULL};
}

tic_status tic_teacher_prepare(tic_session *s, const tic_job *job, tic_teacher *teacher,
                               tic_error *err) {
    tic_model_options options = {
        .batch = s->x->batch, .micro_batch = s->micro_batch, .precision = s->precision};
    size_t count = (size_t)(s->x->batch * s->config.embed_dim);
    if (s->teacher == NULL)
        TIC_TRY(tic_model_new(&s->teacher, s->ctx, &s->config, &options, err));
    TIC_TRY(tic_alloc(&teacher->image, count, sizeof(float), err));
    TIC_TRY(tic_alloc(&teacher->text, count, sizeof(float), err));
    return tic_model_load(s->teacher, job->from, err);
}

tic_status tic_teacher_look(tic_session *s, tic_teacher *teacher, const tic_batch *batch,
                            tic_loss_options *options, tic_error *err) {
    tic_ctx_purpose(s->ctx, TIC_FOR_TEACHER);
    TIC_TRY(tic_encode_images(s->teacher, batch->n, batch->pixels, teacher->image, err));
    TIC_TRY(tic_encode_texts(s->teacher, batch->n, batch->ids, batch->offsets, teacher->text, err));
    options->teacher_image = teacher->image;
    options->teacher_text = teacher->text;
    options->teacher_d = s->config.embed_dim;
    options->teacher_scale = tic_model_scale(s->teacher);
    options->distill_weight = (float)s->x->distill_weight;
    return TIC_OK;
}
