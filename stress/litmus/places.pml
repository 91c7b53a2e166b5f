/* places.pml -- threads and places in memory of the models
 * SPDX-License-Identifier: BSD-3-Clause */
#define READER 0
#define UPDATER 1
#define WAITER 2
#define THREADS 3

#define LINK 0      /* 0: names the object; 1: another one */
#define OBJECT 1    /* 0: good; 1: spoiled */
#define SECTION 2   /* 0: outside; else the epoch */
#define BIT 3       /* the reader's */
#define EPOCH 4
#define FENCED 5
#define COMPLETED 6
#define PLACES 7

#define FIRST_EPOCH 1
