/* mixture.h -- of which moment each page of an image is
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef TORN_MIXTURE_H
#define TORN_MIXTURE_H

#include "stress/common/chance.h"
#include "stress/torn/image.h"
#include "stress/torn/recording.h"

/* Process. What images are made of. */
struct source {
	const struct recording *recording;
	const struct recording *other; /* of another heap */
	unsigned *changing;            /* pages that are not the same at all moments */
	unsigned changing_count;
};

struct kind {
	const char *name;
	/* What can come of a power failure or of a copy in order: told for certain. Of other mixtures
	 * one in which nothing contradicts a mark or a control file cannot be told. */
	bool promised;
	void (*make)(const struct source *source, struct chance *chance, struct image *image);
};

extern const struct kind mixture_kinds[];
extern const unsigned mixture_kind_count;

void source_init(struct source *source, const struct recording *recording,
	const struct recording *other);
void source_free(struct source *source);

#endif
