#include "listener.h"

#include <netinet/in.h>
#include <sys/random.h>
#include <sys/socket.h>

#include <algorithm>

#include "../error.h"

namespace volley {
namespace {

constexpr int kEventWaitMs = 200;  // how long stopping may take
constexpr size_t kConnectBytesMax = 256;  // what a client may send along when it connects

uint16_t PortOf(const sockaddr_storage& address) {
  return ntohs(address.ss_family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(address).sin6_port
                                             : reinterpret_cast<const sockaddr_in&>(address).sin_port);
}

FabricListener::Token RandomToken() {
  FabricListener::Token token;
  if (getrandom(token.data(), token.size(), 0) != static_cast<ssize_t>(token.size())) {
    throw Error("ERR_VOLLEY_FABRIC", "the system gives no random bytes for the fabric's token");
  }
  return token;
}

void Check(long failed, const char* what) {
  if (failed < 0) throw Error("ERR_VOLLEY_FABRIC", FabricLibrary::Load().Message(what, failed));
}

}  // namespace

FabricListener::FabricListener(const uint8_t* data, size_t bytes, const Options& options)
    : info_(FabricInfo::Query(options.query)),
      token_(RandomToken()),
      connectionsMax_(options.connectionsMax),
      placeHeld_(options.placeHeldMs),
      domain_(FabricDomain::Open(info_)) {
  registration_ = domain_->Register(data, bytes, FI_REMOTE_READ);
  base_ = info_.virtualAddresses() ? reinterpret_cast<uint64_t>(data) : 0;
  if (!info_.connected()) {
    OpenDatagrams();
    thread_ = std::thread([this] { DriveProgress(); });
    return;
  }
  Listen();
  thread_ = std::thread([this] { Serve(); });
}

void FabricListener::Listen() {
  fi_eq_attr attributes{};
  attributes.wait_obj = FI_WAIT_UNSPEC;
  Check(fi_eq_open(domain_->fabric(), &attributes, events_.Receive(), nullptr), "cannot open an event queue");
  Check(fi_passive_ep(domain_->fabric(), info_.get(), passive_.Receive(), nullptr), "cannot make a listening endpoint");
  Check(fi_pep_bind(passive_.get(), &events_->fid, 0), "cannot bind the event queue");
  Check(fi_listen(passive_.get()), "cannot listen on the fabric");
  sockaddr_storage address{};
  size_t bytes = sizeof address;
  Check(fi_getname(&passive_->fid, &address, &bytes), "cannot tell the fabric address");
  port_ = PortOf(address);
}

/// One endpoint answers all clients.
void FabricListener::OpenDatagrams() {
  fi_cq_attr completions{};
  completions.format = FI_CQ_FORMAT_CONTEXT;
  completions.wait_obj = FI_WAIT_UNSPEC;
  fi_av_attr addresses{};
  addresses.type = FI_AV_TABLE;
  fid_domain* domain = domain_->domain();
  Check(fi_cq_open(domain, &completions, datagrams_.completions.Receive(), nullptr), "cannot open a completion queue");
  Check(fi_av_open(domain, &addresses, addresses_.Receive(), nullptr), "cannot open an address vector");
  Check(fi_endpoint(domain, info_.get(), datagrams_.endpoint.Receive(), nullptr), "cannot make an endpoint");
  fid_ep* endpoint = datagrams_.endpoint.get();
  Check(fi_ep_bind(endpoint, &datagrams_.completions->fid, FI_TRANSMIT | FI_RECV), "cannot bind the completion queue");
  Check(fi_ep_bind(endpoint, &addresses_->fid, 0), "cannot bind the address vector");
  Check(fi_enable(endpoint), "cannot enable the endpoint");
  address_.resize(256);
  size_t bytes = address_.size();
  Check(fi_getname(&endpoint->fid, address_.data(), &bytes), "cannot tell the fabric address");
  address_.resize(bytes);
  if (info_->addr_format == FI_SOCKADDR_IN || info_->addr_format == FI_SOCKADDR_IN6) {
    port_ = PortOf(*reinterpret_cast<const sockaddr_storage*>(address_.data()));
  }
}

FabricListener::~FabricListener() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

/// Layered providers (ofi_rxm) serve reads only while somebody looks at the queue; those that don't need it just wait.
void FabricListener::DriveProgress() {
  while (!stopping_) {
    fi_cq_entry entry{};
    const ssize_t got = fi_cq_sread(datagrams_.completions.get(), &entry, 1, nullptr, kEventWaitMs);
    if (got != -FI_EAVAIL) continue;
    fi_cq_err_entry error{};
    fi_cq_readerr(datagrams_.completions.get(), &error, 0);
  }
}

void FabricListener::Serve() {
  constexpr ssize_t kEntryBytes = sizeof(fi_eq_cm_entry);
  while (!stopping_) {
    alignas(fi_eq_cm_entry) uint8_t buffer[kEntryBytes + kConnectBytesMax] = {};
    uint32_t event = 0;
    const ssize_t got = fi_eq_sread(events_.get(), &event, buffer, sizeof buffer, kEventWaitMs, 0);
    if (got == -FI_EAVAIL) {
      fi_eq_err_entry error{};
      fi_eq_readerr(events_.get(), &error, 0);
      Forget(error.fid);
      continue;
    }
    if (got >= kEntryBytes) Handle(event, *reinterpret_cast<fi_eq_cm_entry*>(buffer), static_cast<size_t>(got - kEntryBytes));
  }
  peers_.clear();
  counts_.connections = 0;
}

void FabricListener::Handle(uint32_t event, const fi_eq_cm_entry& entry, size_t dataBytes) {
  if (event == FI_SHUTDOWN) return Forget(entry.fid);
  if (event != FI_CONNREQ) return;
  const FabricInfo info(entry.info);
  if (Admit(entry.data, dataBytes) && Accept(info)) return;
  // A peer that is refused falls back to another transport.
  fi_reject(passive_.get(), info->handle, nullptr, 0);
}

void FabricListener::Forget(fid* endpoint) {
  if (endpoint != nullptr && peers_.erase(endpoint) > 0) counts_.connections--;
}

/// Whether who sends `data` along may connect: he must show the token, and there must be a place.
bool FabricListener::Admit(const uint8_t* data, size_t bytes) {
  // Takes as long for any wrong token. Verbs pads what was sent with zeros.
  uint8_t difference = bytes < token_.size() ? 1 : 0;
  for (size_t i = 0; i < std::min(bytes, token_.size()); i++) difference |= data[i] ^ token_[i];
  if (difference != 0) {
    counts_.refusedToken++;
    return false;
  }
  if (counts_.connections < connectionsMax_ || Reclaim()) return true;
  counts_.refusedFull++;
  return false;
}

/// Takes the place of the oldest connection, when it is old enough.
bool FabricListener::Reclaim() {
  const auto oldest = std::min_element(peers_.begin(), peers_.end(),
                                       [](const auto& a, const auto& b) { return a.second.since < b.second.since; });
  if (oldest == peers_.end() || Clock::now() - oldest->second.since < placeHeld_) return false;
  fi_shutdown(oldest->second.endpoint.get(), 0);
  peers_.erase(oldest);
  counts_.connections--;
  counts_.reclaimed++;
  return true;
}

bool FabricListener::Accept(const FabricInfo& info) {
  Peer peer{.since = Clock::now(), .info = info, .completions = {}, .endpoint = {}};
  fi_cq_attr attributes{};
  attributes.format = FI_CQ_FORMAT_CONTEXT;
  attributes.wait_obj = FI_WAIT_NONE;
  attributes.size = 16;
  const bool taken = fi_endpoint(domain_->domain(), info.get(), peer.endpoint.Receive(), nullptr) == 0 &&
                     fi_cq_open(domain_->domain(), &attributes, peer.completions.Receive(), nullptr) == 0 &&
                     fi_ep_bind(peer.endpoint.get(), &events_->fid, 0) == 0 &&
                     fi_ep_bind(peer.endpoint.get(), &peer.completions->fid, FI_TRANSMIT | FI_RECV) == 0 &&
                     fi_enable(peer.endpoint.get()) == 0 && fi_accept(peer.endpoint.get(), nullptr, 0) == 0;
  if (!taken) return false;
  fid* key = &peer.endpoint->fid;
  peers_.emplace(key, std::move(peer));
  counts_.connections++;
  return true;
}

}  // namespace volley
