/* EWC (Kirkpatrick et al. 2017; reference/tic-clip.md, Methods): the weights are held to the last
 * model's by a quadratic penalty, each as strongly as the diagonal Fisher information says that the
 * data of the step before depend on it.
 *
 *   penalty = sum_i lambda/2 F_i (w_i - a_i)^2,   its gradient lambda F_i (w_i - a_i)
 *   F_i = B mean over batches of g_i^2
 *
 * g is the gradient of a batch's loss under the last model, a; B pairs a batch. The contrastive
 * loss has no gradient of a single pair, and near a minimum, where the mean gradient vanishes, B
 * times the square of a batch's mean gradient estimates the mean square of a pair's. */
#include "room.h"
#include <string.h>

void tic_ewc_free(tic_ewc *ewc) {
    tic_free(ewc->fisher);
    tic_free(ewc->anchor);
    *ewc = (tic_ewc){.size = 0};
}

/* ---- the Fisher information, kept in the step's folder while it trains ----------------------- */

static tic_status one_batch(tic_session *s, tic_loader *loader, float *fisher, tic_error *err) {
    const tic_batch *batch;
    tic_step_loss loss;
    float *gradient = tic_model_gradient(s->model);
    int64_t size = tic_model_size(s->model);
    memset(gradient, 0, (size_t)size * sizeof *gradient);
    TIC_TRY(tic_loader_next(loader, &batch, err));
    TIC_TRY(tic_model_gradients(s->model, batch, &(tic_loss_options){.purpose = TIC_FOR_FISHER},
                                &loss, err));
    for (int64_t i = 0; i < size; i++)
        fisher[i] += gradient[i] * gradient[i];
    return TIC_OK;
}

/* The model holds the last step's weights; its gradient is left at zero. */
static tic_status fisher_pass(tic_session *s, const tic_job *job, float *fisher, tic_error *err) {
    int64_t batches = job->fisher_pairs / s->x->batch, size = tic_model_size(s->model);
    tic_loader_options options = {
        .index = s->index,
        .vocab = s->vocab,
        .pool = job->fisher_pool,
        .pool_size = job->fisher_pool_size,
        .image_size = s->config.image_size,
        .context = s->config.context_length,
        .batch = s->x->batch,
        .train = true,
        .seed = tic_stream_seed(s->x->seed, job->step_index - 1),
        .threads = (int)s->x->threads,
    };
    tic_loader *loader;
    TIC_TRY(tic_loader_new(&loader, &options, err));
    tic_status status = TIC_OK;
    for (int64_t i = 0; i < batches && status == TIC_OK; i++) {
        tic_prepare_progress((void *)s->hooks, "measuring the Fisher information", (uint64_t)i,
                             (uint64_t)batches);
        status = tic_asked_to_stop(s->hooks)
                     ? tic_fail(err, TIC_EINTERRUPTED,
                                "stopped in the Fisher pass of %s/%s; the same command does it "
                                "again",
                                job->method, job->step)
                     : one_batch(s, loader, fisher, err);
    }
    tic_loader_free(loader);
    /* A training that goes on from a saved state adds to the gradient. */
    memset(tic_model_gradient(s->model), 0, (size_t)size * sizeof(float));
    float factor = (float)s->x->batch / (float)batches;
    for (int64_t i = 0; i < size && status == TIC_OK; i++)
        fisher[i] *= factor;
    return status;
}

static tic_status measure(tic_session *s, const tic_job *job, const char *path, tic_ewc *ewc,
                          tic_spent *spent, tic_error *err) {
    tic_counters before;
    double begun = tic_now();
    tic_ctx_counters(s->ctx, &before);
    TIC_TRY(fisher_pass(s, job, ewc->fisher, err));
    *spent = (tic_spent){.extra = (uint64_t)job->fisher_pairs * tic_nominal_train(&s->config),
                         .seconds = tic_now() - begun};
    tic_spent_count(spent, s->ctx, &before);
    return tic_phase_write(path, ewc->fisher, (size_t)ewc->size, spent, err);
}

tic_status tic_ewc_prepare(tic_session *s, const tic_job *job, tic_ewc *ewc, tic_spent *spent,
                           tic_error *err) {
    char path[TIC_PATH];
    size_t size = (size_t)tic_model_size(s->model);
    *spent = (tic_spent){.iterations = 0};
    TIC_TRY(tic_path_join(path, sizeof path, job->folder, TIC_FISHER_FILE, err));
    TIC_TRY(tic_alloc(&ewc->fisher, size, sizeof(float), err));
    TIC_TRY(tic_alloc(&ewc->anchor, size, sizeof(float), err));
    ewc->size = (int64_t)size;
    ewc->lambda = job->rule->lambda;
    TIC_TRY(tic_model_load(s->model, job->from, err));
    memcpy(ewc->anchor, tic_model_look(s->model), size * sizeof(float));
    if (tic_file_exists(path))
        return tic_phase_read(path, ewc->fisher, size, spent, err);
    return measure(s, job, path, ewc, spent, err);
}

/* ---- the penalty ----------------------------------------------------------------------------- */

double tic_ewc_add(const tic_ewc *ewc, const float *weights, float *gradient) {
    const float lambda = (float)ewc->lambda;
    double sum = 0;
    for (int64_t i = 0; i < ewc->size; i++) {
        float off = weights[i] - ewc->anchor[i];
        float pull = ewc->fisher[i] * off;
        gradient[i] += lambda * pull;
        sum += (double)pull * off;
    }
    return 0.5 * ewc->lambda * sum;
}
