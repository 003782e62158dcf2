// A failure that TypeScript sees as an Error with a stable `code`.
#pragma once

#include <cstring>
#include <stdexcept>
#include <string>

namespace volley {

class Error : public std::runtime_error {
 public:
  Error(const char* code, const std::string& message) : std::runtime_error(message), code_(code) {}
  const char* code() const { return code_; }

 private:
  const char* code_;  // a literal
};

/// "what: No space left on device"
inline std::string SystemMessage(const std::string& what, int error) {
  return what + ": " + std::strerror(error);
}

}  // namespace volley
