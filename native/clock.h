#pragma once

#include <time.h>

#include <cstdint>

namespace volley {

/// Nanoseconds of the system's monotonic clock.
inline uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace volley
