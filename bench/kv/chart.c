/* chart.c -- figures of several engines side by side, as an SVG picture
 * SPDX-License-Identifier: BSD-3-Clause */
#include "chart.h"

#include "plot.h"

#include <math.h>

#define BAR_PART 0.8 /* of a group's width that its bars take */
#define LABEL_ROW 14

/* What is drawn: a figure of some of the runs. */
struct chart {
	const struct plan *plan;
	enum operation operation;
	unsigned runs[PLAN_RUNS_MAX];
	unsigned run_count;
	unsigned subjects[SUBJECTS_MAX];
	unsigned subject_count;
	int lowest; /* powers of ten that the axis begins and ends at */
	int highest;
};

static double figure(const struct chart *chart, unsigned r, unsigned s)
{
	return outcome_rate(&chart->plan->outcomes[chart->runs[r]][chart->subjects[s]],
		chart->operation);
}

/* Finds the subjects that have figures, and the ends of the axis. False: there is nothing. */
static bool measure(struct chart *chart)
{
	double least = INFINITY;
	double most = 0;

	chart->subject_count = 0;
	for (unsigned s = 0; s < chart->plan->subjects->count; s++) {
		bool any = false;

		chart->subjects[chart->subject_count] = s;
		for (unsigned r = 0; r < chart->run_count; r++) {
			double value = figure(chart, r, chart->subject_count);

			if (isnan(value) || value <= 0)
				continue;
			any = true;
			least = fmin(least, value);
			most = fmax(most, value);
		}
		chart->subject_count += any;
	}
	if (most <= 0)
		return false;
	chart->lowest = (int)floor(log10(least));
	chart->highest = (int)ceil(log10(most));
	if (chart->highest == chart->lowest)
		chart->highest++;
	return true;
}

static void draw_axis(const struct chart *chart, const struct plot *plot)
{
	char text[32];

	for (int power = chart->lowest; power <= chart->highest; power++) {
		double y = plot_y(plot, power - chart->lowest);

		plot_line(plot, plot_x(plot, 0), y, plot_x(plot, plot->x_max), y);
		snprintf(text, sizeof(text), "%g", pow(10, power));
		plot_text(plot, PLOT_LEFT - 8, y + 4, "end", text);
	}
}

/* Names in two rows: they are longer than a group is wide. */
static void draw_names(const struct chart *chart, const struct plot *plot)
{
	for (unsigned r = 0; r < chart->run_count; r++) {
		const struct run *run = &chart->plan->runs[chart->runs[r]];
		char text[sizeof(run->name)];

		snprintf(text, sizeof(text), "%s", run->name);
		if (run->workload == workload_mixed())
			snprintf(text, sizeof(text), "%uw %ur", run->writers, run->readers);
		plot_text(plot, plot_x(plot, r + 0.5),
			PLOT_HEIGHT - PLOT_BOTTOM + LABEL_ROW * (1.2 + r % 2), "middle", text);
	}
}

static void draw_bar(const struct plot *plot, double x, double width, double height,
	const char *colour)
{
	fprintf(plot->file,
		"<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"%s\"/>\n",
		plot_x(plot, x), plot_y(plot, height), plot_x(plot, x + width) - plot_x(plot, x),
		plot_y(plot, 0) - plot_y(plot, height), colour);
}

static void draw_subject(const struct chart *chart, const struct plot *plot, unsigned s)
{
	static const char *const colours[] = { "#777", "#1f6fd6", "#7db3f5", "#d6481f", "#2c9a3f",
		"#8a3fb5", "#b58a00", "#000", "#e58fb1", "#5fc2c2" };
	const char *colour = colours[s % LENGTH_OF(colours)];
	double width = BAR_PART / chart->subject_count;
	double y = PLOT_TOP + 18.0 * s;

	for (unsigned r = 0; r < chart->run_count; r++) {
		double value = figure(chart, r, s);

		if (!isnan(value) && value > 0)
			draw_bar(plot, r + (1 - BAR_PART) / 2 + s * width, width,
				log10(value) - chart->lowest, colour);
	}
	fprintf(plot->file, "<rect x=\"%d\" y=\"%.1f\" width=\"10\" height=\"10\" fill=\"%s\"/>\n",
		PLOT_WIDTH - PLOT_RIGHT + 8, y - 5, colour);
	plot_text(plot, PLOT_WIDTH - PLOT_RIGHT + 22, y + 4, "start",
		chart->plan->subjects->of[chart->subjects[s]].label);
}

static void draw(struct chart *chart, const char *prefix, const char *set, const char *what)
{
	const struct plan *plan = chart->plan;
	char path[PATH_BYTES];
	char title[128];

	if (chart->run_count == 0 || !measure(chart))
		return;
	snprintf(path, sizeof(path), "%s-%s-%llux%llu.svg", prefix, set,
		(unsigned long long)plan->entries, (unsigned long long)plan->value_bytes);
	snprintf(title, sizeof(title), "%s, %llu entries, values of %llu bytes", what,
		(unsigned long long)plan->entries, (unsigned long long)plan->value_bytes);
	struct plot plot = plot_begin(path, title, "", chart->run_count, "k/s",
		chart->highest - chart->lowest);

	draw_axis(chart, &plot);
	for (unsigned s = 0; s < chart->subject_count; s++)
		draw_subject(chart, &plot, s);
	draw_names(chart, &plot);
	plot_end(&plot);
}

/* Takes the runs of a set that do the operation. */
static struct chart chart_of(const struct plan *plan, const char *set, enum operation operation)
{
	struct chart chart = { .plan = plan, .operation = operation };

	for (unsigned r = 0; r < plan->count; r++) {
		const struct run *run = &plan->runs[r];

		if (strcmp(run->workload->set, set) == 0 &&
			(run->workload->mix != NULL ||
				(operation == WRITE ? run->writers : run->readers) > 0))
			chart.runs[chart.run_count++] = r;
	}
	return chart;
}

void charts_draw(const struct plan *plan, const char *prefix)
{
	static const struct {
		const char *set;
		enum operation operation;
		const char *name;
		const char *what;
	} pictures[] = {
		{ "db", WRITE, "writes", "Writes" },
		{ "db", READ, "reads", "Reads" },
		{ "ycsb", READ, "ycsb-reads", "YCSB, reads and scans" },
		{ "ycsb", WRITE, "ycsb-writes", "YCSB, writes" },
		{ "grid", WRITE, "grid-writes", "Writers beside readers, writes" },
		{ "grid", READ, "grid-reads", "Writers beside readers, reads" },
	};

	for (size_t p = 0; p < LENGTH_OF(pictures); p++) {
		struct chart chart = chart_of(plan, pictures[p].set, pictures[p].operation);

		draw(&chart, prefix, pictures[p].name, pictures[p].what);
	}
}
