#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <unordered_map>

#include "domain.h"

namespace volley {

/// Lets clients read one piece of memory over a fabric.
///
/// The memory is registered remote-read only, in a registration that holds nothing else. A thread waits for connection
/// events; it never looks at reads, which the device (or the provider's own thread) serves. Who wants to connect must show
/// a token, which is drawn anew for each listener. Fabrics of reliable datagrams have no connections, and so nobody to ask
/// for a token; there the thread keeps the provider going.
class FabricListener {
 public:
  using Token = std::array<uint8_t, 16>;

  struct Options {
    FabricQuery query;  // with the address to listen on; port 0 takes a free one
    uint32_t connectionsMax;
    /// How long a connection keeps its place when all are taken and another client wants one. Nothing tells that a client's
    /// host is gone, and reads are not seen: age is all there is to go by.
    uint32_t placeHeldMs;
  };

  /// What became of those who wanted to connect.
  struct Counts {
    std::atomic<uint32_t> connections{0};  // now
    std::atomic<uint64_t> refusedToken{0};
    std::atomic<uint64_t> refusedFull{0};
    std::atomic<uint64_t> reclaimed{0};  // connections closed because another client wanted their place
  };

  /// Throws Error ERR_VOLLEY_FABRIC, ERR_VOLLEY_MEMORY, ERR_VOLLEY_SETUP.
  FabricListener(const uint8_t* data, size_t bytes, const Options& options);
  ~FabricListener();

  std::string provider() const { return info_.provider(); }
  std::string device() const { return info_.domain(); }
  bool connected() const { return !datagrams_.endpoint; }
  uint16_t port() const { return port_; }
  /// The raw address of an endpoint for reliable datagrams; empty where clients connect to the port.
  const std::string& address() const { return address_; }
  uint64_t key() const { return registration_->key(); }
  /// What readers add to an offset in the memory to address it.
  uint64_t base() const { return base_; }
  /// What a client has to show when it connects.
  const Token& token() const { return token_; }
  const Counts& counts() const { return counts_; }

 private:
  using Clock = std::chrono::steady_clock;

  struct Peer {
    Clock::time_point since;
    FabricInfo info;
    FabricHandle<fid_cq> completions;
    FabricHandle<fid_ep> endpoint;
  };

  void Listen();
  void OpenDatagrams();
  void DriveProgress();
  void Serve();
  void Handle(uint32_t event, const fi_eq_cm_entry& entry, size_t dataBytes);
  bool Admit(const uint8_t* data, size_t bytes);
  bool Accept(const FabricInfo& info);
  bool Reclaim();
  void Forget(fid* endpoint);

  FabricInfo info_;
  Token token_;
  uint32_t connectionsMax_;
  std::chrono::milliseconds placeHeld_;
  uint64_t base_ = 0;
  uint16_t port_ = 0;
  std::string address_;
  std::shared_ptr<FabricDomain> domain_;
  std::unique_ptr<FabricRegistration> registration_;
  FabricHandle<fid_eq> events_;
  FabricHandle<fid_pep> passive_;
  FabricHandle<fid_av> addresses_;  // with `datagrams_`, instead of a passive endpoint
  Peer datagrams_;
  std::unordered_map<fid*, Peer> peers_;  // the serving thread's
  Counts counts_;
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace volley
