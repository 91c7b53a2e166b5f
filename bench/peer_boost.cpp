/* peer_boost.cpp -- Boost.Interprocess: managed_mapped_file with its default allocator
 * SPDX-License-Identifier: BSD-3-Clause */
#include "peer.h"

#include <boost/date_time/posix_time/posix_time_types.hpp>
#include <boost/interprocess/managed_mapped_file.hpp>
#include <boost/interprocess/sync/interprocess_mutex.hpp>
#include <cerrno>
#include <new>

namespace interprocess = boost::interprocess;

using segment = interprocess::managed_mapped_file;

static segment &of(void *peer)
{
	return *static_cast<segment *>(peer);
}

static interprocess::interprocess_mutex &mutex_of(void *peer)
{
	/* Found once: the look-up by name takes the segment's own mutex. */
	static interprocess::interprocess_mutex *found;

	if (found == nullptr)
		found = of(peer).find_or_construct<interprocess::interprocess_mutex>("mutex")();
	return *found;
}

void *peer_open(const char *path, uint64_t bytes)
{
	try {
		if (bytes == 0)
			return new segment(interprocess::open_only, path);
		return new segment(interprocess::create_only, path, bytes);
	} catch (const interprocess::interprocess_exception &exception) {
		errno = exception.get_native_error();
		return nullptr;
	}
}

void peer_close(void *peer)
{
	delete &of(peer);
}

char *peer_base(void *peer)
{
	return static_cast<char *>(of(peer).get_address());
}

uint64_t peer_alloc(void *peer, size_t size)
{
	void *block = of(peer).allocate(size, std::nothrow);

	if (block == nullptr)
		return 0;
	return static_cast<uint64_t>(static_cast<char *>(block) - peer_base(peer));
}

int peer_free(void *peer, uint64_t block)
{
	of(peer).deallocate(peer_base(peer) + block);
	return 0;
}

int peer_lock(void *peer, unsigned wait_ms)
{
	using namespace boost::posix_time;

	if (mutex_of(peer).timed_lock(microsec_clock::universal_time() + milliseconds(wait_ms)))
		return 0;
	return EBUSY;
}

void peer_unlock(void *peer)
{
	mutex_of(peer).unlock();
}
