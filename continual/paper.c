/* The paper's Table 2 (reference/tic-clip.md): the one place where its numbers stand. */
#include "room.h"
#include <math.h>
#include <string.h>

#define COUNT(rows) (int)(sizeof(rows) / sizeof((rows)[0]))

/* method, MACs | ImageNet, its shifts, Flickr30k, mean of 28 | backward, in-domain, forward */
static const tic_paper_row yfcc[] = {
    {"restart", 3.4e18, 5.2, 3.6, 3.0, 12.9, 13.2, 41.4, 18.6},
    {"sequential", 3.4e18, 17.3, 10.5, 15.9, 21.9, 42.2, 48.4, 23.7},
    {"patching", 3.4e18, 18.9, 11.3, 18.5, 23.3, 44.7, 53.4, 24.5},
    {"cumulative-exp", 3.4e18, 24.1, 14.3, 20.4, 25.9, 60.4, 60.1, 27.1},
    {"cumulative-equal", 3.4e18, 23.9, 13.8, 20.5, 26.3, 60.4, 60.4, 27.1},
    {"cumulative-all", 3.4e18, 29.3, 17.6, 26.8, 29.6, 66.4, 60.2, 27.6},
    {"lwf", 4.1e18, 16.9, 9.8, 14.7, 21.2, 36.6, 56.0, 23.2},
    {"cumulative-all-star", 3.6e18, 29.2, 17.5, 27.4, 29.3, 66.8, 60.3, 27.6},
    {"oracle", 8.5e18, 29.2, 17.0, 25.9, 29.0, 66.1, 61.8, 26.9},
};
static const tic_paper_row redcaps[] = {
    {"restart", 3.4e18, 11.7, 8.5, 3.7, 18.4, 21.3, 25.4, 22.4},
    {"sequential", 3.4e18, 19.3, 13.7, 6.2, 25.8, 33.0, 33.6, 27.5},
    {"patching", 3.4e18, 21.3, 15.2, 7.7, 26.8, 34.8, 34.8, 27.8},
    {"cumulative-exp", 3.4e18, 27.3, 19.1, 10.5, 30.0, 44.5, 42.0, 32.6},
    {"cumulative-equal", 3.4e18, 27.8, 19.4, 10.0, 30.5, 44.4, 42.0, 32.6},
    {"cumulative-all", 3.4e18, 32.2, 18.7, 14.5, 31.7, 48.9, 43.2, 33.4},
    {"lwf", 4.1e18, 21.6, 14.8, 8.2, 27.3, 35.4, 36.0, 28.4},
    {"cumulative-all-star", 3.6e18, 32.9, 23.7, 14.1, 32.9, 49.0, 43.4, 33.4},
    {"oracle", 8.5e18, 32.7, 22.7, 14.3, 32.3, 48.5, 43.1, 33.4},
};
static const tic_paper_row datacomp_m[] = {
    {"sequential", 3.0e18, 19.2, 16.4, 16.4, 26.0, 25.7, 26.4, 14.9},
    {"patching", 3.0e18, 19.3, 16.8, 18.5, 26.4, 26.9, 25.4, 14.5},
    {"cumulative-exp", 3.0e18, 22.1, 18.4, 20.4, 28.8, 31.7, 27.1, 15.2},
    {"cumulative-equal", 3.0e18, 22.1, 18.4, 19.2, 28.0, 31.8, 26.8, 15.1},
    {"cumulative-all", 3.0e18, 24.0, 20.2, 20.9, 30.0, 33.8, 26.4, 15.1},
    {"lwf", 3.8e18, 19.2, 16.5, 17.7, 27.0, 25.6, 26.6, 14.9},
    {"cumulative-all-star", 3.9e18, 30.0, 25.0, 28.6, 35.1, 36.7, 28.3, 15.5},
    {"oracle", 1.2e19, 25.5, 21.2, 23.3, 30.8, 34.9, 27.8, 15.6},
};
static const tic_paper_row datacomp_l[] = {
    {"sequential", 2.7e19, 44.7, 37.4, 48.4, 45.7, 52.6, 58.4, 41.1},
    {"patching", 2.7e19, 45.8, 38.9, 49.7, 46.9, 55.2, 57.5, 40.9},
    {"cumulative-exp", 2.7e19, 47.3, 39.6, 50.8, 47.6, 60.4, 58.4, 41.4},
    {"cumulative-equal", 2.7e19, 47.7, 40.3, 51.8, 47.7, 60.9, 58.2, 41.4},
    {"cumulative-all", 2.7e19, 48.9, 41.3, 50.9, 48.0, 62.1, 57.3, 41.2},
    {"cumulative-all-star", 4.1e19, 53.0, 44.3, 54.4, 51.3, 63.0, 57.8, 41.2},
    {"oracle", 1.1e20, 53.6, 44.0, 53.9, 50.4, 64.3, 58.6, 41.8},
};
static const tic_paper_row datacomp_xl[] = {
    {"sequential", 2.7e20, 66.5, 54.2, 61.2, 61.0, 63.1, 68.9, 56.8},
    {"cumulative-all", 2.7e20, 71.6, 58.8, 65.1, 64.8, 70.7, 68.5, 57.1},
    {"cumulative-all-star", 3.5e20, 72.8, 60.4, 66.5, 66.7, 71.0, 68.6, 57.1},
    {"oracle", 1.1e21, 73.3, 61.3, 68.0, 65.8, NAN, NAN, NAN},
};

static const tic_paper papers[] = {
    {"tic-yfcc", "TiC-YFCC", "oracle", yfcc, COUNT(yfcc)},
    {"tic-redcaps", "TiC-RedCaps", "oracle", redcaps, COUNT(redcaps)},
    {"tic-datacomp-m", "TiC-DataComp M", "oracle", datacomp_m, COUNT(datacomp_m)},
    {"tic-datacomp-l", "TiC-DataComp L", "oracle", datacomp_l, COUNT(datacomp_l)},
    {"tic-datacomp-xl", "TiC-DataComp XL", "cumulative-all-star", datacomp_xl, COUNT(datacomp_xl)},
};

int tic_paper_count(void) {
    return COUNT(papers);
}

const tic_paper *tic_paper_get(int i) {
    return &papers[i];
}

static const char *name_at(const void *list, int i) {
    return ((const tic_paper *)list)[i].name;
}

tic_status tic_paper_find(const tic_paper **out, const char *name, tic_error *err) {
    for (int i = 0; i < tic_paper_count(); i++)
        if (strcmp(papers[i].name, name) == 0) {
            *out = &papers[i];
            return TIC_OK;
        }
    const char *nearest = tic_nearest(name, name_at, papers, tic_paper_count());
    return tic_fail(err, TIC_EUSAGE, "paper: no benchmark \"%s\"; %s%s%s", name,
                    nearest != NULL ? "did you mean \"" : "there are ",
                    nearest != NULL
                        ? nearest
                        : "tic-yfcc, tic-redcaps, tic-datacomp-m, tic-datacomp-l, tic-datacomp-xl",
                    nearest != NULL ? "\"?" : "");
}

/* ---- the numbers as json --------------------------------------------------------------------- */

static json_t *row_json(const tic_paper_row *r) {
    return json_pack("{s:f, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "macs", r->macs, "imagenet",
                     tic_json_number(r->imagenet), "shifts", tic_json_number(r->shifts),
                     "flickr30k", tic_json_number(r->flickr30k), "static",
                     tic_json_number(r->statics), "backward", tic_json_number(r->backward),
                     "in_domain", tic_json_number(r->in_domain), "forward",
                     tic_json_number(r->forward));
}

static json_t *paper_json(const tic_paper *paper) {
    json_t *methods = json_object();
    for (int i = 0; i < paper->count; i++)
        json_object_set_new(methods, paper->rows[i].method, row_json(&paper->rows[i]));
    return json_pack("{s:s, s:o}", "label", paper->label, "methods", methods);
}

tic_status tic_paper_json(const char *paper, char **json, tic_error *err) {
    const tic_paper *one = NULL;
    *json = NULL;
    if (strcmp(paper, "all") != 0)
        TIC_TRY(tic_paper_find(&one, paper, err));
    json_t *all = json_object();
    for (int i = 0; i < tic_paper_count(); i++)
        if (one == NULL || one == &papers[i])
            json_object_set_new(all, papers[i].name, paper_json(&papers[i]));
    json_t *document = json_pack("{s:i, s:o}", "schema", 1, "papers", all);
    tic_status status = tic_json_text(document, JSON_COMPACT, json, err);
    json_decref(document);
    return status;
}
