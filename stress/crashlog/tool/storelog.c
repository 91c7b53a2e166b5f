/* storelog.c -- a valgrind tool: logs every store into memory that the program names
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * Behind each statement of a block that stores comes a call that looks whether the address is in a
 * named range and, if so, notes what stands there now. Nothing is split or joined: one record for each
 * store of the processor, and for each turn of a repeated string instruction, which valgrind runs
 * turn by turn. */
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

/* --- the log ------------------------------------------------------------------------------- */

#define BUFFER_BYTES 65536

/* Memory that is logged. */
struct range {
	Addr begin;
	SizeT bytes;
	ULong offset; /* of its first byte in its file */
	UChar file;
};

static struct range ranges[STORELOG_RANGES];
static UInt range_count;
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

static void put_mark(UWord number)
{
	struct storelog_record record = {
		.kind = STORELOG_MARK,
		.thread = VG_(get_running_tid)(),
		.where = number,
	};

	put(&record, sizeof(record));
}

static void put_store(const struct range *range, Addr address, SizeT bytes, Addr code)
{
	static const UChar padding[8];
	struct storelog_record record = {
		.kind = STORELOG_STORE,
		.file = range->file,
		.bytes = (UShort)bytes,
		.thread = VG_(get_running_tid)(),
		.where = range->offset + (address - range->begin),
		.code = code,
	};

	put(&record, sizeof(record));
	put((const void *)address, (Int)bytes);
	put(padding, (Int)(-bytes & 7));
}

/* --- stores -------------------------------------------------------------------------------- */

static VG_REGPARM(3) void stored(Addr address, SizeT bytes, Addr code)
{
	for (UInt i = 0; i < range_count; i++)
		if (address - ranges[i].begin < ranges[i].bytes)
			put_store(&ranges[i], address, bytes, code);
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

/* --- the program's requests ---------------------------------------------------------------- */

static void add_range(Addr begin, SizeT bytes, UChar file, ULong offset)
{
	tl_assert(range_count < STORELOG_RANGES);
	ranges[range_count++] =
		(struct range){ .begin = begin, .bytes = bytes, .offset = offset, .file = file };
}

static Bool answer(ThreadId thread, UWord *request, UWord *result)
{
	UWord first = VG_USERREQ_TOOL_BASE(STORELOG_FIRST_LETTER, STORELOG_SECOND_LETTER);

	(void)thread;
	*result = 1;
	if (request[0] == first + STORELOG_REQUEST_RANGE)
		add_range(request[1], request[2], (UChar)request[3], request[4]);
	else if (request[0] == first + STORELOG_REQUEST_SAY)
		put_mark(request[1]);
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

static void open_log(void)
{
	SysRes opened = VG_(open)(log_path, VKI_O_CREAT | VKI_O_TRUNC | VKI_O_WRONLY, 0600);

	if (sr_isError(opened)) {
		VG_(umsg)("storelog: cannot open %s\n", log_path);
		VG_(exit)(1);
	}
	/* A low number, which the program must not close. */
	log_file = (Int)sr_Res(opened);
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
	VG_(needs_command_line_options)(take_option, print_usage, print_debug_usage);
	VG_(track_post_mem_write)(stored_by_kernel);
}

VG_DETERMINE_INTERFACE_VERSION(begin)
