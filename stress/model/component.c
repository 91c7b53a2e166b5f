/* component.c -- states that lead to each other in circles, found during the search
 * SPDX-License-Identifier: BSD-3-Clause */
#include "stress/model/component.h"

#include "stress/model/stack.h"

static struct stack open = { .record_bytes = sizeof(uint32_t) };
static struct stack components = { .record_bytes = sizeof(struct component) };

static struct component *top_component(void)
{
	return stack_top(&components);
}

static uint32_t number_at(size_t index)
{
	return *(uint32_t *)stack_at(&open, index);
}

void component_reset(void)
{
	open.count = 0;
	components.count = 0;
}

void component_release(void)
{
	stack_release(&open);
	stack_release(&components);
}

void component_open(uint32_t number, bool is_terminal)
{
	struct component component = { .first = number, .escapes = is_terminal };

	*(uint32_t *)stack_push(&open, 1) = number;
	*(struct component *)stack_push(&components, 1) = component;
}

static bool is_open(uint32_t number)
{
	size_t low = 0;
	size_t high = open.count;

	while (low < high) {
		size_t middle = (low + high) / 2;
		if (number_at(middle) < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low < open.count && number_at(low) == number;
}

void component_join(uint32_t number)
{
	struct component *top = top_component();

	if (!is_open(number)) {
		top->escapes = true;
		return;
	}
	while (top->first > number) {
		struct component inner = *top;
		components.count--;
		top = top_component();
		top->escapes = top->escapes || inner.escapes;
		top->limits_passed = top->limits_passed || inner.limits_passed;
	}
}

bool component_begins_with(uint32_t number)
{
	return top_component()->first == number;
}

bool component_escapes(void)
{
	return top_component()->escapes;
}

void component_let_limits_pass(void)
{
	top_component()->limits_passed = true;
}

struct component component_close(void)
{
	struct component closed = *top_component();

	while (open.count > 0 && number_at(open.count - 1) >= closed.first) {
		open.count--;
		closed.states++;
	}
	components.count--;
	if (components.count > 0)
		top_component()->escapes = true;
	return closed;
}
