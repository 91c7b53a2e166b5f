/* hook.c -- every access to memory of code compiled with -fsanitize=thread, shown to one client
 * SPDX-License-Identifier: BSD-3-Clause
 *
 * The names and types of the entry points are the compiler's. Model processes take turns in one
 * thread, so an atomic operation needs no more than to be one operation for the compiler. */
#include "stress/model/hook.h"

#include <stdint.h>
#include <string.h>

#define WORD_BYTES sizeof(uint64_t)
#define CALLER __builtin_return_address(0)

const struct hook_client *hook_client;

static inline bool sees(enum hook_kind kind)
{
	return hook_client != NULL && (kind != HOOK_LOAD || hook_client->sees_loads);
}

static inline void show(const volatile void *address, size_t bytes, enum hook_kind kind,
	const void *caller)
{
	if (sees(kind))
		hook_client->on_access((void *)(uintptr_t)address, bytes, kind, caller);
}

static bool watched(const void *address, size_t bytes, enum hook_kind kind)
{
	return sees(kind) && bytes > 0 && hook_client->watches(address, kind);
}

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller);
void __tsan_func_entry(void *caller)
{
	(void)caller;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

#define PLAIN_ACCESS(name, bytes, kind)             \
	void __tsan_##name(void *address);          \
	void __tsan_##name(void *address)           \
	{                                           \
		show(address, bytes, kind, CALLER); \
	}

#define PLAIN_ACCESSES(bytes)                                          \
	PLAIN_ACCESS(read##bytes, bytes, HOOK_LOAD)                    \
	PLAIN_ACCESS(write##bytes, bytes, HOOK_STORE)                  \
	PLAIN_ACCESS(read_write##bytes, bytes, HOOK_UPDATE)            \
	PLAIN_ACCESS(unaligned_read##bytes, bytes, HOOK_LOAD)          \
	PLAIN_ACCESS(unaligned_write##bytes, bytes, HOOK_STORE)        \
	PLAIN_ACCESS(unaligned_read_write##bytes, bytes, HOOK_UPDATE)  \
	PLAIN_ACCESS(volatile_read##bytes, bytes, HOOK_LOAD)           \
	PLAIN_ACCESS(volatile_write##bytes, bytes, HOOK_STORE)         \
	PLAIN_ACCESS(unaligned_volatile_read##bytes, bytes, HOOK_LOAD) \
	PLAIN_ACCESS(unaligned_volatile_write##bytes, bytes, HOOK_STORE)

PLAIN_ACCESSES(1)
PLAIN_ACCESSES(2)
PLAIN_ACCESSES(4)
PLAIN_ACCESSES(8)
PLAIN_ACCESSES(16)
PLAIN_ACCESS(vptr_read, sizeof(void *), HOOK_LOAD)

void __tsan_vptr_update(void **address, void *value);
void __tsan_vptr_update(void **address, void *value)
{
	(void)value;
	show(address, sizeof(void *), HOOK_STORE, CALLER);
}

void __tsan_read_range(void *address, size_t bytes);
void __tsan_read_range(void *address, size_t bytes)
{
	show(address, bytes, HOOK_LOAD, CALLER);
}

void __tsan_write_range(void *address, size_t bytes);
void __tsan_write_range(void *address, size_t bytes)
{
	show(address, bytes, HOOK_STORE, CALLER);
}

#define ATOMIC_UPDATE(bits, type, name, builtin)                                          \
	type __tsan_atomic##bits##_##name(volatile type *address, type value, int order); \
	type __tsan_atomic##bits##_##name(volatile type *address, type value, int order)  \
	{                                                                                 \
		(void)order;                                                              \
		show(address, sizeof *address, HOOK_UPDATE, CALLER);                      \
		return builtin(address, value, __ATOMIC_SEQ_CST);                         \
	}

#define ATOMIC_COMPARE_EXCHANGE(bits, type, name)                                            \
	int __tsan_atomic##bits##_##name(volatile type *address, type *expected, type value, \
		int order, int failure_order);                                               \
	int __tsan_atomic##bits##_##name(volatile type *address, type *expected, type value, \
		int order, int failure_order)                                                \
	{                                                                                    \
		(void)order;                                                                 \
		(void)failure_order;                                                         \
		show(address, sizeof *address, HOOK_UPDATE, CALLER);                         \
		return __atomic_compare_exchange_n(address, expected, value, false,          \
			__ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);                                 \
	}

#define ATOMIC_ACCESSES(bits, type)                                                             \
	type __tsan_atomic##bits##_load(const volatile type *address, int order);               \
	type __tsan_atomic##bits##_load(const volatile type *address, int order)                \
	{                                                                                       \
		(void)order;                                                                    \
		show(address, sizeof *address, HOOK_LOAD, CALLER);                              \
		return __atomic_load_n(address, __ATOMIC_SEQ_CST);                              \
	}                                                                                       \
	void __tsan_atomic##bits##_store(volatile type *address, type value, int order);        \
	void __tsan_atomic##bits##_store(volatile type *address, type value, int order)         \
	{                                                                                       \
		(void)order;                                                                    \
		show(address, sizeof *address, HOOK_STORE, CALLER);                             \
		__atomic_store_n(address, value, __ATOMIC_SEQ_CST);                             \
	}                                                                                       \
	ATOMIC_UPDATE(bits, type, exchange, __atomic_exchange_n)                                \
	ATOMIC_UPDATE(bits, type, fetch_add, __atomic_fetch_add)                                \
	ATOMIC_UPDATE(bits, type, fetch_sub, __atomic_fetch_sub)                                \
	ATOMIC_UPDATE(bits, type, fetch_and, __atomic_fetch_and)                                \
	ATOMIC_UPDATE(bits, type, fetch_or, __atomic_fetch_or)                                  \
	ATOMIC_UPDATE(bits, type, fetch_xor, __atomic_fetch_xor)                                \
	ATOMIC_UPDATE(bits, type, fetch_nand, __atomic_fetch_nand)                              \
	ATOMIC_COMPARE_EXCHANGE(bits, type, compare_exchange_strong)                            \
	ATOMIC_COMPARE_EXCHANGE(bits, type, compare_exchange_weak)                              \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *address, type expected,  \
		type value, int order, int failure_order);                                      \
	type __tsan_atomic##bits##_compare_exchange_val(volatile type *address, type expected,  \
		type value, int order, int failure_order)                                       \
	{                                                                                       \
		(void)order;                                                                    \
		(void)failure_order;                                                            \
		show(address, sizeof *address, HOOK_UPDATE, CALLER);                            \
		__atomic_compare_exchange_n(address, &expected, value, false, __ATOMIC_SEQ_CST, \
			__ATOMIC_SEQ_CST);                                                      \
		return expected;                                                                \
	}

ATOMIC_ACCESSES(8, uint8_t)
ATOMIC_ACCESSES(16, uint16_t)
ATOMIC_ACCESSES(32, uint32_t)
ATOMIC_ACCESSES(64, uint64_t)

/* The explorer's memory is sequentially consistent: fences order what is ordered. */
void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
	(void)order;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order)
{
	(void)order;
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
}

void *__real_memcpy(void *target, const void *source, size_t bytes);
void *__real_memmove(void *target, const void *source, size_t bytes);
void *__real_memset(void *target, int value, size_t bytes);

/* Bytes from address up to the next word boundary, or `left`. */
static size_t piece_after(const unsigned char *address, size_t left)
{
	size_t piece = WORD_BYTES - (uintptr_t)address % WORD_BYTES;

	return piece < left ? piece : left;
}

/* Bytes from the word boundary before `end` up to `end`, or `left`. */
static size_t piece_before(const unsigned char *end, size_t left)
{
	size_t piece = ((uintptr_t)end - 1) % WORD_BYTES + 1;

	return piece < left ? piece : left;
}

static void copy_piece(unsigned char *target, const unsigned char *source, size_t bytes,
	const void *caller)
{
	unsigned char piece[WORD_BYTES];

	show(source, bytes, HOOK_LOAD, caller);
	__real_memcpy(piece, source, bytes);
	show(target, bytes, HOOK_STORE, caller);
	__real_memcpy(target, piece, bytes);
}

static void copy_upwards(unsigned char *target, const unsigned char *source, size_t bytes,
	const unsigned char *aligned, const void *caller)
{
	for (size_t done = 0, piece; done < bytes; done += piece) {
		piece = piece_after(aligned + done, bytes - done);
		copy_piece(target + done, source + done, piece, caller);
	}
}

static void copy_downwards(unsigned char *target, const unsigned char *source, size_t bytes,
	const unsigned char *aligned, const void *caller)
{
	for (size_t left = bytes, piece; left > 0; left -= piece) {
		piece = piece_before(aligned + left, left);
		copy_piece(target + left - piece, source + left - piece, piece, caller);
	}
}

/* Pieces follow the words of the target, or of the source where only that is watched. */
static void *copy(void *target, const void *source, size_t bytes, const void *caller)
{
	bool stores = watched(target, bytes, HOOK_STORE);

	if (!stores && !watched(source, bytes, HOOK_LOAD))
		return __real_memmove(target, source, bytes);

	const unsigned char *aligned = stores ? target : source;
	uintptr_t distance = (uintptr_t)target - (uintptr_t)source;

	if (distance > 0 && distance < bytes)
		copy_downwards(target, source, bytes, aligned, caller);
	else
		copy_upwards(target, source, bytes, aligned, caller);
	return target;
}

static void *fill(void *target, int value, size_t bytes, const void *caller)
{
	if (!watched(target, bytes, HOOK_STORE))
		return __real_memset(target, value, bytes);
	for (size_t done = 0, piece; done < bytes; done += piece) {
		unsigned char *address = (unsigned char *)target + done;
		piece = piece_after(address, bytes - done);
		show(address, piece, HOOK_STORE, caller);
		__real_memset(address, value, piece);
	}
	return target;
}

/* clang 14 calls memcpy itself, later releases call the sanitizer's. */
#define MEMORY_FUNCTIONS(prefix)                                               \
	void *prefix##memcpy(void *target, const void *source, size_t bytes);  \
	void *prefix##memcpy(void *target, const void *source, size_t bytes)   \
	{                                                                      \
		return copy(target, source, bytes, CALLER);                    \
	}                                                                      \
	void *prefix##memmove(void *target, const void *source, size_t bytes); \
	void *prefix##memmove(void *target, const void *source, size_t bytes)  \
	{                                                                      \
		return copy(target, source, bytes, CALLER);                    \
	}                                                                      \
	void *prefix##memset(void *target, int value, size_t bytes);           \
	void *prefix##memset(void *target, int value, size_t bytes)            \
	{                                                                      \
		return fill(target, value, bytes, CALLER);                     \
	}

MEMORY_FUNCTIONS(__wrap_)
MEMORY_FUNCTIONS(__tsan_)
