#include "remote_region.h"

#include <poll.h>

#include <algorithm>
#include <chrono>
#include <cstring>

#include "../error.h"
#include "../region_header.h"
#include "device_limits.h"

namespace volley {
namespace {

constexpr size_t kReadBytesMax = 1 << 20;
constexpr size_t kReadsInFlight = 16;
constexpr int64_t kWaitMsMax = 50;  // how long a provider that forgets to wake us is not looked at

using Clock = std::chrono::steady_clock;

}  // namespace

RemoteRegion::RemoteRegion(const Options& options)
    : options_(options),
      info_(FabricInfo::Query(options.query)),
      domain_(FabricDomain::Open(info_)),
      readsOutstandingMax_(ReadsOutstandingMax(info_)) {
  const std::unique_ptr<FabricConnection> connection = Connect();
  RegionHead head{};
  ReadNow(*connection, 0, &head, sizeof head, options.timeoutMs);
  header_ = head.header;
  if (const char* fault = FaultOf(head, 0, RegionRole::kReader)) {
    throw Error("ERR_VOLLEY_LAYOUT", "the region that " + options.query.host + " offers over " + options.query.provider + " cannot be used: " + fault);
  }
  bucketCount_ = header_.bucketCount;
}

void RemoteRegion::NoteBucketCount(uint64_t count) {
  if (count >= 1 && count <= header_.bucketCapacity) bucketCount_ = count;
}

std::unique_ptr<FabricConnection> RemoteRegion::Connect() const {
  try {
    return std::make_unique<FabricConnection>(domain_->ForEndpoint(info_), info_, options_.address, options_.token);
  } catch (const Error& error) {
    return std::make_unique<FabricConnection>(error.what());
  }
}

uint64_t RemoteRegion::CopyTable(uint64_t bytesMax, int timeoutMs) {
  const std::unique_ptr<FabricConnection> connection = Connect();
  uint64_t count = 0;
  // It has grown since the region was opened, or is growing.
  ReadNow(*connection, offsetof(RegionHeader, bucketCount), &count, sizeof count, timeoutMs);
  NoteBucketCount(count);
  const uint64_t buckets = bucketCount();
  const uint64_t bytes = buckets * sizeof(Bucket);
  if (sizeof count + bytes > bytesMax) return sizeof count;
  auto copy = std::make_shared<TableCopy>(buckets);
  ReadNow(*connection, header_.tableOffset, copy->buckets.data(), bytes, timeoutMs);
  const std::lock_guard lock(copying_);
  table_ = std::move(copy);
  return sizeof count + bytes;
}

std::shared_ptr<const TableCopy> RemoteRegion::table() const {
  const std::lock_guard lock(copying_);
  return table_;
}

/// Reads a range in pieces, several in flight, and waits for all of it. The connection is closed before it throws, so
/// nothing is written to `to` afterwards.
void RemoteRegion::ReadNow(FabricConnection& connection, uint64_t offset, void* to, size_t bytes, int timeoutMs) const {
  const auto deadline = Clock::now() + std::chrono::milliseconds(timeoutMs);
  std::unique_ptr<FabricRegistration> registration;
  if (localRegistration()) registration = domain_->Register(to, bytes, FI_READ);
  void* descriptor = registration ? registration->descriptor() : nullptr;
  std::vector<fi_context2> contexts(kReadsInFlight);
  std::vector<fi_context2*> idle;
  for (fi_context2& context : contexts) idle.push_back(&context);

  const auto give_up = [&](const char* code, const std::string& why) {
    connection.Close();
    throw Error(code, "cannot read the region of " + options_.query.host + " over " + options_.query.provider + ": " + why);
  };
  size_t posted = 0;
  while (posted < bytes || idle.size() < contexts.size()) {
    if (connection.Advance() == FabricConnection::State::kBroken) give_up("ERR_VOLLEY_FABRIC", connection.error());
    if (Clock::now() > deadline) give_up("ERR_VOLLEY_TIMEOUT", "no answer within " + std::to_string(timeoutMs) + " ms");
    const bool open = connection.state() == FabricConnection::State::kOpen;
    while (open && posted < bytes && !idle.empty()) {
      const size_t piece = std::min(bytes - posted, kReadBytesMax);
      const FabricConnection::Piece read{static_cast<uint8_t*>(to) + posted, piece, AddressOf(offset + posted)};
      if (!connection.Read(&read, 1, descriptor, key(), idle.back())) break;
      idle.pop_back();
      posted += piece;
    }
    FabricConnection::Done done[kReadsInFlight];
    const size_t ended = connection.Poll(done, kReadsInFlight);
    for (size_t i = 0; i < ended; i++) {
      if (!done[i].ok) give_up("ERR_VOLLEY_FABRIC", connection.error());
      idle.push_back(static_cast<fi_context2*>(done[i].context));
    }
    if (ended > 0 || connection.state() == FabricConnection::State::kBroken) continue;
    pollfd wait{connection.WaitDescriptor(), POLLIN, 0};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (wait.fd >= 0) poll(&wait, 1, static_cast<int>(std::clamp<int64_t>(left, 0, kWaitMsMax)));
  }
}

}  // namespace volley
