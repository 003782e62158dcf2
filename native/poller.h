#pragma once

#include <cstddef>
#include <cstdint>

#include "unique_fd.h"

namespace volley {

/// Receives from many sockets: in one go from all that have something, into one buffer.
class Poller {
 public:
  /// What came from one socket: buffer[start, end). Nothing when its client will send no more; start behind end when the
  /// connection is broken.
  /// JavaScript reads these as three elements of a Uint32Array each.
  struct Received {
    uint32_t index;
    uint32_t start;
    uint32_t end;
  };

  /// A socket is received from only while so many bytes of the buffer are free; otherwise it has its turn the next time.
  static constexpr size_t kRoomBytesMin = 16 << 10;

  /// Throws Error ERR_VOLLEY_MEMORY when the system has no descriptor left.
  Poller();

  /// Can be read while a socket has something.
  int descriptor() const { return epoll_.get(); }

  /// Watches a socket from now on, by the name `index`. Whoever closes it removes it first where its connection has other
  /// descriptors, too. Throws Error ERR_VOLLEY_MEMORY, ERR_VOLLEY_USAGE when it is watched already or is no socket.
  void Add(int descriptor, uint32_t index);

  /// Watches a socket no longer; one that isn't watched is left alone.
  void Remove(int descriptor);

  /// Receives what there is without waiting. Returns how many of `out` it has filled, at most `max`.
  size_t Receive(uint8_t* buffer, size_t bytes, Received* out, size_t max);

 private:
  UniqueFd epoll_;
};

}  // namespace volley
