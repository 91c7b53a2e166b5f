/* give_up.h -- how a run ends whose ground gave way
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef TORN_GIVE_UP_H
#define TORN_GIVE_UP_H

/* Ends the program: the machine does not do what the test stands on. */
_Noreturn void give_up(const char *what);

#endif
