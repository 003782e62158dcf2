#pragma once

#include <cstdint>

#include "layout.h"

namespace volley {

/// What is wrong with a header that somebody else wrote, or null. `bytes` is how large the region really is; 0 when that
/// cannot be known here.
const char* FaultOf(const RegionHeader& header, uint64_t bytes);

enum class RegionRole { kReader, kOwner };
/// The same, and what of its features keeps one who has this role from going on.
const char* FaultOf(const RegionHead& head, uint64_t bytes, RegionRole role);

/// Makes a header's feature block, without features, and its checksums.
void Seal(RegionHead& head);

/// Whether a value lies wholly inside the arena of a region whose header was found to be right.
inline bool InArena(const RegionHeader& header, uint64_t address, uint64_t bytes) {
  return address >= header.arenaOffset && address - header.arenaOffset <= header.arenaBytes &&
         bytes <= header.arenaBytes - (address - header.arenaOffset);
}

}  // namespace volley
