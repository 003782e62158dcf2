// What @jazzer.js/fuzzer's binary asks of a newer glibc and libstdc++ than Debian 12 has. Preloaded there.
#include <cstdlib>
#include <iostream>  // makes the streams ready, which ios_base_library_init does elsewhere

extern "C" long __isoc23_strtol(const char* text, char** end, int base) { return strtol(text, end, base); }
extern "C" unsigned long __isoc23_strtoul(const char* text, char** end, int base) { return strtoul(text, end, base); }

namespace std {
void ios_base_library_init();
void ios_base_library_init() {}
}  // namespace std
