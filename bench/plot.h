/* plot.h -- curves over time as an SVG picture
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef SPANHEAP_BENCH_PLOT_H
#define SPANHEAP_BENCH_PLOT_H

#include "common.h"

#define PLOT_WIDTH 860
#define PLOT_HEIGHT 420
#define PLOT_LEFT 60
#define PLOT_RIGHT 150
#define PLOT_TOP 40
#define PLOT_BOTTOM 50
#define PLOT_CURVES_MAX 8u

/* Process. A picture that is being drawn; x and y begin at 0. */
struct plot {
	FILE *file;
	double x_max;
	double y_max;
	unsigned curves;
};

static inline double plot_x(const struct plot *plot, double x)
{
	return PLOT_LEFT + x / plot->x_max * (PLOT_WIDTH - PLOT_LEFT - PLOT_RIGHT);
}

static inline double plot_y(const struct plot *plot, double y)
{
	return PLOT_HEIGHT - PLOT_BOTTOM - y / plot->y_max * (PLOT_HEIGHT - PLOT_TOP - PLOT_BOTTOM);
}

static inline void plot_text(const struct plot *plot, double x, double y, const char *anchor,
	const char *text)
{
	fprintf(plot->file, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y,
		anchor, text);
}

static inline void plot_line(const struct plot *plot, double x1, double y1, double x2, double y2)
{
	fprintf(plot->file,
		"<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", x1, y1,
		x2, y2);
}

/* Draws lines and numbers at multiples of the steps. */
static inline void plot_grid(const struct plot *plot, double x_step, double y_step)
{
	char text[32];

	for (unsigned i = 0; i * x_step <= plot->x_max * 1.0001; i++) {
		double x = i * x_step;

		plot_line(plot, plot_x(plot, x), plot_y(plot, 0), plot_x(plot, x),
			plot_y(plot, plot->y_max));
		snprintf(text, sizeof(text), "%g", x);
		plot_text(plot, plot_x(plot, x), PLOT_HEIGHT - PLOT_BOTTOM + 18, "middle", text);
	}
	for (unsigned i = 0; i * y_step <= plot->y_max * 1.0001; i++) {
		double y = i * y_step;

		plot_line(plot, plot_x(plot, 0), plot_y(plot, y), plot_x(plot, plot->x_max),
			plot_y(plot, y));
		snprintf(text, sizeof(text), "%g", y);
		plot_text(plot, PLOT_LEFT - 8, plot_y(plot, y) + 4, "end", text);
	}
}

/* Begins a picture with a title and the names of both axes. */
static inline struct plot plot_begin(const char *path, const char *title, const char *x_name,
	double x_max, const char *y_name, double y_max)
{
	struct plot plot = { .file = fopen(path, "we"), .x_max = x_max, .y_max = y_max };

	if (plot.file == NULL)
		die("%s: %s", path, strerror(errno));
	fprintf(plot.file,
		"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" "
		"font-family=\"sans-serif\" font-size=\"12\">\n"
		"<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n",
		PLOT_WIDTH, PLOT_HEIGHT);
	plot_text(&plot, PLOT_LEFT, 18, "start", title);
	plot_text(&plot, plot_x(&plot, x_max / 2), PLOT_HEIGHT - 12, "middle", x_name);
	plot_text(&plot, PLOT_LEFT - 8, PLOT_TOP - 8, "end", y_name);
	return plot;
}

/* Draws a curve through `count` points that are equally far apart, and names it at the right. */
static inline void plot_curve(struct plot *plot, const char *name, const double *values,
	unsigned count)
{
	static const char *const colours[PLOT_CURVES_MAX] = { "#000", "#1f6fd6", "#7db3f5",
		"#d6481f", "#2c9a3f", "#8a3fb5", "#b58a00", "#777" };
	const char *colour = colours[plot->curves % PLOT_CURVES_MAX];
	double y = PLOT_TOP + 18.0 * plot->curves++;

	fprintf(plot->file, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\" points=\"",
		colour);
	for (unsigned i = 0; i < count; i++)
		fprintf(plot->file, "%.1f,%.1f ",
			plot_x(plot, plot->x_max * (i + 1) / (double)count),
			plot_y(plot, values[i]));
	fprintf(plot->file,
		"\"/>\n<line x1=\"%d\" y1=\"%.1f\" x2=\"%d\" y2=\"%.1f\" stroke=\"%s\" "
		"stroke-width=\"3\"/>\n",
		PLOT_WIDTH - PLOT_RIGHT + 10, y, PLOT_WIDTH - PLOT_RIGHT + 28, y, colour);
	plot_text(plot, PLOT_WIDTH - PLOT_RIGHT + 34, y + 4, "start", name);
}

static inline void plot_end(struct plot *plot)
{
	fputs("</svg>\n", plot->file);
	if (fclose(plot->file) != 0)
		die("the picture: %s", strerror(errno));
}

#endif
