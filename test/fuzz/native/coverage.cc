// Tells libFuzzer which edges were taken. It expects a compiler that fills its counters (clang's); gcc calls this
// function at every edge instead. Linked with --wrap, for libFuzzer has an empty one of the same name.
#include <cstdint>

namespace {

constexpr uint32_t kCounters = 1 << 14;
// Counters in this section count for libFuzzer as if they were its own.
__attribute__((section("__libfuzzer_extra_counters"))) uint8_t counters[kCounters];

}  // namespace

extern "C" __attribute__((no_sanitize_coverage, no_sanitize("address", "undefined"))) void
__wrap___sanitizer_cov_trace_pc() {
  const auto place = reinterpret_cast<uintptr_t>(__builtin_return_address(0));
  uint8_t& counter = counters[static_cast<uint32_t>(place * 0x9E3779B1u) >> 18];
  if (counter != 0xff) counter++;
}
