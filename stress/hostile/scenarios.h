/* scenarios.h -- all of them
 * SPDX-License-Identifier: BSD-3-Clause */
#ifndef HOSTILE_SCENARIOS_H
#define HOSTILE_SCENARIOS_H

#include "stress/hostile/case.h"

/* In the order in which they run; the last one's name is NULL. */
extern const struct scenario scenarios[];

/* file_systems.c */
void run_on_ext4(void);
void run_on_xfs(void);
void run_on_btrfs(void);
void run_on_tmpfs(void);
void run_on_overlayfs(void);
void run_full_ext4(void);
void run_full_xfs(void);
void run_full_btrfs(void);
void run_full_tmpfs(void);
void run_full_overlayfs(void);

/* namespaces.c */
void run_equal_pids_holder_dies(void);
void run_equal_pids_waiter_dies(void);
void run_equal_pids_work(void);

/* users.c */
void run_two_users(void);
void run_wide_control_file(void);
void run_rights_dropped(void);

/* limits.c */
void run_memory_cgroup_tmpfs(void);
void run_memory_cgroup_disk(void);
void run_address_space_limit(void);
void run_file_size_limit(void);
void run_descriptor_limit(void);

/* descriptors.c */
void run_closefrom(void);
void run_closefrom_overlayfs(void);
void run_fork_with_calls(void);
void run_fork_without_calls(void);
void run_many_robust_mutexes(void);

/* copies.c */
void run_copy_in_use(void);
void run_copy_while_opened(void);
void run_restore_torn(void);
void run_restore_whole(void);

/* paths.c */
void run_control_file_deleted(void);
void run_control_file_swapped(void);
void run_symbolic_link(void);
void run_hard_link(void);
void run_bind_mount(void);
void run_openers_killed(void);
void run_creators_killed(void);

/* stopped.c */
void run_stopped_with_mutex(void);
void run_stopped_with_page_lock(void);
void run_stopped_with_root_lock(void);
void run_stopped_with_growth_lock(void);
void run_stopped_while_opening(void);
void run_stopped_while_reaping(void);

/* device.c */
void run_device_read_aio(void);
void run_device_read_uring(void);

#endif
