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
/// The header is checked once and copied: what the node writes there later changes nothing, but for the count of buckets in
/// use, which is checked each time. The memory can't shrink under the reader, or only by who may do what he likes to the
/// reader anyway: it is sealed, or a file that belongs to root or the reader's own user. Entries stay hostile: whoever follows one checks it with Contains().
class LocalRegion {
 public:
  /// Connects to a node's unix socket and maps what it hands out. Throws Error: ERR_VOLLEY_NODE_DOWN (nobody there),
  /// ERR_VOLLEY_TIMEOUT, ERR_VOLLEY_LAYOUT (garbage, unknown version, neither sealed nor trusted).
  static std::shared_ptr<LocalRegion> Open(const std::string& path, int timeoutMs);

  const RegionHeader& header() const { return header_; }
  /// The table as large as it is now.
  Hashtable table() const;
  const uint8_t* data() const { return mapping_.data(); }
  /// Whether a value lies wholly inside the arena.
  bool Contains(uint64_t address, uint64_t bytes) const { return InArena(header_, address, bytes); }

 private:
  LocalRegion(int fd, const std::string& path);

  RegionHeader header_{};
  Mapping mapping_;
};

}  // namespace volley
