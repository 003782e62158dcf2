#pragma once

#include <atomic>
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
/// events; it never looks at reads, which the device (or the provider's own thread) serves. Fabrics of reliable datagrams
/// have no connections; there the thread keeps the provider going.
class FabricListener {
 public:
  struct Options {
    std::string provider;
    std::string host;  // empty: every address
    uint16_t port;     // 0: a free one
    uint32_t connectionsMax;
  };

  /// Throws Error ERR_VOLLEY_FABRIC, ERR_VOLLEY_MEMORY, ERR_VOLLEY_SETUP.
  FabricListener(const uint8_t* data, size_t bytes, const Options& options);
  ~FabricListener();

  const std::string& provider() const { return provider_; }
  uint16_t port() const { return port_; }
  /// The raw address of an endpoint for reliable datagrams; empty where clients connect to the port.
  const std::string& address() const { return address_; }
  uint64_t key() const { return registration_->key(); }
  /// What readers add to an offset in the memory to address it.
  uint64_t base() const { return base_; }
  uint32_t connections() const { return connections_; }

 private:
  struct Peer {
    FabricHandle<fid_cq> completions;
    FabricHandle<fid_ep> endpoint;
  };

  void Listen(const FabricInfo& info);
  void OpenDatagrams(const FabricInfo& info);
  void DriveProgress();
  void Serve();
  void Handle(uint32_t event, fi_eq_cm_entry& entry);
  void Accept(fi_info* info);

  std::string provider_;
  uint32_t connectionsMax_;
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
  std::atomic<uint32_t> connections_{0};
  std::atomic<bool> stopping_{false};
  std::thread thread_;
};

}  // namespace volley
