#pragma once

#include <cstdint>
#include <deque>
#include <string>
#include <string_view>
#include <vector>

#include "../chunk_key.h"
#include "../unique_fd.h"
#include "transport.h"

namespace volley {

/// Reads chunks with memcached's text protocol: pipelined multi-gets, values received straight into their destination.
///
/// What a node may answer to `get k1 k2 …` is `VALUE <key> <flags> <length>\r\n<value>\r\n` for keys asked, in the
/// order asked, then `END\r\n`. Anything else ends the connection.
class TcpEndpoint final : public Endpoint {
 public:
  /// `host` is an IP address; connecting begins at the first Flush(). `greeting` is what each connection says first, or
  /// empty; the node has to answer it with `STORED\r\n`. It holds a password and is never quoted.
  TcpEndpoint(std::string host, uint16_t port, std::string_view keyPrefix, uint32_t window, std::string greeting);

  uint32_t window() const override { return window_; }
  void Post(const ReadRequest& request) override;
  void Flush() override;
  size_t Poll(Completion* out, size_t max) override;
  int WaitDescriptor(short* events) const override;
  void Close() override;
  uint64_t receivedBytes() const override { return receivedBytes_; }
  const std::string& error() const override { return error_; }

 private:
  enum class State { kIdle, kConnecting, kOpen, kBroken };

  void Connect();
  bool FinishConnecting();
  void Send();
  void Receive();
  bool Consume();
  bool ConsumeGreeting(std::string_view line);
  bool ConsumeLine(std::string_view line);
  bool BeginValue(std::string_view line);
  void CompleteFront(ReadStatus status);
  void Break(ReadStatus status, const std::string& why);

  const std::string host_;
  const uint16_t port_;
  const uint32_t window_;
  ChunkKey key_;
  const std::string greeting_;

  State state_ = State::kIdle;
  UniqueFd fd_;
  std::string error_;

  std::vector<ReadRequest> posted_;  // not yet asked for
  std::deque<ReadRequest> asked_;    // not yet answered, in the order asked
  std::deque<size_t> batches_;       // per get that has not seen its END, how many of its keys are in asked_
  std::deque<Completion> done_;

  std::string output_;
  size_t outputAt_ = 0;

  // What was received beyond the value that was being filled: headers, and the first bytes of the next value.
  static constexpr size_t kScratchBytes = 1024;
  char scratch_[kScratchBytes];
  size_t scratchAt_ = 0;
  size_t scratchEnd_ = 0;

  enum class Expect { kGreeting, kLine, kValue, kValueEnd };
  Expect expect_ = Expect::kLine;
  uint32_t valueAt_ = 0;  // bytes of the front value that have landed
  uint64_t receivedBytes_ = 0;
};

}  // namespace volley
