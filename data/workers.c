/* Worker threads for indexing and loading evaluation sets: items in order, the first error wins. */
#include "data/room.h"
#include <pthread.h>
#include <stdatomic.h>

static const double progress_interval = 0.1; /* seconds */

typedef struct crew {
    const tic_work *work;
    atomic_size_t next, done;
    atomic_size_t stop; /* items from here on need not be started */
    pthread_mutex_t lock;
    size_t failed_at; /* under the lock, like error */
    tic_error error;
    double told; /* when progress was last called; the caller's thread only */
} crew;

typedef struct worker {
    crew *crew;
    int number;
    pthread_t thread;
} worker;

int tic_threads(int asked) {
    return asked > 0 ? asked : tic_cpu_get()->cores;
}

static void note_error(crew *c, size_t i, const tic_error *error) {
    pthread_mutex_lock(&c->lock);
    if (i < c->failed_at) {
        c->failed_at = i;
        c->error = *error;
        atomic_store(&c->stop, i);
    }
    pthread_mutex_unlock(&c->lock);
}

static void tell(crew *c) {
    const tic_work *work = c->work;
    double now = tic_now();
    if (!work->progress || now - c->told < progress_interval)
        return;
    c->told = now;
    work->progress(work->progress_user, work->what, atomic_load(&c->done), work->count);
}

/* Items that are begun still come to their end. */
static void ask_to_stop(crew *c, size_t i) {
    const tic_work *work = c->work;
    tic_error error;
    if (!work->stop || !work->stop(work->progress_user))
        return;
    tic_fail(&error, TIC_EINTERRUPTED, "%s: stopped; the same command begins it again", work->what);
    note_error(c, i, &error);
}

/* All items before a failed one were started before it, so each of them runs to its own end: the
 * smallest failing item is found by any number of threads. */
static void *labour(void *user) {
    worker *self = user;
    crew *c = self->crew;
    for (;;) {
        size_t i = atomic_fetch_add(&c->next, 1);
        if (i >= c->work->count || i >= atomic_load(&c->stop))
            return NULL;
        tic_error error;
        if (c->work->item(c->work->user, self->number, i, &error) != TIC_OK)
            note_error(c, i, &error);
        atomic_fetch_add(&c->done, 1);
        if (self->number == 0) {
            tell(c);
            ask_to_stop(c, i);
        }
    }
}

tic_status tic_work_run(const tic_work *work, tic_error *err) {
    crew c = {.work = work, .failed_at = SIZE_MAX, .told = tic_now()};
    worker *workers = NULL;
    TIC_TRY(tic_alloc(&workers, (size_t)work->threads, sizeof *workers, err));
    atomic_init(&c.stop, SIZE_MAX);
    pthread_mutex_init(&c.lock, NULL);
    int started = 1; /* the caller; with fewer threads than asked it only takes longer */
    workers[0] = (worker){.crew = &c, .number = 0};
    while (started < work->threads && (size_t)started < work->count) {
        workers[started] = (worker){.crew = &c, .number = started};
        if (pthread_create(&workers[started].thread, NULL, labour, &workers[started]) != 0)
            break;
        started++;
    }
    labour(&workers[0]);
    for (int i = 1; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    pthread_mutex_destroy(&c.lock);
    tic_free(workers);
    if (c.failed_at != SIZE_MAX) {
        if (err)
            *err = c.error;
        return c.error.status;
    }
    if (work->progress)
        work->progress(work->progress_user, work->what, work->count, work->count);
    return TIC_OK;
}
