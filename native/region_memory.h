#pragma once

#include <cstdint>
#include <string>

#include "mapping.h"
#include "unique_fd.h"

namespace volley {

/// The memory behind a region: a sealed memfd, or a file in memory (tmpfs, hugetlbfs) that outlives the node.
class RegionMemory {
 public:
  RegionMemory() = default;
  /// A sealed memfd; empty when it is not to be had (errno tells why).
  static RegionMemory Anonymous(uint64_t bytes, bool hugepages);
  /// Opens the file, or makes it, for this process alone. Not mapped yet. Throws Error: ERR_VOLLEY_FILE.
  static RegionMemory Open(const std::string& path);

  /// Maps `bytes` of an opened file. Throws Error.
  void Map(uint64_t bytes);
  /// Sets an opened file's length. Throws Error.
  void Resize(uint64_t bytes);
  /// Makes a range of a file's memory present, so that a full file system is an error and not a SIGBUS. False when there
  /// is not enough. Does nothing with a memfd.
  bool Reserve(uint64_t offset, uint64_t bytes) const;
  /// Fills a range with zeros, giving its memory back where possible; pages at its ends that are in the range in part only
  /// have to be present. False when there is no memory.
  bool Zero(uint64_t offset, uint64_t bytes) const;

  /// Lets other processes have the file; the mapping stays.
  void Unlock();

  uint8_t* data() const { return mapping_.data(); }
  uint64_t bytes() const { return mapping_.bytes(); }
  bool isFile() const { return !path_.empty(); }
  const std::string& path() const { return path_; }
  uint64_t fileBytes() const;
  /// Page size of the backing memory.
  uint64_t pageBytes() const { return pageBytes_; }
  /// Open read-only, to be handed out.
  int readOnlyFd() const { return readOnlyFd_.get(); }
  explicit operator bool() const { return static_cast<bool>(fd_); }

 private:
  std::string path_;
  UniqueFd fd_;
  UniqueFd readOnlyFd_;
  Mapping mapping_;
  uint64_t pageBytes_ = 0;
};

}  // namespace volley
