#include "fake.h"

#include <poll.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "../error.h"
#include "../hash.h"

namespace volley {
namespace {

// In calls of Poll().
constexpr uint64_t kDelayMax = 6;
constexpr uint64_t kLateMin = 50;
constexpr uint64_t kLateMax = 500;
constexpr uint64_t kRepeatMax = 20;

ReadStatus StatusOf(Fault fault) {
  switch (fault) {
    case Fault::kMissing:
      return ReadStatus::kMissing;
    case Fault::kLength:
      return ReadStatus::kLength;
    case Fault::kBounds:
      return ReadStatus::kBounds;
    case Fault::kConnection:
      return ReadStatus::kConnection;
    case Fault::kProtocol:
      return ReadStatus::kProtocol;
    case Fault::kNone:
    case Fault::kReused:
    case Fault::kTorn:
    case Fault::kNever:
      return ReadStatus::kOk;
  }
  return ReadStatus::kProtocol;
}

}  // namespace

uint64_t FakeEndpoint::Random::Next() {
  uint64_t z = state_ += 0x9E3779B97F4A7C15ull;
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9ull;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBull;
  return z ^ (z >> 31);
}

FakeEndpoint::FakeEndpoint(std::shared_ptr<LocalRegion> region, std::string_view keyPrefix,
                           std::shared_ptr<const FaultScript> script, uint64_t seed, uint32_t window)
    : region_(region),
      source_(std::move(region), keyPrefix),
      script_(std::move(script)),
      seed_(seed),
      window_(window),
      silent_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!silent_) throw Error("ERR_VOLLEY_MEMORY", SystemMessage("eventfd", errno));
}

FakeEndpoint::~FakeEndpoint() {
  if (reads_.empty()) return;
  // A real endpoint could still be writing: nobody is left to be told, and going on would hide it.
  std::fputs("volley: contract broken: an endpoint was let go with reads in flight and without Close()\n", stderr);
  std::abort();
}

/// Whether the caller does what the contract forbids; tells it.
bool FakeEndpoint::Breaches(const ReadRequest& request, size_t attempt) {
  const auto overlaps = [&](const Read& read) {
    const uint8_t* begin = read.request.destination;
    return request.destination < begin + read.request.length && begin < request.destination + request.length;
  };
  const auto hasId = [&](const Read& read) { return read.request.id == request.id; };
  const char* breach = nullptr;
  if (closed_) breach = "a read after Close()";
  if (reads_.size() >= window_) breach = "more reads than the window allows";
  if (std::any_of(reads_.begin(), reads_.end(), overlaps)) breach = "two reads in flight to the same bytes";
  if (std::any_of(reads_.begin(), reads_.end(), hasId)) breach = "two reads in flight with one id";
  if (request.again != (attempt > 0)) breach = "a read does not tell whether it is the first";
  if (breach == nullptr) return false;
  error_ = std::string("contract broken: ") + breach;
  return true;
}

void FakeEndpoint::Post(const ReadRequest& request) {
  const FaultScript::Digest digest = FaultScript::ToDigest(request.digest);
  const size_t attempt = attempts_[digest]++;
  if (Breaches(request, attempt)) {
    refused_.push_back({request.id, ReadStatus::kProtocol});
    return;
  }
  const uint64_t seed = Hash64(digest.data(), digest.size()) ^ seed_ ^ attempt << 32;
  reads_.push_back({.request = request,
                    .step = script_->At(request.digest, attempt),
                    .status = ReadStatus::kOk,
                    .begun = false,
                    .due = 0,
                    .random = Random(seed),
                    .bytes = std::vector<uint8_t>(request.length)});
  Prepare(reads_.back());
}

/// Decides how the read will end and with which bytes.
void FakeEndpoint::Prepare(Read& read) {
  ReadRequest copy = read.request;
  copy.destination = read.bytes.data();
  source_.Post(copy);
  Completion copied;
  source_.Poll(&copied, 1);
  read.status = read.step.fault == Fault::kNone ? copied.status : StatusOf(read.step.fault);
  if (read.step.fault != Fault::kReused && read.step.fault != Fault::kTorn) return;

  const uint8_t first = read.bytes[0];
  const size_t length = read.bytes.size();
  const size_t from = read.step.fault == Fault::kReused ? 0 : read.random.Below(length);
  const size_t count = 1 + read.random.Below(length - from);
  const uint8_t* other = OtherItem(read.random, length);
  if (read.step.fault == Fault::kReused) {
    std::copy_n(other, length, read.bytes.begin());
  } else {
    std::copy_n(other, count, read.bytes.begin() + static_cast<std::ptrdiff_t>(from));
  }
  // Should the other item have held the very same bytes, one is changed: the script says that they differ.
  if (Hash64(read.bytes.data(), length) == read.request.xxh3) read.bytes[0] = static_cast<uint8_t>(first ^ 1);
}

/// Some bytes of the arena, whatever they are.
const uint8_t* FakeEndpoint::OtherItem(Random& random, size_t bytes) const {
  const RegionHeader& header = region_->header();
  return region_->data() + header.arenaOffset + random.Below(header.arenaBytes - bytes + 1);
}

void FakeEndpoint::Flush() {
  for (Read& read : reads_) {
    if (read.begun) continue;
    read.begun = true;
    const uint64_t delay =
        read.step.late ? kLateMin + read.random.Below(kLateMax - kLateMin) : read.random.Below(kDelayMax);
    read.due = polls_ + 1 + delay;
  }
}

/// Writes garbage to a part of the destination, as any device may that has the read in flight.
void FakeEndpoint::Scribble(Read& read) {
  if (closed_) std::abort();  // the one thing that must never happen
  const size_t from = read.random.Below(read.request.length);
  const size_t count = 1 + read.random.Below(std::min<size_t>(read.request.length - from, 64));
  std::generate_n(read.request.destination + from, count, [&] { return static_cast<uint8_t>(read.random.Next()); });
}

/// Lets a piece of the read land, or garbage, or nothing.
void FakeEndpoint::Land(Read& read) {
  const uint64_t what = read.random.Below(4);
  if (what == 0) return Scribble(read);
  if (what == 1) return;
  const size_t from = read.random.Below(read.request.length);
  std::memcpy(read.request.destination + from, read.bytes.data() + from, read.request.length - from);
}

void FakeEndpoint::Complete(Read& read, Completion* out) {
  if (read.status == ReadStatus::kOk) {
    std::memcpy(read.request.destination, read.bytes.data(), read.request.length);
  }
  if (read.status == ReadStatus::kConnection || read.status == ReadStatus::kProtocol) error_ = "the script broke the way";
  *out = {read.request.id, read.status};
  if (read.step.twice) repeats_.push_back({*out, polls_ + 1 + read.random.Below(kRepeatMax)});
}

size_t FakeEndpoint::Poll(Completion* out, size_t max) {
  polls_++;
  size_t count = 0;
  for (; count < max && !refused_.empty(); refused_.pop_back()) out[count++] = refused_.back();
  for (size_t i = 0; i < repeats_.size() && count < max;) {
    if (repeats_[i].due > polls_) {
      i++;
      continue;
    }
    out[count++] = repeats_[i].completion;
    repeats_.erase(repeats_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  for (size_t i = 0; i < reads_.size();) {
    Read& read = reads_[i];
    if (!read.begun) {
      i++;
    } else if (count == max || read.step.fault == Fault::kNever || read.due > polls_) {
      Land(read);
      i++;
    } else {
      Complete(read, &out[count++]);
      reads_.erase(reads_.begin() + static_cast<std::ptrdiff_t>(i));
    }
  }
  return count;
}

int FakeEndpoint::WaitDescriptor(short* events) const {
  *events = POLLIN;
  const auto silent = [](const Read& read) { return read.step.fault == Fault::kNever || !read.begun; };
  const bool nothingComes = refused_.empty() && repeats_.empty() && std::all_of(reads_.begin(), reads_.end(), silent);
  return nothingComes ? silent_.get() : -1;
}

// Until now the destinations were ours, and a caller that used one meanwhile must see that. The completions that a device
// has in store for such reads may still be fetched: they are to be taken for nothing.
void FakeEndpoint::Close() {
  for (Read& read : reads_) {
    Scribble(read);
    repeats_.push_back({{read.request.id, ReadStatus::kOk}, polls_});
  }
  reads_.clear();
  closed_ = true;
}

}  // namespace volley
