// What a node answers to the reader over tcp: any bytes, in any pieces. The system calls of the endpoint are replaced
// (ld --wrap) by ones that hand out the input; ASan watches destinations of exactly a chunk's size.
#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "../../../native/transport/tcp.h"
#include "input.h"

namespace {

constexpr uint32_t kReads = 6;
/// So many that all is asked for before anything is answered: an answer that comes before its question is refused, and
/// when that is depends on the pieces.
constexpr uint32_t kWindow = 64;
constexpr size_t kPollsMax = 100'000;
const char kKeyPrefix[] = "k:";

/// The peer of the endpoint under test.
struct Peer {
  const uint8_t* bytes;
  size_t left;
  size_t pieceMax;
} peer;

}  // namespace

extern "C" {
int __wrap_socket(int, int, int) { return open("/dev/null", O_RDWR | O_CLOEXEC); }
int __wrap_connect(int, const sockaddr*, socklen_t) { return 0; }
int __wrap_setsockopt(int, int, int, const void*, socklen_t) { return 0; }
int __wrap_getsockopt(int, int, int, void* value, socklen_t* bytes) {
  std::memset(value, 0, *bytes);
  return 0;
}
int __wrap_poll(pollfd* waits, nfds_t count, int) {
  for (nfds_t i = 0; i < count; i++) waits[i].revents = waits[i].events;
  return static_cast<int>(count);
}
ssize_t __wrap_send(int, const void*, size_t bytes, int) { return static_cast<ssize_t>(bytes); }
ssize_t __wrap_readv(int, const iovec* parts, int count) {
  size_t given = 0;
  size_t piece = std::min(peer.left, peer.pieceMax);
  for (int i = 0; i < count && piece > 0; i++) {
    const size_t bytes = std::min(piece, parts[i].iov_len);
    std::memcpy(parts[i].iov_base, peer.bytes, bytes);
    peer.bytes += bytes;
    peer.left -= bytes;
    piece -= bytes;
    given += bytes;
  }
  return static_cast<ssize_t>(given);
}
}

namespace volley {
namespace {

/// How a run ended: per read its status and, when it was answered, what landed.
struct Outcome {
  std::vector<int> statuses;
  std::vector<std::string> values;
  bool operator==(const Outcome&) const = default;
};

Outcome Run(const uint8_t* bytes, size_t size, size_t pieceMax, bool greets) {
  peer = {bytes, size, pieceMax};
  std::vector<std::unique_ptr<uint8_t[]>> destinations;
  uint8_t digests[kReads][ChunkKey::kDigestBytes] = {};
  TcpEndpoint endpoint("127.0.0.1", 1, kKeyPrefix, kWindow, greets ? "set auth 0 0 3\r\na b\r\n" : "");
  for (uint32_t i = 0; i < kReads; i++) {
    const uint32_t length = i * i;  // from an empty value to one of several pieces
    digests[i][0] = static_cast<uint8_t>(i);
    destinations.push_back(std::make_unique<uint8_t[]>(length));
    endpoint.Post({i, length, destinations[i].get(), digests[i], 0, false});
    if (i == kReads / 2) endpoint.Flush();
  }
  endpoint.Flush();

  Outcome outcome{std::vector<int>(kReads, -1), std::vector<std::string>(kReads)};
  uint32_t done = 0;
  for (size_t polls = 0; done < kReads; polls++) {
    Expect(polls < kPollsMax, "an endpoint comes to an end");
    Completion completions[2];
    const size_t count = endpoint.Poll(completions, 2);
    for (size_t i = 0; i < count; i++, done++) {
      const auto [id, status] = completions[i];
      Expect(id < kReads && outcome.statuses[id] == -1, "each read completes once");
      outcome.statuses[id] = static_cast<int>(status);
      if (status == ReadStatus::kOk) {
        outcome.values[id].assign(reinterpret_cast<char*>(destinations[id].get()), id * id);
      }
    }
    endpoint.Flush();
  }
  endpoint.Close();
  return outcome;
}

/// A value that was reported as read must stand in the answers, behind its own header.
void CheckValues(const Outcome& outcome, std::string_view answers) {
  for (uint32_t id = 0; id < kReads; id++) {
    if (outcome.statuses[id] != static_cast<int>(ReadStatus::kOk)) continue;
    uint8_t digest[ChunkKey::kDigestBytes] = {static_cast<uint8_t>(id)};
    const std::string head = "VALUE " + std::string(ChunkKey(kKeyPrefix).For(digest)) + " ";
    const std::string tail = "\r\n" + outcome.values[id] + "\r\n";
    bool stands = false;
    for (size_t from = answers.find(head); from != std::string_view::npos; from = answers.find(head, from + 1)) {
      const size_t end = answers.find("\r\n", from);
      stands |= end != std::string_view::npos && answers.substr(end).starts_with(tail);
    }
    Expect(stands, "a value is what stood behind its header");
  }
}

}  // namespace
}  // namespace volley

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace volley;
  Input input(bytes, size);
  const auto mode = input.Take<uint8_t>();
  const bool greets = mode & 1;
  const size_t pieceMax = 1 + mode / 2 % 40;
  const Outcome whole = Run(input.rest(), input.left(), input.left() + 1, greets);
  const Outcome pieces = Run(input.rest(), input.left(), pieceMax, greets);
  Expect(whole == pieces, "answers in pieces are read as whole ones");
  CheckValues(whole, {reinterpret_cast<const char*>(input.rest()), input.left()});
  return 0;
}
