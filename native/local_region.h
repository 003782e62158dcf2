#pragma once

#include <memory>
#include <string>

#include "hashtable.h"
#include "layout.h"
#include "mapping.h"
#include "region_header.h"

namespace volley {

/// Another process's region on this host, mapped read-only.
///
/// The header is checked once and copied: what the node writes there later changes nothing. The seals are required, so the
/// memory can't shrink under the reader. Entries stay hostile: whoever follows one checks it with Contains().
class LocalRegion {
 public:
  /// Connects to a node's unix socket and maps what it hands out. Throws Error: ERR_VOLLEY_NODE_DOWN (nobody there),
  /// ERR_VOLLEY_TIMEOUT, ERR_VOLLEY_LAYOUT (garbage, unknown version, not sealed).
  static std::shared_ptr<LocalRegion> Open(const std::string& path, int timeoutMs);

  const RegionHeader& header() const { return header_; }
  const Hashtable& table() const { return table_; }
  const uint8_t* data() const { return mapping_.data(); }
  /// Whether a value lies wholly inside the arena.
  bool Contains(uint64_t address, uint64_t bytes) const { return InArena(header_, address, bytes); }

 private:
  LocalRegion(int fd, const std::string& path);

  RegionHeader header_{};
  Mapping mapping_;
  Hashtable table_;
};

}  // namespace volley
