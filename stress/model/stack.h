/* stack.h -- a stack of records of one size, that grows
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef MODEL_STACK_H
#define MODEL_STACK_H

#include <stddef.h>

/* Process. Whoever declares it sets record_bytes. Pushing may move the records. */
struct stack {
	unsigned char *records;
	size_t record_bytes;
	size_t count;
	size_t capacity;
};

static inline void *stack_at(const struct stack *stack, size_t index)
{
	return stack->records + index * stack->record_bytes;
}

static inline void *stack_top(const struct stack *stack)
{
	return stack_at(stack, stack->count - 1);
}

/* Returns the first of `count` records on top, their content undefined. Ends the program when
 * memory runs out. */
void *stack_push(struct stack *stack, size_t count);

void stack_release(struct stack *stack);

#endif
