/* Figures as SVG elements: lines over the steps, a matrix of steps, stacked bars; and the files
 * that what is drawn goes to. */
#include "cli/cli.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEFT = 64, PANEL = 220, LINE = 18, CELL_W = 58, CELL_H = 28 };
static const char *const colours[TIC_SERIES_MAX] = {"#21918c", "#d1495b", "#7b5ea7", "#e09f3e",
                                                    "#3b7dd8", "#5a8f29", "#a65628", "#808080",
                                                    "#c77cb8", "#30343f"};

static void begin(FILE *to, double width, double height) {
    fprintf(
        to,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" viewBox=\"0 0 "
        "%.0f %.0f\"><style>text{font:12px sans-serif;fill:#333}.t{font-size:14px;font-weight:"
        "bold}.g{stroke:#ddd;stroke-width:1}.m{stroke:#000;stroke-width:3}"
        "@media(prefers-color-scheme:dark){text{fill:#ddd}.g{stroke:#444}.m{stroke:#fff}}"
        "</style>\n",
        width, height, width, height);
}

void tic_draw_words(FILE *to, const char *words) {
    for (; *words != '\0'; words++) {
        if (*words == '<')
            fputs("&lt;", to);
        else if (*words == '&')
            fputs("&amp;", to);
        else
            putc(*words, to);
    }
}

static void text(FILE *to, double x, double y, const char *anchor, const char *kind,
                 const char *words) {
    fprintf(to, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s%s%s>", x, y, anchor,
            kind != NULL ? " class=\"" : "", kind != NULL ? kind : "", kind != NULL ? "\"" : "");
    tic_draw_words(to, words);
    fputs("</text>\n", to);
}

tic_status tic_figure_write(const char *path, void (*draw)(FILE *to, const void *what),
                            const void *what, tic_error *err) {
    char *drawn; /* open_memstream's own */
    size_t size;
    FILE *to = open_memstream(&drawn, &size);
    if (to == NULL)
        return tic_fail(err, TIC_ERESOURCE, "no memory for a figure");
    draw(to, what);
    const bool whole = fclose(to) == 0;
    tic_status status = whole ? tic_file_write(path, drawn, size, err)
                              : tic_fail(err, TIC_ERESOURCE, "no memory for a figure");
    free(drawn);
    return status;
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* A round number of which three to six fit below `top`. */
static double tick_of(double top) {
    double tick = pow(10, floor(log10(top)));
    while (top / tick < 3)
        tick /= 2;
    return tick;
}

static double top_of(const tic_panel *panel, int count) {
    double top = 0;
    for (int s = 0; s < panel->count; s++)
        for (int i = 0; i < count; i++)
            top = fmax(top, panel->series[s].values[i]); /* fmax skips NaN */
    return top > 0 ? 1.08 * top : 1;
}

typedef struct axes {
    double above, top, step; /* of the panel; of the values; pixels between places */
} axes;

static double at_x(const axes *a, int i) {
    return LEFT + a->step * (i + 0.5);
}

static double at_y(const axes *a, double value) {
    return a->above + (PANEL - 70) * (1 - value / a->top);
}

static void draw_series(FILE *to, const axes *a, const tic_series *series, int count, int colour) {
    bool pen = false;
    fprintf(to, "<path fill=\"none\" stroke=\"%s\" stroke-width=\"2\" d=\"", colours[colour]);
    for (int i = 0; i < count; i++) {
        const double value = series->values[i];
        if (isfinite(value))
            fprintf(to, "%c%.1f %.1f", pen ? 'L' : 'M', at_x(a, i), at_y(a, value));
        pen = isfinite(value);
    }
    fputs("\"/>\n", to);
    for (int i = 0; i < count; i++)
        if (isfinite(series->values[i]))
            fprintf(to, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"/>\n", at_x(a, i),
                    at_y(a, series->values[i]), colours[colour]);
}

static void draw_panel(FILE *to, const tic_panel *panel, double above, const char *const *names,
                       int count, double step) {
    const axes a = {above + 30, top_of(panel, count), step};
    const double right = LEFT + step * count, tick = tick_of(a.top);
    char number[32];
    text(to, 8, above + 16, "start", "t", panel->title);
    for (int k = 0; k * tick <= a.top; k++) {
        snprintf(number, sizeof number, "%.3g", k * tick);
        fprintf(to, "<path class=\"g\" d=\"M%d %.1fH%.1f\"/>\n", LEFT, at_y(&a, k * tick), right);
        text(to, LEFT - 6, at_y(&a, k * tick) + 4, "end", NULL, number);
    }
    for (int i = 0; i < count; i++)
        text(to, at_x(&a, i), at_y(&a, 0) + LINE, "middle", NULL, names[i]);
    for (int s = 0; s < panel->count; s++) {
        draw_series(to, &a, &panel->series[s], count, s);
        if (panel->count < 2)
            continue;
        fprintf(to, "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"/>\n", right + 16,
                a.above + LINE * s, colours[s]);
        text(to, right + 26, a.above + LINE * s + 4, "start", NULL, panel->series[s].name);
    }
}

void tic_draw_lines(FILE *to, const void *what) {
    const tic_lines *lines = what;
    /* Names of months are wider than of years, and there may be many. */
    const double step = fmax(64, 560.0 / lines->count);
    begin(to, LEFT + step * lines->count + 170, PANEL * lines->panel_count);
    for (int i = 0; i < lines->panel_count; i++)
        draw_panel(to, &lines->panels[i], PANEL * i, lines->names, lines->count, step);
    fputs("</svg>\n", to);
}

/* ---- a matrix -------------------------------------------------------------------------------- */

/* Dark blue through green to yellow, for 0 .. 1. */
static void shade(char colour[8], double share) {
    static const int stops[][3] = {
        {68, 1, 84}, {59, 82, 139}, {33, 145, 140}, {94, 201, 98}, {253, 231, 37}};
    const double at = 4 * fmin(fmax(share, 0), 1);
    const int low = at < 4 ? (int)at : 3;
    int mixed[3];
    for (int k = 0; k < 3; k++)
        mixed[k] = (int)lround(stops[low][k] + (stops[low + 1][k] - stops[low][k]) * (at - low));
    snprintf(colour, 8, "#%02x%02x%02x", mixed[0] & 255, mixed[1] & 255, mixed[2] & 255);
}

/* A large matrix has small cells without numbers, so that it is still seen whole. */
typedef struct cells {
    int wide, high;
    int names_across, names_down; /* every so many has its name */
    bool numbers;
} cells;

static cells cells_of(const tic_heat *heat) {
    enum { LARGE = 30, SMALL = 13 };
    if (heat->column_count <= LARGE)
        return (cells){CELL_W, CELL_H, 1, 1, true};
    return (cells){SMALL, SMALL, 5, 2, false};
}

static void draw_row(FILE *to, const tic_heat *heat, const cells *cell, int row, double y) {
    const double *values = heat->values + (size_t)row * (size_t)heat->column_count;
    double sum = 0;
    for (int j = 0; j < heat->column_count; j++)
        sum += values[j];
    const double full = heat->full > 0 ? heat->full : sum > 0 ? sum : 1;
    for (int j = 0; j < heat->column_count; j++) {
        const double share = values[j] / full, x = LEFT + 20 + cell->wide * j;
        const int gap = cell->numbers ? 2 : 1;
        char colour[8];
        if (!isfinite(share))
            continue;
        shade(colour, share);
        fprintf(to, "<rect x=\"%.0f\" y=\"%.0f\" width=\"%d\" height=\"%d\" fill=\"%s\"/>", x, y,
                cell->wide - gap, cell->high - gap, colour);
        if (cell->numbers)
            fprintf(to,
                    "<text x=\"%.0f\" y=\"%.0f\" text-anchor=\"middle\" style=\"fill:%s\">%.*f"
                    "</text>\n",
                    x + CELL_W / 2 - 1, y + CELL_H / 2 + 3, share > 0.6 ? "#000" : "#fff",
                    heat->decimals, values[j]);
    }
}

void tic_draw_heat(FILE *to, const void *what) {
    enum { ABOVE = 70 };
    const tic_heat *heat = what;
    const cells cell = cells_of(heat);
    const double below = ABOVE + cell.high * heat->row_count;
    char shades[64];
    begin(to, fmax(LEFT + 32 + cell.wide * heat->column_count, 8.5 * (double)strlen(heat->title)),
          below + 34);
    text(to, 8, 20, "start", "t", heat->title);
    text(to, LEFT + 20, 44, "start", NULL, heat->columns_say);
    for (int j = 0; j < heat->column_count; j += cell.names_across)
        text(to, LEFT + 20 + cell.wide * (j + 0.5), ABOVE - 6, "middle", NULL, heat->columns[j]);
    for (int i = 0; i < heat->row_count; i++) {
        if (i % cell.names_down == 0)
            text(to, LEFT + 12, ABOVE + cell.high * i + cell.high / 2 + 3, "end", NULL,
                 heat->rows[i]);
        draw_row(to, heat, &cell, i, ABOVE + cell.high * i);
    }
    text(to, 8, below + 22, "start", NULL, heat->rows_say);
    if (!cell.numbers && heat->full > 0) {
        snprintf(shades, sizeof shades, "shades: 0 to %.*f", heat->decimals, heat->full);
        text(to, LEFT + 20 + cell.wide * heat->column_count, below + 22, "end", NULL, shades);
    }
    fputs("</svg>\n", to);
}

/* ---- stacked bars ---------------------------------------------------------------------------- */

enum { BAR_LEFT = 200, BAR_WIDE = 560, BAR_HIGH = 26 };

static double longest_of(const tic_bars *bars) {
    double longest = 0;
    for (int i = 0; i < bars->count; i++) {
        double sum = 0;
        for (int k = 0; k < bars->part_count; k++)
            sum += bars->bars[i].parts[k];
        longest = fmax(longest, fmax(sum, bars->bars[i].mark)); /* fmax skips NaN */
    }
    return longest > 0 ? 1.05 * longest : 1;
}

static void draw_bar(FILE *to, const tic_bars *bars, const tic_bar *bar, double y, double scale) {
    double x = BAR_LEFT;
    char amount[32];
    text(to, BAR_LEFT - 8, y + BAR_HIGH / 2 + 2, "end", NULL, bar->name);
    for (int k = 0; k < bars->part_count; k++) {
        const double wide = scale * bar->parts[k];
        if (!(wide > 0))
            continue;
        fprintf(to, "<rect x=\"%.1f\" y=\"%.0f\" width=\"%.1f\" height=\"%d\" fill=\"%s\"><title>",
                x, y, wide, BAR_HIGH - 8, colours[k]);
        tic_draw_words(to, bars->parts[k]);
        fprintf(to, ": %s</title></rect>\n", tic_quantity(amount, bar->parts[k]));
        x += wide;
    }
    if (isfinite(bar->mark))
        fprintf(to,
                "<path d=\"M%.1f %.0fv%d\" class=\"m\"><title>%s</title>"
                "</path>\n",
                BAR_LEFT + scale * bar->mark, y - 3, BAR_HIGH - 2, tic_quantity(amount, bar->mark));
}

void tic_draw_bars(FILE *to, const void *what) {
    enum { ABOVE = 58 };
    const tic_bars *bars = what;
    const double longest = longest_of(bars), scale = BAR_WIDE / longest, tick = tick_of(longest);
    const double below = ABOVE + BAR_HIGH * bars->count;
    double x = 8;
    char number[32];
    begin(to, BAR_LEFT + BAR_WIDE + 40, below + 26);
    text(to, 8, 18, "start", "t", bars->title);
    for (int k = 0; k < bars->part_count; k++) {
        fprintf(to, "<rect x=\"%.0f\" y=\"30\" width=\"10\" height=\"10\" fill=\"%s\"/>\n", x,
                colours[k]);
        text(to, x + 14, 40, "start", NULL, bars->parts[k]);
        x += 30 + 7.0 * (double)strlen(bars->parts[k]);
    }
    for (int k = 0; k * tick <= longest; k++) {
        fprintf(to, "<path class=\"g\" d=\"M%.1f %dV%.0f\"/>\n", BAR_LEFT + scale * k * tick,
                ABOVE - 6, below);
        text(to, BAR_LEFT + scale * k * tick, below + 14, "middle", NULL,
             tic_quantity(number, k * tick));
    }
    for (int i = 0; i < bars->count; i++)
        draw_bar(to, bars, &bars->bars[i], ABOVE + BAR_HIGH * i, scale);
    fputs("</svg>\n", to);
}
