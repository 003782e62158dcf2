#include "poller.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "error.h"

namespace volley {
namespace {

constexpr size_t kEventsPerCall = 256;

/// Whether a socket that could not be received from just now may have something the next time.
bool MayGoOn(int error) { return error == EAGAIN || error == EINTR || error == ENOMEM || error == ENOBUFS; }

}  // namespace

Poller::Poller() : epoll_(epoll_create1(EPOLL_CLOEXEC)) {
  if (!epoll_) throw Error("ERR_VOLLEY_MEMORY", SystemMessage("epoll_create1", errno));
}

void Poller::Add(int descriptor, uint32_t index) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = static_cast<uint64_t>(index) << 32 | static_cast<uint32_t>(descriptor);
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event) == 0) return;
  const bool isScarce = errno == ENOMEM || errno == ENOSPC;
  throw Error(isScarce ? "ERR_VOLLEY_MEMORY" : "ERR_VOLLEY_USAGE", SystemMessage("epoll_ctl", errno));
}

void Poller::Remove(int descriptor) { epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, descriptor, nullptr); }

size_t Poller::Receive(uint8_t* buffer, size_t bytes, Received* out, size_t max) {
  epoll_event events[kEventsPerCall];
  const int ready = epoll_wait(epoll_.get(), events, static_cast<int>(std::min(max, kEventsPerCall)), 0);
  size_t count = 0;
  size_t at = 0;
  // The kernel tells first whom it has not told for longest: who has no turn now is not passed over the next time.
  for (int i = 0; i < ready && bytes - at >= kRoomBytesMin; i++) {
    const uint64_t name = events[i].data.u64;
    const ssize_t got = recv(static_cast<int>(name & UINT32_MAX), buffer + at, bytes - at, MSG_DONTWAIT);
    if (got < 0 && MayGoOn(errno)) continue;
    const auto index = static_cast<uint32_t>(name >> 32);
    if (got < 0) {
      out[count++] = {index, 1, 0};
      continue;
    }
    const size_t end = at + static_cast<size_t>(got);
    out[count++] = {index, static_cast<uint32_t>(at), static_cast<uint32_t>(end)};
    at = end;
  }
  return count;
}

}  // namespace volley
