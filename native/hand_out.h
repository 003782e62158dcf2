#pragma once

#include <cstdint>
#include <string>
#include <thread>

#include "unique_fd.h"

namespace volley {

/// Hands a region's descriptor to whoever connects to a unix socket (mode 0600), from a thread of its own, as long as it
/// lives.
class HandOutSocket {
 public:
  /// `descriptor` must be open read-only and outlive this. Throws Error.
  HandOutSocket(const std::string& path, int descriptor, uint64_t epoch);
  ~HandOutSocket();
  HandOutSocket(const HandOutSocket&) = delete;
  HandOutSocket& operator=(const HandOutSocket&) = delete;

 private:
  void Serve(int listener) const;
  void SendTo(int peer) const;

  std::string path_;
  int descriptor_;
  uint64_t epoch_;
  UniqueFd stop_;
  std::thread thread_;
};

}  // namespace volley
