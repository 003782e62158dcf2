#include "hand_out.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "error.h"
#include "layout.h"
#include "unix_address.h"

namespace volley {
namespace {

/// Clients of one host that may come at the same moment; the kernel caps it at net.core.somaxconn.
constexpr int kBacklog = 1024;

}  // namespace

HandOutSocket::HandOutSocket(const std::string& path, int descriptor, uint64_t epoch)
    : path_(path), descriptor_(descriptor), epoch_(epoch) {
  sockaddr_un address;
  if (!MakeUnixAddress(path, &address)) {
    throw Error("ERR_VOLLEY_USAGE", "the socket path " + path + " must have 1 to 107 bytes; give another with --local");
  }
  UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  unlink(path.c_str());
  // Nobody can connect between bind and listen, so the mode is right before the first reader comes.
  if (!listener || bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      chmod(path.c_str(), 0600) != 0 || listen(listener.get(), kBacklog) != 0) {
    throw Error("ERR_VOLLEY_FILE", SystemMessage("cannot listen on " + path, errno) + "; give another with --local");
  }
  stop_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
  if (!stop_) throw Error("ERR_VOLLEY_FILE", SystemMessage("eventfd", errno));
  thread_ = std::thread([this, listener = std::move(listener)] { Serve(listener.get()); });
}

HandOutSocket::~HandOutSocket() {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stop_.get(), &one, sizeof one);
  thread_.join();
  unlink(path_.c_str());
}

void HandOutSocket::Serve(int listener) const {
  for (;;) {
    pollfd waits[2] = {{listener, POLLIN, 0}, {stop_.get(), POLLIN, 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) return;
    if (waits[1].revents != 0) return;
    if ((waits[0].revents & POLLIN) == 0) continue;
    const UniqueFd peer(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (peer) {
      SendTo(peer.get());
    } else if (errno == EMFILE || errno == ENFILE) {
      // Out of descriptors: the peer stays in the backlog; don't spin on it.
      poll(&waits[1], 1, 100);
    }
  }
}

void HandOutSocket::SendTo(int peer) const {
  HandOut message{};
  std::memcpy(message.magic, kHandOutMagic, sizeof kHandOutMagic);
  message.epoch = epoch_;
  iovec bytes{&message, sizeof message};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr envelope{};
  envelope.msg_iov = &bytes;
  envelope.msg_iovlen = 1;
  envelope.msg_control = control;
  envelope.msg_controllen = sizeof control;
  cmsghdr* attached = CMSG_FIRSTHDR(&envelope);
  attached->cmsg_level = SOL_SOCKET;
  attached->cmsg_type = SCM_RIGHTS;
  attached->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(attached), &descriptor_, sizeof descriptor_);
  // A peer that is gone already is its own loss.
  [[maybe_unused]] const ssize_t sent = sendmsg(peer, &envelope, MSG_NOSIGNAL);
}

}  // namespace volley
