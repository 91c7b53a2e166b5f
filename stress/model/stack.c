/* stack.c -- a stack of records of one size, that grows
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/model/stack.h"

#include <stdio.h>
#include <stdlib.h>

void *stack_push(struct stack *stack, size_t count)
{
	if (stack->count + count > stack->capacity) {
		stack->capacity = (stack->count + count) * 2;
		stack->records = realloc(stack->records, stack->capacity * stack->record_bytes);
		if (stack->records == NULL) {
			fprintf(stderr, "explorer: no memory for a path of %zu records\n",
				stack->capacity);
			exit(2);
		}
	}
	stack->count += count;
	return stack_at(stack, stack->count - count);
}

void stack_release(struct stack *stack)
{
	free(stack->records);
	stack->records = NULL;
	stack->count = 0;
	stack->capacity = 0;
}
