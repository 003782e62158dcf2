#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <map>

#include "../chunk_key.h"

namespace volley {

/// What befalls one read over a FakeEndpoint. Order as in FAULTS of src/native.ts.
enum class Fault : uint8_t {
  kNone,
  kMissing,     // the entry is stale: the chunk is gone
  kLength,      // the entry is stale: it tells another length
  kBounds,      // the entry points outside the arena
  kReused,      // the slot holds another item by now
  kTorn,        // some bytes are the chunk's, some are another item's
  kNever,       // no completion comes
  kConnection,  // the way breaks
  kProtocol,    // the peer answers nonsense
};

/// Which fault befalls which attempt at which chunk.
///
/// Faults hang on the chunk and not on the order of reads, so a script means the same for any number of threads.
class FaultScript {
 public:
  static constexpr size_t kAttempts = 8;  // those after the last one meet no fault
  static constexpr size_t kRowBytes = ChunkKey::kDigestBytes + kAttempts;

  // Beside the fault, in the same byte.
  static constexpr uint8_t kLate = 0x40;   // the completion comes long after those of reads posted later
  static constexpr uint8_t kTwice = 0x80;  // and it comes once more after a while

  struct Step {
    Fault fault;
    bool late;
    bool twice;
  };

  static bool Valid(const uint8_t* rows, size_t bytes) {
    if (bytes % kRowBytes != 0) return false;
    for (size_t at = 0; at < bytes; at++) {
      const bool isStep = at % kRowBytes >= ChunkKey::kDigestBytes;
      if (isStep && (rows[at] & kFault) > static_cast<uint8_t>(Fault::kProtocol)) return false;
    }
    return true;
  }

  /// `rows`, which must be Valid(): per chunk its digest and a byte for each of kAttempts attempts.
  FaultScript(const uint8_t* rows, size_t bytes) {
    for (const uint8_t* row = rows; row < rows + bytes; row += kRowBytes) {
      std::copy_n(row + ChunkKey::kDigestBytes, kAttempts, rows_[ToDigest(row)].begin());
    }
  }

  Step At(const uint8_t* digest, size_t attempt) const {
    const auto row = rows_.find(ToDigest(digest));
    const uint8_t byte = row == rows_.end() || attempt >= kAttempts ? 0 : row->second[attempt];
    return {static_cast<Fault>(byte & kFault), (byte & kLate) != 0, (byte & kTwice) != 0};
  }

  using Digest = std::array<uint8_t, ChunkKey::kDigestBytes>;
  static Digest ToDigest(const uint8_t* bytes) {
    Digest digest;
    std::memcpy(digest.data(), bytes, digest.size());
    return digest;
  }

 private:
  static constexpr uint8_t kFault = 0x3f;

  std::map<Digest, std::array<uint8_t, kAttempts>> rows_;
};

}  // namespace volley
