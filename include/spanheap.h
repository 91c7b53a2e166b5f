/* spanheap.h -- a heap in a file, shared by processes, that survives the death of any of them
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * THE MODEL
 *
 * A heap is one file. Several processes map it, allocate and free in it at once, and may be killed
 * at any instruction. Blocks are named by their byte offset in the file (sh_off), never by pointer,
 * so every process may map the file elsewhere; sh_ptr() turns an offset into a pointer by one
 * addition, and the pointer stays valid until sh_close(), however much the heap grows.
 *
 * What dies, and what is promised:
 *
 *   P1  one or more processes, at any instruction; others live. Calls that returned stand. A call
 *       that was interrupted is finished or undone as a whole by a survivor. Nobody hangs, no block
 *       is handed out twice, no block that a transaction published is lost.
 *   P2  all processes; the kernel lives. The same, done by the next sh_open().
 *   P3  the kernel, the power, or a file that was copied while in use. Detected by sh_open(), which
 *       returns SH_ETORN and never takes such a file for a clean one.
 *
 * "Crash:" below says what a death inside the call leaves, under P1 and P2 alike.
 *
 * A block from plain sh_alloc() whose caller dies before it stored the offset anywhere stays
 * allocated and unreachable. Transactions and sh_alloc_to() allocate and publish in one step.
 *
 * CONVENTIONS
 *
 * - int results: 0 is success, a positive value is an errno, a negative one an SH_E... code.
 * - Functions that return an offset return 0 on failure and set errno (ENOMEM: the heap is at its
 *   maximum size; ENOSPC: the disk is full; EINVAL; EROFS; EAGAIN: no thread slot is free).
 * - Where ENOSPC is named, others of fallocate(2) may come when the file has to grow: EFBIG, EDQUOT, EIO.
 * - A thread's first call on a heap may also give ENOMEM, SH_ESLOTS or, where robust mutexes are not as this
 *   library knows them, ENOTSUP.
 * - A fork child that could not attach gets ECHILD from every call, and its mapping is gone.
 * - All functions may be called from any thread of any attached process at once, unless their
 *   comment says otherwise. None may be called from a signal handler, and a thread must not be
 *   cancelled asynchronously inside one.
 * - The thread-bound calls keep their state per thread and heap by themselves.
 *
 * WHAT MAY RUN AT THE SAME TIME
 *
 *                        the same block/word/mutex      others
 *   alloc                -                              yes
 *   free, realloc        no (double free)               yes
 *   usable_size, ptr     yes, but not with its free     yes
 *   pages_alloc          -                              yes
 *   pages_free           no (double free)               yes
 *   txn, one handle      no                             yes
 *   root_get             yes                            yes
 *   root_set             yes (one after the other)      yes
 *   mutex lock/unlock    yes                            yes
 *   check                yes: it stops the page allocator for moments and skips what moves
 *   reap, stats          yes
 *   close                no call of the process on this heap may be running */
#ifndef SPANHEAP_H
#define SPANHEAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define SH_API __attribute__((visibility("default")))
#else
#define SH_API
#endif

#define SH_VERSION_MAJOR 0
#define SH_VERSION_MINOR 1
#define SH_VERSION_PATCH 0

/* A byte offset in the heap file. 0 is null. Blocks are aligned to 16 bytes at least. */
typedef uint64_t sh_off;

/* An open heap. Its first word is part of the ABI: the address at which the file is mapped. */
struct sh_heap;

/* An open transaction. */
struct sh_txn;

/* Error codes. sh_strerror() names each with its remedy. */
#define SH_EBADHEAP (-1) /* not a heap file, or damaged beyond both copies of its superblock */
#define SH_EVERSION (-2) /* format, geometry, size classes or ABI differ from this library's */
#define SH_ETORN (-3)    /* not closed cleanly, and another boot or a copied file since (P3) */
#define SH_ECONTROL \
	(-4)                /* live processes use another control file than the one found here, or
			       more users may access it than the heap file */
#define SH_EBADPTR (-5)     /* not the start of a block; refused, nothing changed */
#define SH_EDOUBLEFREE (-6) /* the block is free already; refused, nothing changed */
#define SH_ENOTFOUND (-7)   /* no such name */
#define SH_EOWNERDIED (-8)  /* the mutex is locked by the caller; its last holder died inside */
#define SH_ESLOTS (-9)      /* no process slot or thread slot is free */
#define SH_EFULL (-10)      /* the limit of a table is reached */
#define SH_ESTOPPED (-11)   /* a callback asked to stop */
#define SH_EBARRIER (-12)   /* membarrier(2), on which this heap's readers rely, is refused here */

/* Flags of sh_open(). SH_SALVAGE opens a torn heap (SH_ETORN) all the same: checks it, sets aside what
 * does not fit, and goes on with the rest. */
#define SH_CREATE 0x01u /* make the file when it is not there */
#define SH_EXCL 0x02u   /* with SH_CREATE: EEXIST when it is there */
#define SH_RDONLY 0x04u /* only reading calls work, others give EROFS: see sh_open() */
#define SH_SALVAGE 0x08u

/* What a fork(2) child has of the heap. */
#define SH_FORK_ATTACH 0u /* it is attached, as a process of its own, from the fork on */
#define SH_FORK_DONTFORK \
	1u /* nothing: calls give ECHILD, pointers lead nowhere; it may sh_open() */

/* Flags of the allocating calls. */
#define SH_ZERO 0x01u   /* the block reads as zeros */
#define SH_NOSCAN 0x02u /* the block will hold no offsets (a collector need not read it) */
#define SH_IO 0x10u     /* page runs: may be the target of device I/O, see sh_pages_alloc() */
#define SH_HUGE 0x20u   /* page runs: aligned to 2 MiB */

/* Flag of sh_txn_free(). */
#define SH_DEFERRED 0x40u /* after a grace period */

/* Flags of sh_txn_begin(). */
#define SH_DETACHED 0x01u /* not bound to the calling thread */

/* Progress of a recovery: what is being done, how far. Called by the thread inside sh_open(). */
typedef void sh_progress_fn(const char *phase, uint64_t done, uint64_t total, void *argument);

/* How read sections are ordered with those who wait for them. */
#define SH_BARRIER_AUTO 0u /* by membarrier(2) where there is one, as SH_BARRIER_READER elsewhere */
#define SH_BARRIER_READER \
	1u /* each reader executes a fence: where membarrier(2) must not be used */

/* A reader whose section holds others up. */
struct sh_slow_reader {
	uint64_t process_id; /* as its own pid namespace counts */
	uint64_t thread_id;  /* the same; of an sh_reader: of who opened it */
	uint64_t age_ns;     /* since the section was first seen to hold somebody up */
	/* Of freed pages that wait for readers, and of the blocks freed deferred whose wait was begun: those
	 * that were freed later wait uncounted. */
	uint64_t held_bytes;
};

/* Told of a slow reader by a call that waits for it, or that is about to let the heap grow because
 * of it; no lock of the heap is held. Must not call functions of this heap that allocate or free. */
typedef void sh_slow_reader_fn(const struct sh_slow_reader *reader, void *argument);

/* Options of sh_open(). Set up by SH_OPTIONS_INIT, so that fields of later versions get their
 * defaults. 0 means the default everywhere. */
struct sh_options {
	size_t struct_bytes;    /* sizeof(struct sh_options) */
	unsigned mode;          /* permission bits of a new heap file; default 0600 */
	unsigned max_processes; /* of a new heap; default 256 */
	unsigned max_threads;   /* of a new heap; default 512 */
	/* Bytes of address space; default 1 TiB for a new heap. At an existing heap it has no
	 * effect: every process maps what the heap was created with, or could not follow the
	 * others' offsets. */
	uint64_t max_size;
	sh_progress_fn *progress;
	void *progress_argument;
	/* Directory for the control file, for instance on tmpfs; default: PATH-shm, beside the heap
	 * file. It counts when nobody has the heap open and it is clean; a run that is there keeps
	 * its control file, whose place the heap file names, and is found by who says nothing, or
	 * something else. Say it each time. */
	const char *control_dir;
	unsigned huge_pages; /* 1: ask for huge pages (MADV_HUGEPAGE) for both files; default: no */
	unsigned fork;       /* SH_FORK_ATTACH (default) or SH_FORK_DONTFORK */
	/* SH_BARRIER_...: counts for the first process of a run; the others follow. membarrier(2)
	 * interrupts each processor that runs a process which uses it, of this heap or not: choose
	 * SH_BARRIER_READER on machines with isolated real-time processors. */
	unsigned barrier;
	unsigned reserved;
	/* Called, at most so often by each process, when a section has held others up for so long.
	 * Nobody is ever cut off: what to do about a slow or stopped process is the caller's decision. */
	sh_slow_reader_fn *slow_reader;
	void *slow_reader_argument;
	uint64_t slow_reader_ns; /* default 100 ms */
};

/* clang-format off */
#define SH_OPTIONS_INIT { sizeof(struct sh_options), 0, 0, 0, 0, NULL, NULL, NULL, 0, 0, 0, 0, NULL, NULL, 0 }
/* clang-format on */

/* Opens the heap at `path` and attaches the calling process.
 *
 * Recovers the heap first when everybody who used it is dead (P2). Looks for dead processes when
 * others are attached. Opening a heap again in the same process gives the same handle, counted.
 * PATH-shm beside the heap file is the control file: it holds what is derived or volatile, and is
 * laid anew when nobody is attached, with the heap file's owner, group and mode. In a control_dir it
 * has a name of its own for each heap file (heap id and inode), and is left behind when the heap file
 * is removed. Of an open heap the options of the first sh_open() of the process count.
 *
 * SH_RDONLY maps the heap file so that a store to it is a SIGSEGV, and needs no right to write it. What
 * works: sh_root_get(), sh_usable_size(), sh_walk(), sh_pages_walk(), sh_stats(), sh_check() (of what the
 * heap file holds) and read sections with all that belongs to them but freeing. Two cases:
 * - Somebody has the heap open: the process takes a process slot and thread slots in the control file,
 *   which it must be able to write: EACCES when it may not. Whoever owns the control file may grant that
 *   (chmod g+w PATH-shm, or o+w) to those who may read the heap file, whom it then trusts as the others;
 *   later runs keep it. spanheap(1) reads without. Its sections hold writers' grace periods up like any
 *   other's. The last one who may write marks the heap clean all the same when it closes it; who writes
 *   next joins the run, beside the readers.
 * - Nobody has, and it is clean: there is no control file and no slot. Calls on sections give EROFS, and
 *   reading calls see the heap as it is, without protection against those who open it afterwards and
 *   write. To have it, close this handle and open again when they are there.
 *
 * `options` may be NULL. On success *heap is the handle, on failure NULL.
 *
 * Errors: ENOENT, EEXIST, EISDIR, ENOSPC, EFBIG (a file-size limit) and others of open(2),
 * mmap(2) and fallocate(2); EROFS (SH_RDONLY on a heap that is not clean and that nobody has open); EACCES (of either
 * file: with SH_RDONLY on a heap in use, the control file may not be written); EINVAL (unknown flags,
 * sizes out of range); ENOTSUP (the file system has no OFD locks or no fallocate); EAGAIN (the process has no
 * pthread key left); SH_EBADHEAP, SH_EVERSION, SH_ETORN, SH_ECONTROL, SH_ESLOTS, SH_EBARRIER; ENOENT, ENOTDIR, ENAMETOOLONG of control_dir.
 * Crash: a heap that was being created is not there, or whole. A recovery is begun again by the
 * next sh_open(). */
SH_API int sh_open(const char *path, unsigned flags, const struct sh_options *options,
	struct sh_heap **heap);

/* Gives back one handle; the last one of the process detaches it. The last process out syncs the
 * file and marks it clean.
 *
 * Every offset and mutex stays what it is; pointers into the mapping become invalid. No other
 * thread of the process may be inside a call on this heap, or use its pointers, from here on. With
 * callbacks on the heap's flavor of liburcu (spanheap_urcu.h) it waits for a grace period and calls them.
 *
 * Errors: EBUSY (the calling thread has an open transaction or is in a read section, or, for the last
 * handle, a detached transaction or an sh_reader is open), EIO (the sync failed), ENOMEM, ENOTSUP and others of
 * open(2), fstat(2), pwrite(2) and fcntl(2): but for EBUSY the heap is detached, not marked clean, and
 * recovered by the next open.
 * Crash: as any death of a process. */
SH_API int sh_close(struct sh_heap *heap);

/* Allocates `size` bytes, uninitialised.
 *
 * Returns 0 and sets errno: EINVAL (size 0), ENOMEM, ENOSPC, EROFS, EAGAIN.
 * Crash: the block is allocated or not; if it is and its offset was stored nowhere, it stays
 * allocated. Use sh_alloc_to() or a transaction to exclude that. */
SH_API sh_off sh_alloc(struct sh_heap *heap, size_t size);

/* As sh_alloc(), with an alignment (a power of two up to 2 MiB, or 0 for 16) and
 * flags (SH_ZERO, SH_NOSCAN). A block aligned to more than a page of 8 KiB takes whole pages, however
 * small it is. */
SH_API sh_off sh_alloc_ex(struct sh_heap *heap, size_t size, size_t align, unsigned flags);

/* Frees a block; 0 is a no-op.
 *
 * Errors: SH_EBADPTR, SH_EDOUBLEFREE (also when the thread's open transaction frees it already):
 * refused, nothing changed. EROFS, SH_ESLOTS.
 * Crash: freed or not. */
SH_API int sh_free(struct sh_heap *heap, sh_off off);

/* Changes the size of the block at `off`, as realloc(3): returns its offset, which may be another
 * one; the content is kept up to the smaller of both sizes.
 *
 * `off` 0 allocates. The block stays where it is while it keeps its size class, or, larger than
 * the classes, its number of pages. It keeps its kind (SH_NOSCAN), and an alignment of 16. To
 * shrink a block never fails: when no smaller one is to be had, it keeps its size.
 *
 * Returns 0, sets errno and leaves the block whole: EINVAL (size 0; no live block at `off`; the
 * thread's open transaction frees it), EBUSY (the open transaction allocated it), otherwise as
 * sh_alloc_ex().
 * Crash: the old block, the new one, or both are allocated. Nobody has stored the new offset, so
 * whatever names the old one may name a free block, also when a death comes after the return: for
 * a block that others find through a word of the heap use sh_realloc_to(). */
SH_API sh_off sh_realloc(struct sh_heap *heap, sh_off off, size_t size);

/* Bytes that may be used at `off`, at least what was asked for; 0 if `off` is no live block. Of an
 * offset that others may free meanwhile, the answer counts in a read section only. */
SH_API size_t sh_usable_size(struct sh_heap *heap, sh_off off);

/* Allocates a block and stores its offset in the word *dst of the heap, in one step.
 *
 * *dst is an aligned 8-byte word of a live block. Nobody else writes it until the call returns,
 * except under an sh_mutex that this thread holds. EBUSY when the thread has an open transaction;
 * otherwise as sh_alloc_ex().
 * Crash: allocated and stored, or neither. */
SH_API sh_off sh_alloc_to(struct sh_heap *heap, sh_off *dst, size_t size, unsigned flags);

/* Frees the block that *dst names and clears *dst, in one step. *dst as in sh_alloc_to(); a *dst
 * of 0 is a no-op.
 *
 * Errors: as sh_free(); EBUSY when the thread has an open transaction.
 * Crash: freed and cleared, or neither. */
SH_API int sh_free_from(struct sh_heap *heap, sh_off *dst);

/* As sh_realloc() of the block that *dst names, and stores its new offset in *dst, in one step.
 * *dst as in sh_alloc_to(); a *dst of 0 allocates.
 *
 * Returns the offset; 0 and errno as sh_realloc(), with *dst unchanged. EBUSY when the thread has
 * an open transaction.
 * Crash: *dst names the old block or the new one, with its content; the other one is free. */
SH_API sh_off sh_realloc_to(struct sh_heap *heap, sh_off *dst, size_t size);
/* Allocates a run of `npages` pages of 8 KiB for the caller's own page manager: uninitialised, aligned
 * to a page. A run is no block: sh_free() refuses it, sh_usable_size() is 0, sh_walk() leaves it out
 * and sh_pages_walk() shows it. Transactions may edit its bytes; they do not allocate or free runs.
 *
 * `flags`:
 *   SH_ZERO  the pages read as zeros; cheap where they were never used
 *   SH_HUGE  aligned to 2 MiB; `npages` must be a multiple of 256
 *   SH_IO    direct or asynchronous I/O may target the run. The device may go on writing there after
 *            the process that asked for it is dead, even after a restart of the heap. Only
 *            sh_pages_free() gives such a run back, never a reaper or a recovery, whose reports
 *            cannot know when the I/O ends; sh_pages_walk() lists it with its flag. I/O into other
 *            memory of the heap may land in what somebody else was given meanwhile.
 *
 * Returns 0 and sets errno: EINVAL (npages 0, unknown flags, SH_HUGE), ENOMEM, ENOSPC, EROFS, EAGAIN.
 * Crash: allocated or not; a run whose offset was stored nowhere is found by sh_pages_walk(). Runs
 * beside anything. */
SH_API sh_off sh_pages_alloc(struct sh_heap *heap, size_t npages, unsigned flags);

/* Frees `npages` pages from `off` on: a whole run, a part of one, or parts of adjacent runs together.
 * What is left of a run that loses its middle is two runs.
 *
 * Errors: SH_EBADPTR (a page of a block, none of the heap's, or `off` is no multiple of a page),
 * SH_EDOUBLEFREE (a page in no run), EROFS, SH_ESLOTS: refused, nothing changed. EINVAL (npages 0).
 * ENOTSUP: a run of more than about 987 MiB goes on in address space of its own, from the next multiple
 * of 1 GiB on, where no part of it can begin once its front is gone. So of such a run this frees all,
 * or any part below the first such multiple, with or without all that is behind, or all from one such
 * multiple on.
 * Crash: all of it freed, or none; then runs may have become two at the ends of the range, or one
 * inside it. SH_IO is no reason to keep a run whose free was begun: its caller knew that the I/O
 * was over. Runs beside anything but frees of the same pages, of which one is refused. */
SH_API int sh_pages_free(struct sh_heap *heap, sh_off off, size_t npages);

/* A run of pages, as sh_pages_walk() shows it. */
struct sh_pages {
	sh_off off;
	size_t npages;
	unsigned flags; /* SH_IO, SH_HUGE: as it was allocated, or as the run it was cut from was */
};

/* Called for each run; non-zero stops (SH_ESTOPPED). */
typedef int sh_pages_fn(const struct sh_pages *pages, void *argument);

/* Shows every run, in address order: what an engine does after a restart, to find those that it must
 * wait for or give back. As sh_walk() otherwise. */
SH_API int sh_pages_walk(struct sh_heap *heap, sh_pages_fn *pages, void *argument);

/* Backs free space now: returns when at least `bytes` are free, so that later calls of any process
 * neither wait for the file to grow nor meet a full disk until that much is used. The space is not
 * the caller's alone, and need not be in one piece. What had to be added is made present in this
 * process, too, where Linux can (5.14); other processes pay for their first touch of each page.
 *
 * Errors: ENOMEM (beyond the maximum size; nothing was backed), ENOSPC and others of fallocate(2): what
 * was backed stays free. EROFS, SH_ESLOTS. Crash: as much as was backed stays free. Runs beside anything. */
SH_API int sh_reserve(struct sh_heap *heap, size_t bytes);

/* Sets the root `name` (1 to 63 bytes) to `off`; 0 removes it.
 *
 * Errors: EINVAL (name), SH_EFULL (1024 names are in use), EROFS, SH_ESLOTS.
 * Crash: set or not. Runs beside anything. */
SH_API int sh_root_set(struct sh_heap *heap, const char *name, sh_off off);

/* Reads the root `name` into *off. SH_ENOTFOUND (and *off is 0) when it is not set. Never waits. */
SH_API int sh_root_get(struct sh_heap *heap, const char *name, sh_off *off);

/* Begins the transaction of the calling thread; one at a time per thread and heap (EBUSY).
 *
 * With SH_DETACHED in `flags`, any number at a time, each of which any thread of the process may
 * use, one after the other: for coroutines and pools. It ends by sh_txn_commit() or
 * sh_txn_abort(), after which *txn means nothing. Not with the thread: an open one outlives the
 * thread that began it. Each works in a thread slot of its own (max_threads); a process keeps up to
 * 8 slots of ended ones per heap for the next ones, each with what an idle thread holds: 512 KiB of
 * free pages, and the spans it filled last, 64 MiB at most. sh_free() and sh_realloc() do not know which
 * blocks it names. A fork child has none of its parent's.
 *
 * Errors: EINVAL, EBUSY, EROFS, SH_ESLOTS, ENOMEM.
 * Crash: an open transaction is rolled back, a committed one rolled forward, by whoever finds its
 * thread dead, before any sh_mutex of the dead passes on. A detached one dies with its
 * process, and is settled before any mutex of the process's threads passes on. */
SH_API int sh_txn_begin(struct sh_heap *heap, unsigned flags, struct sh_txn **txn);

/* Allocates a block that is taken back on abort or death. Otherwise as sh_alloc_ex(). */
SH_API sh_off sh_txn_alloc(struct sh_txn *txn, size_t size, unsigned flags);

/* Frees a block at commit; with SH_DEFERRED in `flags` as sh_free_deferred() does.
 *
 * Errors: SH_EBADPTR, SH_EDOUBLEFREE (free already, or twice in this transaction): refused here,
 * nothing recorded. ENOMEM, ENOSPC (the log cannot grow). */
SH_API int sh_txn_free(struct sh_txn *txn, sh_off off, unsigned flags);

/* Records the content of `len` bytes of the heap at `ptr`. From here on the caller edits them in
 * place; abort or death puts the recorded content back. For data under a held sh_mutex.
 *
 * Errors: EINVAL (not inside the heap), ENOMEM, ENOSPC (the log cannot grow; nothing recorded that
 * matters: abort still puts back what was there). */
SH_API int sh_txn_add(struct sh_txn *txn, void *ptr, size_t len);

/* sh_txn_add(), then copies `len` bytes from `src` to `dst`, now. */
SH_API int sh_txn_write(struct sh_txn *txn, void *dst, const void *src, size_t len);

/* Stores `value` in the aligned word *dst at commit, in the order of the calls: for words that
 * lock-free readers follow. A second store to one word replaces the first.
 *
 * Until commit returns nobody else writes *dst, nor frees its block, except under an sh_mutex that
 * this thread holds.
 * Errors: EINVAL (not an aligned word inside the heap), ENOMEM, ENOSPC. */
SH_API int sh_txn_store(struct sh_txn *txn, uint64_t *dst, uint64_t value);

/* Sets a root at commit. Errors: as sh_root_set(), ENOMEM, ENOSPC; all of them here, not at
 * commit. Of two calls with one name the last counts. */
SH_API int sh_txn_root(struct sh_txn *txn, const char *name, sh_off off);

/* Commits: all or nothing under P1 and P2. Returns 0; it cannot fail for want of space.
 * Crash: before its first store, rolled back; after it, rolled forward. */
SH_API int sh_txn_commit(struct sh_txn *txn);

/* Rolls back: blocks from sh_txn_alloc() are freed, bytes put back, nothing else happens. */
SH_API void sh_txn_abort(struct sh_txn *txn);

/* A mutex in the heap. All-zero bytes are a valid, unlocked one. Aligned to 8 bytes.
 *
 * Not recursive. A dead holder is reaped (its transaction finished or undone) before the lock
 * passes on. A stopped process is alive: its mutex is waited for. */
struct sh_mutex {
	uint64_t word;     /* owner's tag; written by atomic operations only */
	uint64_t reserved; /* zero */
};

SH_API void sh_mutex_init(struct sh_mutex *mutex);

/* Errors: SH_EOWNERDIED: locked, but the last holder died inside; what it protects is as a
 * transaction left it. EDEADLK (the caller holds it), EINVAL (not inside the heap), SH_ESLOTS. */
SH_API int sh_mutex_lock(struct sh_heap *heap, struct sh_mutex *mutex);

/* As lock, but ETIMEDOUT when a live thread holds it still after `timeout_ns` nanoseconds of
 * CLOCK_MONOTONIC from now on; UINT64_MAX waits for ever. A holder that is found dead is cleaned up
 * after first, which is not counted. */
SH_API int sh_mutex_timedlock(struct sh_heap *heap, struct sh_mutex *mutex, uint64_t timeout_ns);

/* As lock, but EBUSY when a live thread holds it. */
SH_API int sh_mutex_trylock(struct sh_heap *heap, struct sh_mutex *mutex);

/* EPERM when the calling thread does not hold it.
 * Crash: unlocked, or still held by the dead. */
SH_API int sh_mutex_unlock(struct sh_heap *heap, struct sh_mutex *mutex);

/* --- Readers without locks ------------------------------------------------------------------
 *
 * Whoever follows offsets in the heap that others may free meanwhile does so in a read section: what
 * the section could find stays what it is until the section ends, in whatever process it runs and
 * whoever frees it by sh_free_deferred(), sh_txn_free() with SH_DEFERRED, or sh_free() after
 * sh_synchronize(). Sections nest, cost two stores, never wait and keep nobody from working; a long
 * one, or one of a stopped process, keeps what was freed since then from being used again. A section
 * ends with its thread or process.
 *
 * Writers that are not alone unlink what they free while they are in a section of their own, or under a
 * lock. */

/* Where a reader says that it reads. Its fields are the library's. Process. */
struct sh_section {
	uint64_t *word;        /* in the control file: the reader's own */
	const uint64_t *epoch; /* in the control file: the last grace period */
	uint32_t *waiting;     /* in the control file: somebody waits for sections to end */
	uint64_t fences;
};

/* Wakes who waits for sections to end. */
SH_API void sh_section_wake(const struct sh_section *section);

/* Begins a section, or one inside. For the library's own use: see sh_read_lock(). */
static inline void sh_section_enter(const struct sh_section *section)
{
	uint64_t *own = section->word;
	uint64_t word = __atomic_load_n(own, __ATOMIC_RELAXED);

	if ((word & 0xffff) != 0) {
		__atomic_store_n(own, word + 1, __ATOMIC_RELAXED);
		return;
	}
	/* acquire: a section sees what was unlinked before the grace period that it copies. */
	word = __atomic_load_n(section->epoch, __ATOMIC_ACQUIRE);
	__atomic_store_n(own, word, __ATOMIC_RELAXED);
	if (__builtin_expect(section->fences != 0, 0))
		__atomic_thread_fence(__ATOMIC_SEQ_CST);
	else
		__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

/* Ends it. Outside of one, where a fork child is that was made inside, it does nothing. */
static inline void sh_section_leave(const struct sh_section *section)
{
	uint64_t *own = section->word;
	uint64_t word = __atomic_load_n(own, __ATOMIC_RELAXED);

	if ((word & 0xffff) != 1) {
		if ((word & 0xffff) != 0)
			__atomic_store_n(own, word - 1, __ATOMIC_RELAXED);
		return;
	}
	/* release: who sees the section ended reuses after all that it read. */
	__atomic_store_n(own, 0, __ATOMIC_RELEASE);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	if (__builtin_expect(__atomic_load_n(section->waiting, __ATOMIC_RELAXED) != 0, 0))
		sh_section_wake(section);
}

/* The section of the heap that the thread read last. For the inline functions. */
struct sh_read_here {
	const struct sh_heap *heap; /* NULL: none; the closer of a heap clears it, too */
	struct sh_section section;
};

extern SH_API __thread struct sh_read_here sh_read_here __attribute__((tls_model("initial-exec")));

/* Begins a read section of the calling thread, or one inside of it.
 *
 * Returns 0; at the thread's first call on the heap only: SH_ESLOTS, ENOMEM, ECHILD, EROFS (SH_RDONLY, and
 * nobody had the heap open then). At most 65,535 deep. Crash: over. */
SH_API int sh_read_lock_function(struct sh_heap *heap);

/* Ends the innermost read section of the calling thread, which has one. */
SH_API void sh_read_unlock_function(struct sh_heap *heap);

static inline int sh_read_lock(struct sh_heap *heap)
{
	if (__builtin_expect(__atomic_load_n(&sh_read_here.heap, __ATOMIC_RELAXED) != heap, 0))
		return sh_read_lock_function(heap);
	sh_section_enter(&sh_read_here.section);
	return 0;
}

static inline void sh_read_unlock(struct sh_heap *heap)
{
	if (__builtin_expect(__atomic_load_n(&sh_read_here.heap, __ATOMIC_RELAXED) != heap, 0))
		sh_read_unlock_function(heap);
	else
		sh_section_leave(&sh_read_here.section);
}

/* A reader that no thread owns: used by any thread of the process, by one at a time. Its first member is
 * a struct sh_section. */
struct sh_reader;

/* Makes a reader, which takes a thread slot (max_threads) until it is closed.
 * Errors: SH_ESLOTS, ENOMEM, ECHILD, EROFS (as sh_read_lock()). Crash: dies with the process. A fork child
 * has none. */
SH_API int sh_reader_open(struct sh_heap *heap, struct sh_reader **reader);

/* Ends its section, if it is in one, and frees it. NULL is a no-op. */
SH_API void sh_reader_close(struct sh_reader *reader);

/* As sh_read_lock() and sh_read_unlock(), of the reader. Cannot fail. */
static inline void sh_reader_lock(struct sh_reader *reader)
{
	sh_section_enter((const struct sh_section *)(const void *)reader);
}

static inline void sh_reader_unlock(struct sh_reader *reader)
{
	sh_section_leave((const struct sh_section *)(const void *)reader);
}

/* Exported twins of these. */
SH_API void sh_reader_lock_function(struct sh_reader *reader);
SH_API void sh_reader_unlock_function(struct sh_reader *reader);

/* Waits for a grace period: returns when every section of every process that had begun before the call
 * has ended, so that what the caller unlinked before is nobody's. Sections of the dead end; those of
 * the stopped are waited for.
 *
 * Errors: EDEADLK (the calling thread is in a section), SH_EBARRIER, SH_ESLOTS, ENOMEM, ECHILD, EROFS (as
 * sh_read_lock()).
 * With SH_RDONLY it leaves the dead to those who write, and does not wait for them.
 * Crash: no effect. Any number at a time. */
SH_API int sh_synchronize(struct sh_heap *heap);

/* Frees a block after a grace period: sections that have begun may go on reading it. Allocates nothing, so
 * it works in a heap that is full, and the block is freed once whatever becomes of the caller. It is
 * no live block any more: sh_usable_size() is 0, sh_walk() leaves it out, a second free is refused.
 *
 * The caller has unlinked the block: no section that begins from here on finds it. When the space can be
 * used again is up to later calls: of this function by any thread, each of which looks once in a
 * while, of allocations that find nothing, of sh_synchronize().
 *
 * Errors: as sh_free(). Crash: freed or not. Runs inside and outside of sections, beside anything. */
SH_API int sh_free_deferred(struct sh_heap *heap, sh_off off);

/* What a call of sh_reap() did, or what a recovery did. */
struct sh_reap_report {
	uint64_t processes;           /* dead processes cleaned up after */
	uint64_t threads;             /* their threads */
	uint64_t rolled_back;         /* transactions */
	uint64_t rolled_forward;      /* transactions */
	uint64_t blocks_freed;        /* blocks given back or freed for the dead */
	uint64_t pages_returned;      /* from their caches and unfinished allocations */
	uint64_t operations_finished; /* page operations that were under way, finished */
	uint64_t operations_undone;   /* the same, undone */
};

/* Looks for dead processes and threads now, and cleans up after them. `report` may be NULL.
 * Errors: EROFS, SH_ESLOTS. Crash: the next reaper goes on. */
SH_API int sh_reap(struct sh_heap *heap, struct sh_reap_report *report);

/* The report of the recovery or the reaping that this process's sh_open() did; all zero when there
 * was nothing to do. `nanoseconds`, which may be NULL, gets the time that it took. */
SH_API int sh_recovery_report(struct sh_heap *heap, struct sh_reap_report *report,
	uint64_t *nanoseconds);

/* One inconsistency: where, and what. The text lives as long as the callback. */
struct sh_problem {
	sh_off off;
	const char *text;
};

/* Called for each problem; non-zero stops the check (SH_ESTOPPED). */
typedef int sh_problem_fn(const struct sh_problem *problem, void *argument);

/* Checks that page bitmaps, span records, spans table, object bits, free pages, logs, roots and
 * counters agree. `flags` is 0; `problem` and `problems` may be NULL; *problems is the count.
 *
 * May run while others work: page by page it takes the page lock for moments, and looks a second
 * time at what moved meanwhile. With SH_RDONLY it takes no lock, and leaves free pages, lists and owners out.
 * Returns 0 when it ran to the end, whatever it found. */
SH_API int sh_check(struct sh_heap *heap, unsigned flags, sh_problem_fn *problem, void *argument,
	uint64_t *problems);

/* A live block, as sh_walk() shows it. */
struct sh_block {
	sh_off off;
	size_t size;   /* usable bytes */
	unsigned kind; /* SH_NOSCAN or 0 */
};

/* Called for each live block; non-zero stops (SH_ESTOPPED). */
typedef int sh_block_fn(const struct sh_block *block, void *argument);

/* Shows every live block, in address order. Blocks that are allocated or freed meanwhile may be
 * shown or not. The callback runs in a read section, one for each 4 MiB of the heap: what it is shown
 * stays readable if it is freed by sh_free_deferred(). It must not free.
 * Errors: SH_ESTOPPED, ECHILD, SH_ESLOTS, ENOMEM. */
SH_API int sh_walk(struct sh_heap *heap, sh_block_fn *block, void *argument);

/* Blocks of one size class. */
struct sh_class_stats {
	uint64_t block_bytes;   /* of each block; 0: there is no such class */
	uint64_t spans;         /* runs of pages that are cut into such blocks */
	uint64_t span_bytes;    /* of these */
	uint64_t blocks;        /* live */
	uint64_t noscan_blocks; /* live and SH_NOSCAN */
};

#define SH_STATS_CLASSES 128

/* What a heap holds, on disk and in pages, and who uses it. Set up by SH_STATS_INIT.
 *
 *   file             = metadata + data, and the address space of arenas that is not backed
 *   data_bytes       = free + small_span + large_span + manual + log + damaged
 *   internal waste   = small_span_bytes - small_block_bytes, large_span_bytes - large_block_bytes,
 *                      less limbo_bytes
 *
 * Free pages that a thread has set aside for itself (64 at most) count as free, and so do those that
 * wait for readers. */
struct sh_stats {
	size_t struct_bytes; /* sizeof(struct sh_stats) */
	/* --- the files */
	uint64_t file_bytes;         /* length of the heap file */
	uint64_t disk_bytes;         /* that the heap file takes on its disk */
	uint64_t control_disk_bytes; /* the same of the control file; 0 without slots */
	/* --- pages */
	uint64_t max_bytes;          /* the heap grows up to here */
	uint64_t page_bytes;         /* the unit of what follows */
	uint64_t arenas;             /* of up to 1 GiB */
	uint64_t metadata_bytes;     /* superblock, logs, bitmaps, records; backed */
	uint64_t data_bytes;         /* pages for blocks and runs; backed */
	uint64_t free_bytes;         /* of these: in no use */
	uint64_t free_runs;          /* the free pages are in so many pieces */
	uint64_t largest_free_bytes; /* the largest of these */
	uint64_t fragmentation_ppm;  /* free bytes outside of the largest piece, of a million */
	/* --- in use */
	uint64_t small_spans; /* sums over the classes */
	uint64_t small_span_bytes;
	uint64_t small_blocks;
	uint64_t small_block_bytes;
	uint64_t large_blocks; /* larger than the largest class */
	uint64_t large_span_bytes;
	uint64_t large_block_bytes;
	uint64_t manual_runs; /* of sh_pages_alloc() */
	uint64_t manual_bytes;
	uint64_t log_bytes;     /* what long transactions record */
	uint64_t damaged_bytes; /* set aside: what they hold contradicts itself */
	uint64_t open_transactions;
	/* --- users; 0 with SH_RDONLY and no slots. Dead ones count until somebody cleans up after them. */
	uint64_t processes;
	uint64_t threads;        /* that have a slot */
	uint64_t detached_slots; /* slots of detached transactions, open and idle ones */
	/* --- this incarnation: since the first process opened the heap that nobody used */
	uint64_t incarnation;
	uint64_t recovered; /* 1: the heap had to be recovered then; what follows tells */
	uint64_t recovery_ns;
	struct sh_reap_report recovery;
	struct sh_class_stats classes[SH_STATS_CLASSES]; /* in order of block_bytes */
	/* --- readers; parked_bytes and grace_periods are 0 when read-only */
	uint64_t limbo_blocks; /* freed, by sh_free_deferred() or SH_DEFERRED, and not usable yet */
	uint64_t limbo_bytes;  /* of these */
	uint64_t parked_bytes; /* of free pages that wait for readers */
	uint64_t grace_periods; /* of this incarnation */
};

/* clang-format off */
#define SH_STATS_INIT { sizeof(struct sh_stats), \
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
	{ 0, 0, 0, 0, 0, 0, 0, 0 }, { { 0, 0, 0, 0, 0 } }, 0, 0, 0, 0 }
/* clang-format on */

/* Counts what the heap holds, from what allocation and recovery themselves go by: nothing is kept
 * up to date for this, so it costs a look at each span (about 10 ms for a GiB of small blocks) and
 * cannot drift. Takes no lock; what others do meanwhile is counted or not, span by span.
 *
 * A smaller struct_bytes gets the fields of that version of the structure. Works with SH_RDONLY.
 * Errors: EINVAL (struct_bytes), ECHILD, SH_ESLOTS, ENOMEM, and of fstat(2). Crash: no effect. */
#if defined(__GNUC__) && defined(__cplusplus)
/* A function and a structure of one name, as stat(2): fine in C++, but not for -Wshadow. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow"
#endif
SH_API int sh_stats(struct sh_heap *heap, struct sh_stats *stats);
#if defined(__GNUC__) && defined(__cplusplus)
#pragma GCC diagnostic pop
#endif

/* The text of any result of this library: starts with the symbol's name and says what to do. The
 * text of an errno is strerror's. Never NULL; static or thread-local. */
SH_API const char *sh_strerror(int error);

/* "MAJOR.MINOR.PATCH" of the library, not of the header. */
SH_API const char *sh_version(void);

/* Exported twins of the inline functions, for languages that cannot inline C. */
SH_API void *sh_ptr_function(const struct sh_heap *heap, sh_off off);
SH_API sh_off sh_offset_function(const struct sh_heap *heap, const void *ptr);
SH_API char *sh_base_function(const struct sh_heap *heap);

/* Where the heap is mapped in this process: for those who add offsets themselves. */
static inline char *sh_base(const struct sh_heap *heap)
{
	return *(char *const *)(const void *)heap;
}

/* The address of `off` in this process; NULL for 0. Does not check. */
static inline void *sh_ptr(const struct sh_heap *heap, sh_off off)
{
	return off == 0 ? NULL : (void *)(sh_base(heap) + off);
}

/* The offset of an address inside the mapping; 0 for NULL. Does not check. */
static inline sh_off sh_offset(const struct sh_heap *heap, const void *ptr)
{
	return ptr == NULL ? 0 : (sh_off)((const char *)ptr - sh_base(heap));
}

#ifdef __cplusplus
}
#endif

#endif
