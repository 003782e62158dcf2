#include "connection.h"

#include <sys/epoll.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <chrono>
#include <thread>

#include "../error.h"
#include "seal_sockets.h"

namespace volley {
namespace {

// The queue's length; the reader's own window is far below it.
constexpr size_t kCompletionsMax = 1024;
// What a living node needs at most for the reads of one endpoint.
constexpr std::chrono::milliseconds kDrainTime{500};
// How soon a read is tried again that the provider did not take.
constexpr long kRefusedNs = 1'000'000;

int WaitObject(fid* queue) {
  int descriptor = -1;
  return fi_control(queue, FI_GETWAIT, &descriptor) == 0 ? descriptor : -1;
}

}  // namespace

FabricConnection::FabricConnection(std::shared_ptr<FabricDomain> domain, const FabricInfo& info,
                                   const std::string& peer, const std::string& token)
    : domain_(std::move(domain)), info_(info) {
  if (!Open(peer, token)) return;
  const fi_tx_attr& limits = *info_->tx_attr;
  windowMax_ = static_cast<uint32_t>(std::min<size_t>(limits.size, kCompletionsMax));
  piecesMax_ = static_cast<uint32_t>(std::clamp<size_t>(std::min(limits.iov_limit, limits.rma_iov_limit), 1, kPiecesMax));
}

bool FabricConnection::Open(const std::string& peer, const std::string& token) {
  fi_eq_attr events{};
  events.wait_obj = FI_WAIT_FD;
  fi_cq_attr completions{};
  completions.format = FI_CQ_FORMAT_CONTEXT;
  completions.wait_obj = FI_WAIT_FD;
  completions.size = kCompletionsMax;
  const char* what = "cannot open an event queue";
  int failed = fi_eq_open(domain_->fabric(), &events, events_.Receive(), nullptr);
  const auto next = [&](const char* step, auto&& call) {
    if (failed != 0) return;
    what = step;
    failed = call();
  };
  next("cannot open a completion queue",
       [&] { return fi_cq_open(domain_->domain(), &completions, completions_.Receive(), nullptr); });
  next("cannot make an endpoint", [&] { return fi_endpoint(domain_->domain(), info_.get(), endpoint_.Receive(), nullptr); });
  next("cannot bind the event queue",
       [&] { return info_.connected() ? fi_ep_bind(endpoint_.get(), &events_->fid, 0) : 0; });
  next("cannot bind the completion queue",
       [&] { return fi_ep_bind(endpoint_.get(), &completions_->fid, FI_TRANSMIT | FI_RECV); });
  next("cannot open an address vector", [&] { return info_.connected() ? 0 : OpenAddresses(); });
  next("cannot enable the endpoint", [&] { return fi_enable(endpoint_.get()); });
  next("cannot wait on the queues", [&] { return OpenWait() ? 0 : -FI_ENOSYS; });
  next("cannot connect", [&] { return Reach(peer, token); });
  SealSockets();
  if (failed != 0) Break(FabricLibrary::Load().Message(what, failed));
  return failed == 0;
}

int FabricConnection::OpenAddresses() {
  fi_av_attr attributes{};
  attributes.type = FI_AV_TABLE;
  attributes.count = 1;
  const int failed = fi_av_open(domain_->domain(), &attributes, addresses_.Receive(), nullptr);
  return failed != 0 ? failed : fi_ep_bind(endpoint_.get(), &addresses_->fid, 0);
}

int FabricConnection::Reach(const std::string& peer, const std::string& token) {
  if (info_.connected()) return fi_connect(endpoint_.get(), info_->dest_addr, token.data(), token.size());
  state_ = State::kOpen;
  return fi_av_insert(addresses_.get(), peer.data(), 1, &peer_, 0, nullptr) == 1 ? 0 : -FI_EADDRNOTAVAIL;
}

bool FabricConnection::OpenWait() {
  wait_ = UniqueFd(epoll_create1(EPOLL_CLOEXEC));
  soon_ = UniqueFd(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  for (const int descriptor : {WaitObject(&events_->fid), WaitObject(&completions_->fid), soon_.get()}) {
    epoll_event event{};
    event.events = EPOLLIN;
    if (descriptor < 0 || epoll_ctl(wait_.get(), EPOLL_CTL_ADD, descriptor, &event) != 0) return false;
  }
  return true;
}

FabricConnection::State FabricConnection::Advance() {
  if (state_ == State::kBroken) return state_;
  fi_eq_cm_entry entry{};
  uint32_t event = 0;
  const ssize_t got = fi_eq_read(events_.get(), &event, &entry, sizeof entry, 0);
  if (got == -FI_EAVAIL) {
    fi_eq_err_entry error{};
    fi_eq_readerr(events_.get(), &error, 0);
    Break(FabricLibrary::Load().Message(state_ == State::kConnecting ? "cannot connect" : "the connection failed", error.err));
  } else if (got > 0 && event == FI_CONNECTED) {
    state_ = State::kOpen;
  } else if (got > 0 && event == FI_SHUTDOWN) {
    // Verbs gives no completion for reads in flight when the peer dies; this event is how one learns of it.
    Break("the node closed the connection");
  }
  return state_;
}

bool FabricConnection::Read(const Piece* pieces, uint32_t count, void* descriptor, uint64_t key, void* context) {
  // Callers post several reads in a row: an earlier one may have broken the connection.
  if (state_ != State::kOpen) return false;
  iovec to[kPiecesMax];
  fi_rma_iov from[kPiecesMax];
  void* descriptors[kPiecesMax];
  for (uint32_t i = 0; i < count; i++) {
    to[i] = {pieces[i].to, pieces[i].bytes};
    from[i] = {pieces[i].from, pieces[i].bytes, key};
    descriptors[i] = descriptor;
  }
  const fi_msg_rma read{to, descriptors, count, peer_, from, count, context, 0};
  const ssize_t failed = fi_readmsg(endpoint_.get(), &read, FI_COMPLETION);
  // Endpoints for datagrams open their sockets when they are first used.
  if (addresses_ && inFlight_ == 0) SealSockets();
  if (refused_ || failed == -FI_EAGAIN) WakeSoon(failed == -FI_EAGAIN);
  if (failed == 0) inFlight_++;
  if (failed == 0) return true;
  if (failed != -FI_EAGAIN) Break(FabricLibrary::Load().Message("cannot post a read", failed));
  return false;
}

/// No completion need come that would wake who waits for room in the queue.
void FabricConnection::WakeSoon(bool soon) {
  refused_ = soon;
  const itimerspec time{{}, {0, soon ? kRefusedNs : 0}};
  timerfd_settime(soon_.get(), 0, &time, nullptr);
}

size_t FabricConnection::Poll(Done* out, size_t max) {
  if (state_ != State::kOpen) return 0;
  fi_cq_entry entries[64];
  const ssize_t got = fi_cq_read(completions_.get(), entries, std::min(max, std::size(entries)));
  if (got > 0) {
    for (ssize_t i = 0; i < got; i++) out[i] = {entries[i].op_context, true};
    inFlight_ -= static_cast<uint32_t>(got);
    return static_cast<size_t>(got);
  }
  if (got == -FI_EAVAIL && max > 0) {
    fi_cq_err_entry error{};
    if (fi_cq_readerr(completions_.get(), &error, 0) < 0) return 0;
    out[0] = {error.op_context, false};
    inFlight_--;
    error_ = FabricLibrary::Load().Message("a read failed", error.err);
    return 1;
  }
  if (got < 0 && got != -FI_EAGAIN) {
    state_ = State::kBroken;  // the queue tells no more which reads ended, so that Close() has nothing to wait for
    Break(FabricLibrary::Load().Message("cannot look for completions", got));
  }
  return 0;
}

int FabricConnection::WaitDescriptor() const {
  // Layered providers go on only while somebody looks at their queues.
  if (addresses_ || state_ == State::kBroken) return -1;
  fid* queues[] = {&events_->fid, &completions_->fid};
  return fi_trywait(domain_->fabric(), queues, 2) == 0 ? wait_.get() : -1;
}

void FabricConnection::Break(const std::string& why) {
  if (error_.empty()) error_ = why;
  Close();
}

/// Waits for reads in flight, whose node may well be alive.
void FabricConnection::Drain() {
  const auto deadline = std::chrono::steady_clock::now() + kDrainTime;
  Done done[64];
  while (state_ == State::kOpen && inFlight_ > 0 && std::chrono::steady_clock::now() < deadline) {
    if (Poll(done, std::size(done)) == 0) std::this_thread::yield();
  }
}

void FabricConnection::Close() {
  // libfabric 1.17's ofi_rxm was seen to crash otherwise.
  if (addresses_) Drain();
  state_ = State::kBroken;
  if (endpoint_ && !addresses_) fi_shutdown(endpoint_.get(), 0);
  endpoint_.Reset();
  completions_.Reset();
  addresses_.Reset();
  events_.Reset();
  soon_.Reset();
  wait_.Reset();
}

}  // namespace volley
