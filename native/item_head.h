#pragma once

#include <cstring>

#include "hash.h"
#include "layout.h"

namespace volley {

/// The checksum of what a slot tells of its item beside the value: all of the header that never changes, and the text.
inline uint64_t HeadHash(const SlotHeader& header, const uint8_t* text) {
  const uint64_t told[] = {header.xxh3,
                           uint64_t{header.valueBytes} << 32 | header.flags,
                           uint64_t{header.valueOffset} << 32 | uint64_t{header.textBytes} << 16 | header.keyBytes,
                           Hash64(text, header.textBytes)};
  return Hash64(told, sizeof told);
}

}  // namespace volley
