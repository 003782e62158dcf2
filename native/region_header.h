#pragma once

#include <cstdint>

#include "layout.h"

namespace volley {

/// What is wrong with a header that somebody else wrote, or null. `bytes` is how large the region really is; 0 when that
/// cannot be known here.
const char* FaultOf(const RegionHeader& header, uint64_t bytes);

/// Whether a value lies wholly inside the arena of a region whose header was found to be right.
inline bool InArena(const RegionHeader& header, uint64_t address, uint64_t bytes) {
  return address >= header.arenaOffset && address - header.arenaOffset <= header.arenaBytes &&
         bytes <= header.arenaBytes - (address - header.arenaOffset);
}

}  // namespace volley
