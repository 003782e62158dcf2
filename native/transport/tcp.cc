#include "tcp.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <utility>

#include "../error.h"

namespace volley {
namespace {

constexpr uint32_t kKeysPerGet = 64;
constexpr size_t kLineBytesMax = 512;
constexpr std::string_view kEndOfLine = "\r\n";

// By getaddrinfo, because inet_pton knows no zones (fe80::1%eth0). With AI_NUMERICHOST it asks nobody.
bool MakeAddress(const std::string& host, uint16_t port, sockaddr_storage* out, socklen_t* bytes) {
  addrinfo hints = {};
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found) != 0) return false;
  *out = {};
  std::memcpy(out, found->ai_addr, found->ai_addrlen);
  *bytes = found->ai_addrlen;
  freeaddrinfo(found);
  return true;
}

bool TakeNumber(std::string_view* text, uint32_t* out) {
  const auto [end, failed] = std::from_chars(text->data(), text->data() + text->size(), *out);
  if (failed != std::errc()) return false;
  text->remove_prefix(static_cast<size_t>(end - text->data()));
  return true;
}

bool TakePrefix(std::string_view* text, std::string_view prefix) {
  if (!text->starts_with(prefix)) return false;
  text->remove_prefix(prefix.size());
  return true;
}

}  // namespace

TcpEndpoint::TcpEndpoint(std::string host, uint16_t port, std::string_view keyPrefix, uint32_t window,
                         std::string greeting)
    : host_(std::move(host)), port_(port), window_(window), key_(keyPrefix), greeting_(std::move(greeting)) {}

void TcpEndpoint::Post(const ReadRequest& request) {
  if (state_ == State::kBroken) {
    done_.push_back({request.id, ReadStatus::kConnection});
    return;
  }
  posted_.push_back(request);
}

void TcpEndpoint::Flush() {
  if (state_ == State::kIdle && !posted_.empty()) Connect();
  // Small gets would cost the node a system call each, so keys are asked for in batches, the rest when the pipe runs dry.
  size_t at = 0;
  while (posted_.size() - at >= kKeysPerGet || (at < posted_.size() && asked_.size() < std::max(window_ / 2, 1u))) {
    const size_t first = at;
    const size_t end = std::min(posted_.size(), at + kKeysPerGet);
    output_ += "get";
    for (; at < end; at++) {
      output_ += ' ';
      output_ += key_.For(posted_[at].digest);
      asked_.push_back(posted_[at]);
    }
    batches_.push_back(end - first);
    output_ += kEndOfLine;
  }
  posted_.erase(posted_.begin(), posted_.begin() + static_cast<std::ptrdiff_t>(at));
  if (state_ == State::kOpen) Send();
}

void TcpEndpoint::Connect() {
  sockaddr_storage address;
  socklen_t bytes = 0;
  if (!MakeAddress(host_, port_, &address, &bytes)) {
    return Break(ReadStatus::kConnection, "not an IP address: " + host_);
  }
  fd_ = UniqueFd(socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!fd_) return Break(ReadStatus::kConnection, SystemMessage("socket", errno));
  const int on = 1;
  setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  state_ = State::kConnecting;
  if (!greeting_.empty()) {
    output_ = greeting_;
    expect_ = Expect::kGreeting;
  }
  if (connect(fd_.get(), reinterpret_cast<sockaddr*>(&address), bytes) != 0 && errno != EINPROGRESS) {
    Break(ReadStatus::kConnection, SystemMessage("connect", errno));
  }
}

bool TcpEndpoint::FinishConnecting() {
  pollfd wait{fd_.get(), POLLOUT, 0};
  if (poll(&wait, 1, 0) <= 0) return false;
  int failed = 0;
  socklen_t bytes = sizeof failed;
  getsockopt(fd_.get(), SOL_SOCKET, SO_ERROR, &failed, &bytes);
  if (failed != 0) {
    Break(ReadStatus::kConnection, SystemMessage("connect", failed));
    return false;
  }
  state_ = State::kOpen;
  return true;
}

void TcpEndpoint::Send() {
  while (outputAt_ < output_.size()) {
    const ssize_t sent = send(fd_.get(), output_.data() + outputAt_, output_.size() - outputAt_, MSG_NOSIGNAL);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return;
      return Break(ReadStatus::kConnection, SystemMessage("send", errno));
    }
    outputAt_ += static_cast<size_t>(sent);
  }
  output_.clear();
  outputAt_ = 0;
}

size_t TcpEndpoint::Poll(Completion* out, size_t max) {
  if (state_ == State::kConnecting) FinishConnecting();
  if (state_ == State::kOpen) Send();
  if (state_ == State::kOpen && done_.empty()) Receive();
  const size_t count = std::min(max, done_.size());
  std::copy_n(done_.begin(), count, out);
  done_.erase(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(count));
  return count;
}

// One readv fills the rest of the current value and, behind it, the scratch with whatever follows, so that a 32 kB value
// costs about one system call and is written by the kernel once, in its final place.
void TcpEndpoint::Receive() {
  while (state_ == State::kOpen && done_.empty() && !batches_.empty()) {
    iovec parts[2];
    int count = 0;
    size_t wanted = 0;
    if (expect_ == Expect::kValue) {
      const ReadRequest& front = asked_.front();
      wanted = front.length - valueAt_;
      parts[count++] = {front.destination + valueAt_, wanted};
    }
    // What is left there is a piece of a line: move it to the front so that the rest has room.
    std::memmove(scratch_, scratch_ + scratchAt_, scratchEnd_ - scratchAt_);
    scratchEnd_ -= std::exchange(scratchAt_, 0);
    parts[count++] = {scratch_ + scratchEnd_, kScratchBytes - scratchEnd_};
    const ssize_t received = readv(fd_.get(), parts, count);
    if (received < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return;
      return Break(ReadStatus::kConnection, SystemMessage("read", errno));
    }
    if (received == 0) return Break(ReadStatus::kConnection, "the node closed the connection");
    receivedBytes_ += static_cast<size_t>(received);
    const size_t landed = std::min(wanted, static_cast<size_t>(received));
    valueAt_ += static_cast<uint32_t>(landed);
    scratchEnd_ += static_cast<size_t>(received) - landed;
    while (state_ == State::kOpen && Consume()) {
    }
  }
}

/// Takes one thing out of the scratch: a line, bytes of a value, a value's end. False when it must wait for more.
bool TcpEndpoint::Consume() {
  std::string_view rest(scratch_ + scratchAt_, scratchEnd_ - scratchAt_);
  if (expect_ == Expect::kValue) {
    const ReadRequest& front = asked_.front();
    const size_t bytes = std::min<size_t>(rest.size(), front.length - valueAt_);
    std::memcpy(front.destination + valueAt_, rest.data(), bytes);
    valueAt_ += static_cast<uint32_t>(bytes);
    scratchAt_ += bytes;
    if (valueAt_ < front.length) return false;
    expect_ = Expect::kValueEnd;
    return true;
  }
  if (expect_ == Expect::kValueEnd) {
    if (rest.size() < kEndOfLine.size()) return false;
    if (!rest.starts_with(kEndOfLine)) {
      Break(ReadStatus::kProtocol, "a value is longer than announced");
      return false;
    }
    scratchAt_ += kEndOfLine.size();
    expect_ = Expect::kLine;
    CompleteFront(ReadStatus::kOk);
    return true;
  }
  const size_t end = rest.find(kEndOfLine);
  if (end == std::string_view::npos) {
    if (rest.size() >= kLineBytesMax) Break(ReadStatus::kProtocol, "an answer's line is too long");
    return false;
  }
  scratchAt_ += end + kEndOfLine.size();
  const std::string_view line = rest.substr(0, end);
  return expect_ == Expect::kGreeting ? ConsumeGreeting(line) : ConsumeLine(line);
}

bool TcpEndpoint::ConsumeGreeting(std::string_view line) {
  if (line == "STORED") {
    expect_ = Expect::kLine;
    return true;
  }
  const bool refused = line.starts_with("CLIENT_ERROR ") || line.starts_with("SERVER_ERROR ");
  Break(ReadStatus::kProtocol, refused ? "the node refused the user and password"
                                       : "the node did not answer the greeting as a node with authentication does");
  return false;
}

bool TcpEndpoint::ConsumeLine(std::string_view line) {
  if (batches_.empty()) {
    Break(ReadStatus::kProtocol, "an answer came that was not asked for");
    return false;
  }
  if (line.starts_with("VALUE ")) return BeginValue(line);
  if (line == "END") {
    while (batches_.front() > 0) CompleteFront(ReadStatus::kMissing);
    batches_.pop_front();
    return true;
  }
  Break(ReadStatus::kProtocol, "the node answered: " + std::string(line.substr(0, 100)));
  return false;
}

bool TcpEndpoint::BeginValue(std::string_view line) {
  std::string_view text = line;
  TakePrefix(&text, "VALUE ");
  // Keys are answered in the order asked; those passed over are not there.
  size_t passed = 0;
  while (passed < batches_.front() && !text.starts_with(key_.For(asked_[passed].digest))) passed++;
  uint32_t flags = 0;
  uint32_t length = 0;
  if (passed == batches_.front() || !TakePrefix(&text, key_.For(asked_[passed].digest)) || !TakePrefix(&text, " ") ||
      !TakeNumber(&text, &flags) || !TakePrefix(&text, " ") || !TakeNumber(&text, &length) || !text.empty()) {
    Break(ReadStatus::kProtocol, "the node answered: " + std::string(line.substr(0, 100)));
    return false;
  }
  for (; passed > 0; passed--) CompleteFront(ReadStatus::kMissing);
  const uint32_t wanted = asked_.front().length;
  if (length != wanted) {
    // There is no place to put such a value, and skipping what a liar announces could take for ever.
    CompleteFront(ReadStatus::kLength);
    Break(ReadStatus::kConnection, "given up: a chunk of " + std::to_string(length) + " bytes stands where " +
                                       std::to_string(wanted) + " should be");
    return false;
  }
  expect_ = Expect::kValue;
  valueAt_ = 0;
  return true;
}

void TcpEndpoint::CompleteFront(ReadStatus status) {
  done_.push_back({asked_.front().id, status});
  asked_.pop_front();
  batches_.front()--;
}

void TcpEndpoint::Break(ReadStatus status, const std::string& why) {
  error_ = why;
  for (const ReadRequest& request : asked_) done_.push_back({request.id, status});
  for (const ReadRequest& request : posted_) done_.push_back({request.id, status});
  Close();
}

int TcpEndpoint::WaitDescriptor(short* events) const {
  const bool wantsToSend = state_ == State::kConnecting || outputAt_ < output_.size();
  *events = static_cast<short>(POLLIN | (wantsToSend ? POLLOUT : 0));
  return fd_.get();
}

// Received bytes land only inside our own readv, so once the descriptor is closed here nothing can be written late.
void TcpEndpoint::Close() {
  fd_.Reset();
  asked_.clear();
  posted_.clear();
  batches_.clear();
  state_ = State::kBroken;
}

}  // namespace volley
