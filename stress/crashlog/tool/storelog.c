/* storelog.c -- a valgrind tool: logs every store into memory that the program names
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Behind each statement of a block that stores comes a call that looks whether the address is in a
 * named range and, if so, notes what stands there now. Nothing is split or joined: one record for each
 * store of the processor, and for each turn of a repeated string instruction, which valgrind runs
 * turn by turn. What system calls do to the named files is cut into pieces. */
#include "stress/crashlog/tool/storelog.h"

#include "pub_tool_basics.h"
#include "pub_tool_clreq.h"
#include "pub_tool_libcassert.h"
#include "pub_tool_libcbase.h"
#include "pub_tool_libcfile.h"
#include "pub_tool_libcprint.h"
#include "pub_tool_libcproc.h"
#include "pub_tool_machine.h"
#include "pub_tool_options.h"
#include "pub_tool_threadstate.h"
#include "pub_tool_tooliface.h"
#include "pub_tool_vki.h"
#include "valgrind.h"

#include <asm/unistd.h>
#include <linux/falloc.h>

/* --- the log ------------------------------------------------------------------------------- */

#define BUFFER_BYTES 65536

/* Memory that is logged. */
struct range {
	Addr begin;
	SizeT bytes;
	ULong offset; /* of its first byte in its file */
	UChar file;
};

/* A file that is known by its path. */
struct named {
	HChar path[STORELOG_PATH_BYTES];
	UChar file;
};

static struct range ranges[STORELOG_RANGES];
static UInt range_count;
static struct named named[STORELOG_FILES];
static UInt named_count;
static const HChar *log_path = "storelog.log";
static Int log_file = -1;
static UChar buffer[BUFFER_BYTES];
static Int buffered;

static void flush(void)
{
	Int at = 0;

	while (at < buffered) {
		Int written = VG_(write)(log_file, buffer + at, buffered - at);

		if (written <= 0) {
			VG_(umsg)("storelog: cannot write %s\n", log_path);
			VG_(exit)(1);
		}
		at += written;
	}
	buffered = 0;
}

static void put(const void *bytes, Int count)
{
	if (buffered + count > BUFFER_BYTES)
		flush();
	VG_(memcpy)(buffer + buffered, bytes, (SizeT)count);
	buffered += count;
}

/* `bytes` bytes came to stand at `where` of the file; `code` 0: the kernel put them there. */
static void put_store(UChar file, ULong where, const void *content, SizeT bytes, Addr code)
{
	static const UChar padding[8];
	struct storelog_record record = {
		.kind = STORELOG_STORE,
		.file = file,
		.bytes = (UShort)bytes,
		.thread = VG_(get_running_tid)(),
		.where = where,
		.code = code,
	};

	put(&record, sizeof(record));
	put(content, (Int)bytes);
	put(padding, (Int)(-bytes & 7));
}

static void put_event(enum storelog_kind kind, UChar file, ULong where, ULong inode)
{
	struct storelog_record record = {
		.kind = (UChar)kind,
		.file = file,
		.thread = VG_(get_running_tid)(),
		.where = where,
		.code = inode,
	};

	put(&record, sizeof(record));
}

/* --- stores -------------------------------------------------------------------------------- */

static VG_REGPARM(3) void stored(Addr address, SizeT bytes, Addr code)
{
	for (UInt i = 0; i < range_count; i++)
		if (address - ranges[i].begin < ranges[i].bytes)
			put_store(ranges[i].file, ranges[i].offset + (address - ranges[i].begin),
				(const void *)address, bytes, code);
}

static void stored_by_kernel(CorePart part, ThreadId thread, Addr address, SizeT bytes)
{
	(void)part;
	(void)thread;
	for (SizeT at = 0; at < bytes; at += STORELOG_BYTES)
		stored(address + at, bytes - at < STORELOG_BYTES ? bytes - at : STORELOG_BYTES, 0);
}

/* Adds the call; `guard` tells whether the store is made, NULL: always. */
static void add_call(IRSB *block, IRExpr *address, SizeT bytes, IRExpr *guard, Addr code)
{
	IRExpr **arguments = mkIRExprVec_3(address, mkIRExpr_HWord(bytes), mkIRExpr_HWord(code));
	IRDirty *call = unsafeIRDirty_0_N(3, "stored", VG_(fnptr_to_fnentry)(&stored), arguments);

	/* The optimiser must not move the store behind the call. */
	call->mFx = Ifx_Read;
	call->mAddr = address;
	call->mSize = (Int)bytes;
	if (guard != NULL)
		call->guard = guard;
	addStmtToIRSB(block, IRStmt_Dirty(call));
}

static SizeT bytes_of(const IRSB *block, const IRExpr *value)
{
	return (SizeT)sizeofIRType(typeOfIRExpr(block->tyenv, value));
}

static void add_call_of_dirty(IRSB *block, const IRDirty *dirty, Addr code)
{
	if (dirty->mFx == Ifx_Write || dirty->mFx == Ifx_Modify)
		add_call(block, dirty->mAddr, (SizeT)dirty->mSize, dirty->guard, code);
}

static void add_call_of_cas(IRSB *block, const IRCAS *cas, Addr code)
{
	SizeT bytes = bytes_of(block, cas->dataLo);

	add_call(block, cas->addr, cas->dataHi == NULL ? bytes : 2 * bytes, NULL, code);
}

static void add_call_behind(IRSB *block, const IRStmt *statement, Addr code)
{
	const IRStoreG *guarded;

	switch (statement->tag) {
	case Ist_Store:
		add_call(block, statement->Ist.Store.addr,
			bytes_of(block, statement->Ist.Store.data), NULL, code);
		break;
	case Ist_StoreG:
		guarded = statement->Ist.StoreG.details;
		add_call(block, guarded->addr, bytes_of(block, guarded->data), guarded->guard,
			code);
		break;
	case Ist_CAS:
		add_call_of_cas(block, statement->Ist.CAS.details, code);
		break;
	case Ist_Dirty:
		add_call_of_dirty(block, statement->Ist.Dirty.details, code);
		break;
	case Ist_LLSC:
		VG_(tool_panic)("storelog does not know this processor's conditional stores");
	default:
		break;
	}
}

static IRSB *instrument(VgCallbackClosure *closure, IRSB *from, const VexGuestLayout *layout,
	const VexGuestExtents *extents, const VexArchInfo *processor, IRType guest_word,
	IRType host_word)
{
	IRSB *to = deepCopyIRSBExceptStmts(from);
	Addr code = 0;

	(void)closure;
	(void)layout;
	(void)extents;
	(void)processor;
	(void)guest_word;
	(void)host_word;
	for (Int i = 0; i < from->stmts_used; i++) {
		IRStmt *statement = from->stmts[i];

		if (statement == NULL)
			continue;
		if (statement->tag == Ist_IMark)
			code = statement->Ist.IMark.addr;
		addStmtToIRSB(to, statement);
		add_call_behind(to, statement, code);
	}
	return to;
}

/* --- ranges and files ---------------------------------------------------------------------- */

static void add_range(Addr begin, SizeT bytes, UChar file, ULong offset)
{
	tl_assert(range_count < STORELOG_RANGES);
	ranges[range_count++] =
		(struct range){ .begin = begin, .bytes = bytes, .offset = offset, .file = file };
}

/* What is mapped there now is something else, or nothing. Nobody unmaps a part. */
static void forget_ranges(Addr begin, SizeT bytes)
{
	UInt kept = 0;

	for (UInt i = 0; i < range_count; i++) {
		if (begin - ranges[i].begin < ranges[i].bytes || ranges[i].begin - begin < bytes) {
			tl_assert(begin <= ranges[i].begin &&
				ranges[i].begin + ranges[i].bytes <= begin + bytes);
			continue;
		}
		ranges[kept++] = ranges[i];
	}
	range_count = kept;
}

static void name_file(const HChar *path, UChar file)
{
	struct vg_stat status;

	tl_assert(named_count < STORELOG_FILES && VG_(strlen)(path) < STORELOG_PATH_BYTES);
	VG_(strcpy)(named[named_count].path, path);
	named[named_count++].file = file;
	if (!sr_isError(VG_(stat)(path, &status)))
		put_event(STORELOG_LENGTH, file, (ULong)status.size, status.ino);
}

/* NULL: none that was named. */
static const struct named *named_at(const HChar *path)
{
	for (UInt i = 0; i < named_count; i++)
		if (VG_(strcmp)(path, named[i].path) == 0)
			return &named[i];
	return NULL;
}

static const struct named *named_of(Int fd)
{
	HChar name[64];
	HChar path[STORELOG_PATH_BYTES + 1];
	SSizeT length;

	if (named_count == 0 || fd < 0)
		return NULL;
	VG_(sprintf)(name, "/proc/self/fd/%d", fd);
	length = VG_(readlink)(name, path, STORELOG_PATH_BYTES);
	if (length <= 0)
		return NULL;
	path[length] = '\0';
	return named_at(path);
}

/* --- system calls -------------------------------------------------------------------------- */

#define PROT_WRITES 2u
#define MAP_SHARES 1u
#define SEEK_TO 0
#define SEEK_TO_DATA 3
#define SEEK_TO_HOLE 4

static void log_mapping(const UWord *arguments, Addr begin)
{
	const struct named *file = named_of((Int)arguments[4]);

	forget_ranges(begin, arguments[1]);
	if (file != NULL && (arguments[2] & PROT_WRITES) != 0 && (arguments[3] & MAP_SHARES) != 0)
		add_range(begin, arguments[1], file->file, arguments[5]);
}

static void log_write(const UWord *arguments, SizeT written)
{
	const struct named *file = named_of((Int)arguments[0]);

	for (SizeT at = 0; file != NULL && at < written; at += STORELOG_BYTES)
		put_store(file->file, arguments[3] + at, (const void *)(arguments[1] + at),
			written - at < STORELOG_BYTES ? written - at : STORELOG_BYTES, 0);
}

static void log_length(Int fd)
{
	const struct named *file = named_of(fd);
	struct vg_stat status;

	if (file != NULL && VG_(fstat)(fd, &status) == 0)
		put_event(STORELOG_LENGTH, file->file, (ULong)status.size, status.ino);
}

/* Zeros in place of what is not zero of the `bytes` that stand at `where`. */
static void put_zeros(UChar file, ULong where, const UChar *content, SizeT bytes)
{
	static const UChar zeros[STORELOG_BYTES];

	for (SizeT at = 0; at < bytes; at += STORELOG_BYTES) {
		SizeT some = bytes - at < STORELOG_BYTES ? bytes - at : STORELOG_BYTES;

		if (VG_(memcmp)(content + at, zeros, some) != 0)
			put_store(file, where + at, zeros, some, 0);
	}
}

/* The same of a part of the file. */
static void log_zeros(Int fd, UChar file, Long at, Long end)
{
	static UChar content[BUFFER_BYTES];

	VG_(lseek)(fd, at, SEEK_TO);
	while (at < end) {
		Int wanted = end - at < BUFFER_BYTES ? (Int)(end - at) : BUFFER_BYTES;
		Int got = VG_(read)(fd, content, wanted);

		if (got <= 0)
			return;
		put_zeros(file, (ULong)at, content, (SizeT)got);
		at += got;
	}
}

/* Before the hole is made: afterwards nobody knows what was there. */
static void log_hole(const UWord *arguments)
{
	Int fd = (Int)arguments[0];
	const struct named *file = named_of(fd);
	Long at = (Long)arguments[2];
	Long end = at + (Long)arguments[3];

	while (file != NULL && at < end) {
		Long data = VG_(lseek)(fd, at, SEEK_TO_DATA);

		if (data < 0 || data >= end)
			break;
		at = VG_(lseek)(fd, data, SEEK_TO_HOLE);
		log_zeros(fd, file->file, data, at < end ? at : end);
	}
}

static void log_renaming(const HChar *from, const HChar *to)
{
	const struct named *file = named_at(from);
	const struct named *other = named_at(to);
	struct vg_stat status;

	if (file != NULL && other != NULL && !sr_isError(VG_(stat)(to, &status)))
		put_event(STORELOG_RENAMED, file->file, other->file, status.ino);
}

/* What changes a file and is not known here must not go unnoticed. */
static void refuse(Int fd)
{
	if (named_of(fd) != NULL)
		VG_(tool_panic)("storelog does not know this system call on a file");
}

static void before_call(ThreadId thread, UInt number, UWord *arguments, UInt count)
{
	(void)thread;
	(void)count;
	switch (number) {
	case __NR_fallocate:
		if ((arguments[1] & FALLOC_FL_PUNCH_HOLE) != 0)
			log_hole(arguments);
		break;
	case __NR_write:
	case __NR_writev:
	case __NR_pwritev:
	case __NR_pwritev2:
	case __NR_sendfile:
		refuse((Int)arguments[0]);
		break;
	case __NR_copy_file_range:
	case __NR_splice:
		refuse((Int)arguments[2]);
		break;
	case __NR_mremap:
		for (UInt i = 0; i < range_count; i++)
			if (arguments[0] - ranges[i].begin < ranges[i].bytes)
				VG_(tool_panic)("storelog does not know moved mappings");
		break;
	default:
		break;
	}
}

static void after_call(ThreadId thread, UInt number, UWord *arguments, UInt count, SysRes result)
{
	(void)thread;
	(void)count;
	if (sr_isError(result))
		return;
	switch (number) {
	case __NR_mmap:
		log_mapping(arguments, sr_Res(result));
		break;
	case __NR_munmap:
		forget_ranges(arguments[0], arguments[1]);
		break;
	case __NR_pwrite64:
		log_write(arguments, sr_Res(result));
		log_length((Int)arguments[0]);
		break;
	case __NR_ftruncate:
	case __NR_fallocate:
		log_length((Int)arguments[0]);
		break;
	case __NR_rename:
		log_renaming((const HChar *)arguments[0], (const HChar *)arguments[1]);
		break;
	default:
		break;
	}
}

/* --- the program's requests ---------------------------------------------------------------- */

static Bool answer(ThreadId thread, UWord *request, UWord *result)
{
	UWord first = VG_USERREQ_TOOL_BASE(STORELOG_FIRST_LETTER, STORELOG_SECOND_LETTER);

	(void)thread;
	*result = 1;
	if (request[0] == first + STORELOG_REQUEST_RANGE)
		add_range(request[1], request[2], (UChar)request[3], request[4]);
	else if (request[0] == first + STORELOG_REQUEST_SAY)
		put_event(STORELOG_MARK, 0, request[1], 0);
	else if (request[0] == first + STORELOG_REQUEST_FILE)
		name_file((const HChar *)request[1], (UChar)request[2]);
	else
		return False;
	return True;
}

/* --- start and end ------------------------------------------------------------------------- */

static Bool take_option(const HChar *argument)
{
	return VG_STR_CLO(argument, "--log", log_path) ? True : False;
}

static void print_usage(void)
{
	VG_(printf)("    --log=<file>    where the stores are written to [storelog.log]\n");
}

static void print_debug_usage(void)
{
}

/* A child goes on with the log, while its parent waits. */
static void before_fork(ThreadId thread)
{
	(void)thread;
	flush();
}

static void open_log(void)
{
	SysRes opened = VG_(open)(log_path, VKI_O_CREAT | VKI_O_TRUNC | VKI_O_WRONLY, 0600);

	if (sr_isError(opened)) {
		VG_(umsg)("storelog: cannot open %s\n", log_path);
		VG_(exit)(1);
	}
	/* A low number, which the program must not close. */
	log_file = (Int)sr_Res(opened);
	VG_(atfork)(before_fork, NULL, NULL);
}

static void finish(Int status)
{
	(void)status;
	flush();
}

static void begin(void)
{
	VG_(details_name)("storelog");
	VG_(details_version)(NULL);
	VG_(details_description)("logs the stores into memory that the program names");
	VG_(details_copyright_author)("part of spanheap's tests; BSD-3-Clause");
	VG_(details_bug_reports_to)("spanheap");
	VG_(basic_tool_funcs)(open_log, instrument, finish);
	VG_(needs_client_requests)(answer);
	VG_(needs_syscall_wrapper)(before_call, after_call);
	VG_(needs_command_line_options)(take_option, print_usage, print_debug_usage);
	VG_(track_post_mem_write)(stored_by_kernel);
}

VG_DETERMINE_INTERFACE_VERSION(begin)
