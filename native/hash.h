// XXH3 as xxhash-addon ships it, so that TypeScript and native code hash with the same source.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__x86_64__)
#include "xxh_x86dispatch.h"
#else
#include "xxhash.h"
#endif

namespace volley {

inline uint64_t Hash64(const void* data, size_t bytes) { return XXH3_64bits(data, bytes); }

/// What stands for a key in a hashtable: the low half of XXH3-128, never 0 (which marks an empty entry).
inline uint64_t Fingerprint(const void* key, size_t bytes) {
  const uint64_t low = XXH3_128bits(key, bytes).low64;
  return low == 0 ? 1 : low;
}

}  // namespace volley
