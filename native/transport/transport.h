// The contract between the reader and whatever carries chunks to it.
//
// One endpoint is one reader thread's way to one node. All its calls come from that thread.
//
// Who owns a destination: the caller, until Post(); the endpoint, from Post() until Poll() returned the read's completion
// or Close() returned; then the caller again. While the endpoint owns it, any byte of it may change at any time. After
// Close() returned, none does: a late write must never reach a guest. Therefore a read is given up only by closing its
// endpoint, and only after that may the same bytes be filled some other way.
//
// A deadline measures progress, not age: reads are given up when neither a completion nor 4 KiB that receivedBytes() or
// indexBytes() count came over their endpoint for that long. A read that waits behind others on a slow link is not late.
//
// An endpoint moves bytes and believes nothing it is told, but it does not verify content: the reader does, for all.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace volley {

/// How a read ended. Order as in FAILURE_REASONS of src/native.ts.
enum class ReadStatus : uint8_t {
  kOk,
  kMissing,
  kChecksum,
  kLength,
  kBounds,
  kTimeout,
  kConnection,
  kProtocol,
  kCanceled,
};

struct ReadRequest {
  uint32_t id;  // the caller's, comes back in the completion; never the same twice on one endpoint
  uint32_t length;
  uint8_t* destination;
  const uint8_t* digest;  // 16 bytes; the chunk's key is made from it
  uint64_t xxh3;          // what the value is expected to hash to; picks among equal fingerprints
  bool again;             // an earlier try failed: what was copied of the table may be stale
};

struct Completion {
  uint32_t id;
  ReadStatus status;
};

class Endpoint {
 public:
  virtual ~Endpoint() = default;

  /// How many reads may be in flight at once.
  virtual uint32_t window() const = 0;
  /// Takes a read in; it may begin only at Flush(). Never blocks, never fails: failure is a completion.
  virtual void Post(const ReadRequest& request) = 0;
  /// Starts all reads posted so far.
  virtual void Flush() = 0;
  /// Moves what can be moved without blocking and writes up to `max` completions to `out`. Returns how many.
  virtual size_t Poll(Completion* out, size_t max) = 0;
  /// What to wait for when Poll() returned nothing: a descriptor and poll(2) events; -1 to look again at once.
  virtual int WaitDescriptor(short* events) const = 0;
  /// Gives up all reads in flight, without completions. After it returned no destination is written. Idempotent.
  virtual void Close() = 0;
  /// Bytes of a hashtable that were read to find the values.
  virtual uint64_t indexBytes() const { return 0; }
  /// Bytes that came for reads that are not completed yet, too, where the endpoint sees them come.
  virtual uint64_t receivedBytes() const { return 0; }
  /// What the system said when the way broke, else "".
  virtual const std::string& error() const = 0;
};

}  // namespace volley
