/* open.h -- the steps of sh_open()
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The protocol, under the opening lock of the heap file:
 *
 *	file missing             made under another name, linked to its own (create.c)
 *	somebody attached        the control file there must be theirs: map it (attach.c)
 *	nobody, and SH_RDONLY    the heap file alone, when it is clean; else EROFS
 *	nobody, and the heap is
 *	  clean                  a new run: new nonce, new boot id
 *	  clean but for a copy of the superblock that is torn, and the control file proves that its
 *	  run had only begun     the same: its opener died while it took the mark away
 *	  unclean, and the control file proves the same boot and the same file (P2)
 *	                         the same run, recovered
 *	  anything else          SH_ETORN, unless SH_SALVAGE
 *
 * The proof (recovery/proof.h): heap id, nonce and boot id of superblock and control file are equal, the boot id is
 * the kernel's, and the control file's stamp equals the heap file's, or is one behind it. */
#ifndef SPANHEAP_OPEN_H
#define SPANHEAP_OPEN_H

#include "api/handle.h"

/* Stack. One sh_open() under way. */
struct opening {
	const char *path; /* absolute, its own: the handle takes a copy */
	unsigned flags;
	const struct sh_options *options; /* complete */
	int fd;                           /* of the heap file, locked */
	uint64_t bytes;                   /* its length */
	struct file_identity identity;
	struct superblock superblock;
	struct control_place recorded; /* what the heap file says of the control file */
	const char *control_directory; /* where the control file is; "": beside the heap file */
	int copies;                    /* of the superblock that are whole */
	bool recovers;                 /* the heap was not clean */
	bool begins;                   /* a run, from a file that was closed by the one of... */
	uint64_t nonce_before[2];
	bool salvages; /* ... nor whole */
};

/* Makes the heap file. 0; EEXIST when somebody else did; EINVAL; others of open(2) and
 * fallocate(2). Crash: the file has no name, or is whole. */
int create_heap_file(const char *path, const struct sh_options *options);

/* Maps the heap file and the control file of those who are attached. The heap may be marked clean, when
 * these only read: one who writes takes the mark away. 0, SH_ECONTROL, or an errno. */
int attach_to_running(struct sh_heap *heap, struct opening *opening);

/* Begins an incarnation: lays the control file anew and recovers. 0, SH_ETORN, SH_EBADHEAP, or an
 * errno. */
int attach_alone(struct sh_heap *heap, struct opening *opening);

/* Maps the heap file that nobody has open, for reading. 0, SH_EBADHEAP, EROFS (it wants recovery), or an
 * errno. */
int attach_to_nobody(struct sh_heap *heap, const struct opening *opening);

/* Takes a process slot and BYTE_ATTACHED. 0, SH_ESLOTS, or an errno. */
int attach_register(struct sh_heap *heap);

/* Gives both back, without a look at who else is attached. */
void attach_unregister(struct sh_heap *heap);

#endif
