#pragma once

#include <cstring>
#include <string>
#include <string_view>

#include "layout.h"

namespace volley {

/// Makes the memcached key of a chunk: a prefix and the digest in lower-case hex.
class ChunkKey {
 public:
  static constexpr size_t kDigestBytes = 16;

  explicit ChunkKey(std::string_view prefix) : prefixBytes_(prefix.size()) {
    std::memcpy(text_, prefix.data(), prefix.size());
  }
  /// Valid until the next call.
  std::string_view For(const uint8_t* digest) {
    static constexpr char kDigits[] = "0123456789abcdef";
    for (size_t i = 0; i < kDigestBytes; i++) {
      text_[prefixBytes_ + 2 * i] = kDigits[digest[i] >> 4];
      text_[prefixBytes_ + 2 * i + 1] = kDigits[digest[i] & 15];
    }
    return {text_, prefixBytes_ + 2 * kDigestBytes};
  }
  static bool PrefixFits(std::string_view prefix) { return prefix.size() + 2 * kDigestBytes <= kKeyBytesMax; }

 private:
  char text_[kKeyBytesMax];
  size_t prefixBytes_;
};

}  // namespace volley
