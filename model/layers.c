/* The layers that MACs are counted at (model.h): their names, and which a model has. */
#include "room.h"

#include <stdio.h>
#include <string.h>

_Static_assert((int)TIC_AT_COUNT <= (int)TIC_SITES, "a site of the counters for each layer");

static const char *block(const char *tower, int i, char text[TIC_SITE_TEXT]) {
    snprintf(text, TIC_SITE_TEXT, "%s.block.%d", tower, i);
    return text;
}

const char *tic_site_name(int site, char text[TIC_SITE_TEXT]) {
    const char *name = site == TIC_AT_VISION_PATCHES   ? "vision.patches"
                       : site == TIC_AT_VISION_HEAD    ? "vision.head"
                       : site == TIC_AT_TEXT_EMBEDDING ? "text.embedding"
                       : site == TIC_AT_TEXT_HEAD      ? "text.head"
                       : site == TIC_AT_LOSS           ? "loss"
                       : site == TIC_AT_OPTIMIZER      ? "optimizer"
                                                       : "other";
    if (site >= TIC_AT_VISION_BLOCK && site < TIC_AT_VISION_HEAD)
        return block("vision", site - TIC_AT_VISION_BLOCK, text);
    if (site >= TIC_AT_TEXT_BLOCK && site < TIC_AT_TEXT_HEAD)
        return block("text", site - TIC_AT_TEXT_BLOCK, text);
    snprintf(text, TIC_SITE_TEXT, "%s", name);
    return text;
}

int tic_site_find(const char *name) {
    char text[TIC_SITE_TEXT];
    int site = 0;
    while (site < TIC_AT_COUNT && strcmp(tic_site_name(site, text), name) != 0)
        site++;
    return site;
}

bool tic_site_in(const tic_config *config, int site) {
    if (site >= TIC_AT_VISION_BLOCK && site < TIC_AT_VISION_HEAD)
        return site - TIC_AT_VISION_BLOCK < config->vision_layers;
    if (site >= TIC_AT_TEXT_BLOCK && site < TIC_AT_TEXT_HEAD)
        return site - TIC_AT_TEXT_BLOCK < config->text_layers;
    return site >= 0 && site < TIC_AT_COUNT;
}
