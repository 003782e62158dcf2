// What a fuzz target draws from the bytes that it is given.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace volley {

/// Ends the process with a message unless something holds: libFuzzer then keeps the input.
inline void Expect(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

/// Takes values off the front of the input; zeros when it is used up.
class Input {
 public:
  Input(const uint8_t* bytes, size_t size) : next_(bytes), left_(size) {}

  const uint8_t* rest() const { return next_; }
  size_t left() const { return left_; }

  void Take(void* out, size_t size) {
    const size_t there = std::min(size, left_);
    std::memset(out, 0, size);
    if (there > 0) std::memcpy(out, next_, there);
    next_ += there;
    left_ -= there;
  }
  template <typename T>
  T Take() {
    T value;
    Take(&value, sizeof value);
    return value;
  }

 private:
  const uint8_t* next_;
  size_t left_;
};

}  // namespace volley
