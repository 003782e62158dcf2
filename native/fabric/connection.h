#pragma once

#include <string>
#include <vector>

#include "../unique_fd.h"
#include "domain.h"

namespace volley {

/// One endpoint of a client, connected to a node: posts reads, tells which are done. Used by one thread.
class FabricConnection {
 public:
  enum class State { kConnecting, kOpen, kBroken };

  static constexpr uint32_t kPiecesMax = 4;

  /// One range that a read copies.
  struct Piece {
    void* to;
    size_t bytes;
    uint64_t from;  // address at the node
  };

  struct Done {
    void* context;
    bool ok;
  };

  /// Begins to connect. A failure is a broken connection, with error() saying why. `peer` is the raw address of an
  /// endpoint for reliable datagrams; connected ones are reached by what `info` tells and are sent `token`.
  FabricConnection(std::shared_ptr<FabricDomain> domain, const FabricInfo& info, const std::string& peer,
                   const std::string& token);
  /// A connection that is broken from the start.
  explicit FabricConnection(const std::string& error) : state_(State::kBroken), error_(error) {}
  ~FabricConnection() { Close(); }

  State state() const { return state_; }
  const std::string& error() const { return error_; }
  /// Reads that the device lets be in flight.
  uint32_t windowMax() const { return windowMax_; }
  /// Pieces that one read may have, 1…kPiecesMax. Software providers take several, which saves them messages.
  uint32_t piecesMax() const { return piecesMax_; }

  /// Looks at connection events: goes on connecting, notices that the peer left.
  State Advance();
  /// Posts a read. False when it was not taken: while the connection is open the queue is full for now, try again after
  /// Poll(); any other failure breaks the connection. `context` must be an fi_context2 that stays untouched until the read is
  /// done or the connection closed.
  bool Read(const Piece* pieces, uint32_t count, void* descriptor, uint64_t key, void* context);
  /// Reads that ended since. Never blocks.
  size_t Poll(Done* out, size_t max);
  /// A descriptor to wait on for completions, events and the time to try a refused read again, or -1 when there may be
  /// something already or the connection is broken.
  int WaitDescriptor() const;
  /// When it returned, no read that was posted writes any more.
  void Close();

 private:
  void Break(const std::string& why);
  void WakeSoon(bool soon);
  void Drain();
  bool Open(const std::string& peer, const std::string& token);
  int Reach(const std::string& peer, const std::string& token);
  int OpenAddresses();
  bool OpenWait();

  std::shared_ptr<FabricDomain> domain_;
  FabricInfo info_;
  State state_ = State::kConnecting;
  std::string error_;
  uint32_t windowMax_ = 1;
  uint32_t piecesMax_ = 1;
  uint32_t inFlight_ = 0;
  bool refused_ = false;
  UniqueFd soon_;  // a timer
  UniqueFd wait_;  // an epoll over both queues and the timer
  FabricHandle<fid_eq> events_;
  FabricHandle<fid_cq> completions_;
  FabricHandle<fid_av> addresses_;  // of reliable datagrams only
  fi_addr_t peer_ = FI_ADDR_UNSPEC;
  FabricHandle<fid_ep> endpoint_;
};

}  // namespace volley
