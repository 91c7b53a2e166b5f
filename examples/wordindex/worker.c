/* worker.c -- a process that reads its share of the texts into the index
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Nothing here knows about crashes. A worker reads in the heap how far it came, which is right
 * because the step's transaction stored it, and goes on. */
#include "worker.h"

#include "index.h"

#include <unistd.h>

/* The supervisor adds up what all reapers found; this one may have been faster than it. */
static void report_reaping(struct sh_heap *heap)
{
	struct sh_reap_report report;

	must(sh_recovery_report(heap, &report, NULL), "sh_recovery_report");
	if (report.processes > 0)
		report_write(STDOUT_FILENO, &report, sizeof(report));
}

void worker_run(const struct job *job, unsigned number, uint64_t passes)
{
	struct text_share share = { .index = number, .count = WORKER_COUNT };
	struct texts texts;
	struct sh_heap *heap;
	struct index index;
	struct text_word word;

	texts_map(&texts, job->text_names, job->text_count);
	must(sh_open(job->heap_path, 0, NULL, &heap), job->heap_path);
	report_reaping(heap);
	index_attach(&index, heap);

	struct progress progress;
	index_share_claim(&index, number, &progress);
	for (; progress.pass < passes; progress.pass++) {
		while (texts_next_word(&texts, share, &progress.position, &word))
			index_add(&index, &word, number, &progress);
		progress.position = (struct text_position){ 0 };
	}

	index_share_release(&index, number);
	index_detach(&index);
	must(sh_close(heap), "sh_close");
	texts_unmap(&texts);
}
