#pragma once

#include <openssl/evp.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "error.h"

namespace volley {

/// SHA-256 by the OpenSSL that is part of Node: its symbols are the process', so nothing is linked. Not thread-safe.
class Sha256 {
 public:
  static constexpr size_t kBytes = 32;

  void Hash(const void* data, size_t bytes, uint8_t* digest) {
    if (!context_ || EVP_DigestInit_ex(context_.get(), Algorithm(), nullptr) != 1 ||
        EVP_DigestUpdate(context_.get(), data, bytes) != 1 || EVP_DigestFinal_ex(context_.get(), digest, nullptr) != 1) {
      throw Error("ERR_VOLLEY_SETUP", "OpenSSL refuses SHA-256");
    }
  }

 private:
  struct Free {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };

  /// Fetched once: EVP_sha256() would have each hash look it up anew.
  static const EVP_MD* Algorithm() {
    static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
    return algorithm;
  }

  std::unique_ptr<EVP_MD_CTX, Free> context_{EVP_MD_CTX_new()};
};

}  // namespace volley
