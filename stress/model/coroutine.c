/* coroutine.c -- a model process: a stack of its own that is left at any access and entered again
 * SPDX-License-Identifier: BSD-3-Clause */
#define _GNU_SOURCE
#include "stress/model/coroutine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GUARD_BYTES ((size_t)64 * 1024)

/* Functions that the process calls between two suspensions may reach this far below what a
 * suspension sees of the stack. */
#define UNSEEN_BYTES ((size_t)2048)

static struct coroutine *running;
static void *resumer_stack_pointer;

/* Pushes what a called function must preserve, files the stack pointer in *from, takes *to as the
 * stack pointer and pops the same from there. The other registers become zero: a compiler may push
 * one of them just to align the stack, and what the explorer left there is not part of the
 * process. */
void coroutine_switch(void **from, void **to);

#if defined(__x86_64__)
#define PRESERVED_WORDS 6
__asm__(".text\n"
	".globl coroutine_switch\n"
	".type coroutine_switch, @function\n"
	"coroutine_switch:\n"
	"	pushq %rbp\n"
	"	pushq %rbx\n"
	"	pushq %r12\n"
	"	pushq %r13\n"
	"	pushq %r14\n"
	"	pushq %r15\n"
	"	movq %rsp, (%rdi)\n"
	"	movq (%rsi), %rsp\n"
	"	popq %r15\n"
	"	popq %r14\n"
	"	popq %r13\n"
	"	popq %r12\n"
	"	popq %rbx\n"
	"	popq %rbp\n"
	"	xorl %eax, %eax\n"
	"	xorl %ecx, %ecx\n"
	"	xorl %edx, %edx\n"
	"	xorl %esi, %esi\n"
	"	xorl %edi, %edi\n"
	"	xorl %r8d, %r8d\n"
	"	xorl %r9d, %r9d\n"
	"	xorl %r10d, %r10d\n"
	"	xorl %r11d, %r11d\n"
	"	ret\n"
	".size coroutine_switch, . - coroutine_switch\n");

/* `ret` takes the entry; the zero above it stands where a caller's return address would. */
static void *first_stack_pointer(unsigned char *top, void (*entry)(void))
{
	uintptr_t *word = (uintptr_t *)(void *)top;

	*--word = 0;
	*--word = (uintptr_t)entry;
	return word - PRESERVED_WORDS;
}
#elif defined(__aarch64__)
#define PRESERVED_WORDS 20
#define LINK_REGISTER 11
__asm__(".text\n"
	".globl coroutine_switch\n"
	".type coroutine_switch, %function\n"
	"coroutine_switch:\n"
	"	sub sp, sp, #160\n"
	"	stp x19, x20, [sp, #0]\n"
	"	stp x21, x22, [sp, #16]\n"
	"	stp x23, x24, [sp, #32]\n"
	"	stp x25, x26, [sp, #48]\n"
	"	stp x27, x28, [sp, #64]\n"
	"	stp x29, x30, [sp, #80]\n"
	"	stp d8, d9, [sp, #96]\n"
	"	stp d10, d11, [sp, #112]\n"
	"	stp d12, d13, [sp, #128]\n"
	"	stp d14, d15, [sp, #144]\n"
	"	mov x9, sp\n"
	"	str x9, [x0]\n"
	"	ldr x9, [x1]\n"
	"	mov sp, x9\n"
	"	ldp x19, x20, [sp, #0]\n"
	"	ldp x21, x22, [sp, #16]\n"
	"	ldp x23, x24, [sp, #32]\n"
	"	ldp x25, x26, [sp, #48]\n"
	"	ldp x27, x28, [sp, #64]\n"
	"	ldp x29, x30, [sp, #80]\n"
	"	ldp d8, d9, [sp, #96]\n"
	"	ldp d10, d11, [sp, #112]\n"
	"	ldp d12, d13, [sp, #128]\n"
	"	ldp d14, d15, [sp, #144]\n"
	"	add sp, sp, #160\n"
	"	mov x0, xzr\n"
	"	mov x1, xzr\n"
	"	mov x2, xzr\n"
	"	mov x3, xzr\n"
	"	mov x4, xzr\n"
	"	mov x5, xzr\n"
	"	mov x6, xzr\n"
	"	mov x7, xzr\n"
	"	mov x8, xzr\n"
	"	mov x9, xzr\n"
	"	mov x10, xzr\n"
	"	mov x11, xzr\n"
	"	mov x12, xzr\n"
	"	mov x13, xzr\n"
	"	mov x14, xzr\n"
	"	mov x15, xzr\n"
	"	mov x16, xzr\n"
	"	mov x17, xzr\n"
	"	ret\n"
	".size coroutine_switch, . - coroutine_switch\n"
	".globl coroutine_enter\n"
	".type coroutine_enter, %function\n"
	"coroutine_enter:\n"
	"	mov x30, xzr\n"
	"	br x19\n"
	".size coroutine_enter, . - coroutine_enter\n");

/* Calls the entry in x19 with no return address, where a backtrace ends. */
void coroutine_enter(void);

static void *first_stack_pointer(unsigned char *top, void (*entry)(void))
{
	uintptr_t *word = (uintptr_t *)(void *)top - PRESERVED_WORDS;

	word[0] = (uintptr_t)entry;
	word[LINK_REGISTER] = (uintptr_t)coroutine_enter;
	return word;
}
#else
#error "coroutine_switch is written for x86-64 and aarch64"
#endif

static unsigned char *top_of(const struct coroutine *coroutine)
{
	return coroutine->stack + COROUTINE_STACK_BYTES;
}

void coroutine_create(struct coroutine *coroutine)
{
	if (coroutine->stack != NULL)
		return;

	unsigned char *pages = mmap(NULL, GUARD_BYTES + COROUTINE_STACK_BYTES, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED ||
		mprotect(pages + GUARD_BYTES, COROUTINE_STACK_BYTES, PROT_READ | PROT_WRITE) != 0) {
		perror("explorer: no stack for a model process");
		exit(2);
	}
	coroutine->stack = pages + GUARD_BYTES;
	coroutine->lowest = top_of(coroutine);
}

/* Zeroes the stack from what was ever used of it up to `end`. */
static void clean(struct coroutine *coroutine, unsigned char *end)
{
	size_t used = (size_t)(coroutine->lowest - coroutine->stack);
	unsigned char *start = coroutine->stack + (used > UNSEEN_BYTES ? used - UNSEEN_BYTES : 0);

	memset(start, 0, (size_t)(end - start));
	coroutine->lowest = end;
}

static void note_depth(struct coroutine *coroutine)
{
	if ((unsigned char *)coroutine->stack_pointer < coroutine->lowest)
		coroutine->lowest = coroutine->stack_pointer;
}

void coroutine_start(struct coroutine *coroutine, void (*entry)(void))
{
	clean(coroutine, top_of(coroutine));
	coroutine->stack_pointer = first_stack_pointer(top_of(coroutine), entry);
	note_depth(coroutine);
}

void coroutine_resume(struct coroutine *coroutine)
{
	clean(coroutine, coroutine->stack_pointer);
	running = coroutine;
	coroutine_switch(&resumer_stack_pointer, &coroutine->stack_pointer);
	note_depth(coroutine);
}

void coroutine_suspend(void)
{
	coroutine_switch(&running->stack_pointer, &resumer_stack_pointer);
}

size_t coroutine_bytes(const struct coroutine *coroutine)
{
	return (size_t)(top_of(coroutine) - (unsigned char *)coroutine->stack_pointer);
}

void coroutine_save(const struct coroutine *coroutine, unsigned char *copy)
{
	memcpy(copy, coroutine->stack_pointer, coroutine_bytes(coroutine));
}

void coroutine_load(struct coroutine *coroutine, void *stack_pointer, const unsigned char *copy)
{
	coroutine->stack_pointer = stack_pointer;
	note_depth(coroutine);
	memcpy(stack_pointer, copy, coroutine_bytes(coroutine));
}

struct fingerprint coroutine_fingerprint(const struct coroutine *coroutine, uint64_t key)
{
	return fingerprint_of_words(key, coroutine->stack_pointer,
		coroutine_bytes(coroutine) / sizeof(uint64_t));
}
