#include "local_region.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <atomic>
#include <cerrno>

#include "clock.h"
#include "error.h"
#include "region_header.h"
#include "unique_fd.h"
#include "unix_address.h"

namespace volley {
namespace {

/// How long a client waits before it tries again where so many wait already that the kernel takes no more, in milliseconds.
constexpr int kRetryMs = 5;

/// Connects by `endNs`, of NowNs().
UniqueFd Connect(const std::string& path, uint64_t endNs) {
  sockaddr_un address;
  if (!MakeUnixAddress(path, &address)) {
    throw Error("ERR_VOLLEY_NODE_DOWN", "the socket path " + path + " must have 1 to 107 bytes");
  }
  UniqueFd peer(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  while (!peer || connect(peer.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    // A full backlog is answered at once with EAGAIN (unix(7)); a unix socket has no way to wait for it.
    if (!peer || errno != EAGAIN) throw Error("ERR_VOLLEY_NODE_DOWN", SystemMessage("cannot connect to " + path, errno));
    if (NowNs() >= endNs) throw Error("ERR_VOLLEY_TIMEOUT", "too many clients wait at " + path + " already");
    poll(nullptr, 0, kRetryMs);
  }
  return peer;
}

/// Takes the greeting and its descriptor; an invalid descriptor when the peer sent something else.
UniqueFd Receive(int peer, HandOut* message) {
  iovec bytes{message, sizeof *message};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr envelope{};
  envelope.msg_iov = &bytes;
  envelope.msg_iovlen = 1;
  envelope.msg_control = control;
  envelope.msg_controllen = sizeof control;
  const ssize_t received = recvmsg(peer, &envelope, MSG_CMSG_CLOEXEC);
  const cmsghdr* attached = received < 0 ? nullptr : CMSG_FIRSTHDR(&envelope);
  UniqueFd fd;
  if (attached != nullptr && attached->cmsg_level == SOL_SOCKET && attached->cmsg_type == SCM_RIGHTS &&
      attached->cmsg_len == CMSG_LEN(sizeof(int))) {
    int descriptor = -1;
    std::memcpy(&descriptor, CMSG_DATA(attached), sizeof descriptor);
    fd = UniqueFd(descriptor);
  }
  const bool greeted = received == sizeof *message && std::memcmp(message->magic, kHandOutMagic, 8) == 0;
  return greeted ? std::move(fd) : UniqueFd();
}

/// Whether nobody who is not trusted anyway can shrink or write what a descriptor refers to.
bool IsSafe(int fd, const struct stat& status) {
  const int seals = fcntl(fd, F_GET_SEALS);
  if (seals >= 0 && (seals & F_SEAL_SHRINK) != 0 && (seals & (F_SEAL_FUTURE_WRITE | F_SEAL_WRITE)) != 0) return true;
  // The file of a node that is to find it again (--region): such files cannot be sealed.
  const bool isFile = S_ISREG(status.st_mode) && status.st_nlink > 0 && (status.st_mode & 022) == 0;
  const bool isReadOnly = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY;
  return isFile && isReadOnly && (status.st_uid == 0 || status.st_uid == geteuid());
}

}  // namespace

std::shared_ptr<LocalRegion> LocalRegion::Open(const std::string& path, int timeoutMs) {
  const uint64_t endNs = NowNs() + static_cast<uint64_t>(timeoutMs) * 1'000'000;
  const UniqueFd peer = Connect(path, endNs);
  const uint64_t nowNs = NowNs();
  const int leftMs = nowNs < endNs ? static_cast<int>((endNs - nowNs) / 1'000'000) + 1 : 0;
  pollfd wait{peer.get(), POLLIN, 0};
  if (poll(&wait, 1, leftMs) <= 0) {
    throw Error("ERR_VOLLEY_TIMEOUT", "the node at " + path + " did not hand out its region within " +
                                          std::to_string(timeoutMs) + " ms");
  }
  HandOut message{};
  const UniqueFd fd = Receive(peer.get(), &message);
  if (!fd) throw Error("ERR_VOLLEY_LAYOUT", "what listens on " + path + " hands out no region");
  std::shared_ptr<LocalRegion> region(new LocalRegion(fd.get(), path));
  if (region->header_.epoch != message.epoch) {
    throw Error("ERR_VOLLEY_LAYOUT", "the region handed out at " + path + " is of another epoch than announced");
  }
  return region;
}

LocalRegion::LocalRegion(int fd, const std::string& path) {
  const auto refuse = [&](const std::string& why) {
    throw Error("ERR_VOLLEY_LAYOUT", "the region handed out at " + path + " cannot be used: " + why);
  };
  struct stat status {};
  if (fstat(fd, &status) != 0 || status.st_size < static_cast<off_t>(kRegionHeaderBytes)) refuse("it is too short");
  if (!IsSafe(fd, status)) refuse("it is not sealed, and no file of root or this user");
  const auto bytes = static_cast<uint64_t>(status.st_size);
  mapping_ = Mapping(fd, bytes, PROT_READ);
  if (!mapping_) refuse(SystemMessage("mmap", errno));
  madvise(mapping_.data(), mapping_.bytes(), MADV_DONTDUMP);
  RegionHead head;
  std::memcpy(&head, mapping_.data(), sizeof head);
  if (const char* fault = FaultOf(head, bytes, RegionRole::kReader)) refuse(fault);
  header_ = head.header;
}

Hashtable LocalRegion::table() const {
  uint8_t* start = mapping_.data();
  auto& told = reinterpret_cast<RegionHeader*>(start)->bucketCount;
  const uint64_t count = std::atomic_ref<uint64_t>(told).load(std::memory_order_acquire);
  const bool isSound = count >= 1 && count <= header_.bucketCapacity;
  return {reinterpret_cast<Bucket*>(start + header_.tableOffset), isSound ? count : header_.bucketCount};
}

}  // namespace volley
