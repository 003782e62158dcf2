#include "fabric.h"

#include <poll.h>

#include <algorithm>
#include <cstring>

#include "../error.h"
#include "../hash.h"
#include "../region_header.h"

namespace volley {
namespace {

// Values share reads only as far as so many are left, or else the node would wait for us between them.
constexpr uint32_t kReadsMin = 4;

}  // namespace

FabricEndpoint::FabricEndpoint(std::shared_ptr<RemoteRegion> region, std::shared_ptr<GuestMemory> destination,
                               std::string_view keyPrefix, uint32_t window)
    : region_(std::move(region)),
      table_(region_->table()),
      destination_(std::move(destination)),
      key_(keyPrefix),
      connection_(region_->Connect()) {
  batchMax_ = std::clamp(window / kReadsMin, 1u, connection_->piecesMax());
  window_ = std::min(window / batchMax_, connection_->windowMax());
  operations_.resize(window_);
  staging_.resize(window_);
  if (!region_->localRegistration()) return;
  try {
    FabricDomain& domain = region_->domain();
    stagingRegistration_ = domain.Register(staging_.data(), staging_.size() * sizeof(Bucket), FI_READ);
    stagingDescriptor_ = stagingRegistration_->descriptor();
    // Once per memory and device, not per load: pinning is what costs.
    const auto whole = destination_->Attachment(&domain, [&]() -> std::shared_ptr<void> {
      return domain.Register(destination_->data(), destination_->bytes(), FI_READ);
    });
    destinationDescriptor_ = static_cast<FabricRegistration*>(whole.get())->descriptor();
  } catch (const Error& error) {
    error_ = error.what();
    connection_->Close();
  }
}

void FabricEndpoint::Post(const ReadRequest& request) { posted_.push_back(request); }

void FabricEndpoint::Flush() {
  if (connection_->Advance() == FabricConnection::State::kBroken) return Break();
  if (connection_->state() != FabricConnection::State::kOpen) return;
  for (Operation& operation : operations_) {
    // A read that cannot be posted breaks the connection.
    if (connection_->state() == FabricConnection::State::kBroken) return Break();
    if (operation.phase == Phase::kIdle && !posted_.empty()) {
      Begin(operation);
    } else if (operation.phase != Phase::kIdle && !operation.posted) {
      Submit(operation);
    }
  }
}

void FabricEndpoint::Begin(Operation& operation) {
  operation.count = 0;
  if (!NeedsBuckets(posted_.front())) return Gather(operation);
  const ReadRequest& request = operation.requests[0] = posted_.front();
  posted_.pop_front();
  const std::string_view key = key_.For(request.digest);
  operation.fingerprint = Fingerprint(key.data(), key.size());
  if (!request.again) return ReadFirstBucket(operation);
  // The entry may have moved because the table has grown.
  operation.phase = Phase::kBucketCount;
  Submit(operation);
}

void FabricEndpoint::ReadFirstBucket(Operation& operation) {
  const Hashtable geometry(nullptr, region_->bucketCount());
  ReadBucket(operation, geometry.FirstBucket(operation.fingerprint), Phase::kFirstBucket);
}

/// Takes as many reads as one may carry, for values whose entries the copied table tells.
void FabricEndpoint::Gather(Operation& operation) {
  while (!posted_.empty() && operation.count < batchMax_ && !NeedsBuckets(posted_.front())) {
    const ReadRequest request = posted_.front();
    posted_.pop_front();
    const std::string_view key = key_.For(request.digest);
    Entry entries[2 * kEntriesPerBucket];
    const int found = table_->table.Lookup(Fingerprint(key.data(), key.size()), entries);
    const ReadStatus status = found == 0 ? ReadStatus::kMissing : Add(operation, request, entries, found);
    if (status != ReadStatus::kOk) done_.push_back({request.id, status});
  }
  if (operation.count > 0) ReadValues(operation);
}

void FabricEndpoint::ReadBucket(Operation& operation, uint64_t bucket, Phase phase) {
  operation.bucket = bucket;
  operation.phase = phase;
  Submit(operation);
}

/// Chooses among entries of one fingerprint, checks what it tells, and adds the value to what the operation reads.
ReadStatus FabricEndpoint::Add(Operation& operation, const ReadRequest& request, const Entry* entries, int count) {
  const Entry* entry = &entries[0];
  for (int i = 0; i < count; i++) {
    if (entries[i].xxh3 == request.xxh3 && entries[i].length == request.length) entry = &entries[i];
  }
  if (entry->length != request.length) return ReadStatus::kLength;
  // A read outside the registration would cost the whole connection.
  if (!InArena(region_->header(), entry->address, entry->length)) return ReadStatus::kBounds;
  operation.requests[operation.count] = request;
  operation.addresses[operation.count++] = entry->address;
  return ReadStatus::kOk;
}

void FabricEndpoint::ReadValues(Operation& operation) {
  operation.phase = Phase::kValue;
  Submit(operation);
}

void FabricEndpoint::Submit(Operation& operation) {
  FabricConnection::Piece pieces[FabricConnection::kPiecesMax];
  if (operation.phase == Phase::kValue) {
    for (uint32_t i = 0; i < operation.count; i++) {
      const ReadRequest& request = operation.requests[i];
      pieces[i] = {request.destination, request.length, region_->AddressOf(operation.addresses[i])};
    }
    operation.posted = connection_->Read(pieces, operation.count, destinationDescriptor_, region_->key(), &operation.context);
    return;
  }
  const bool isCount = operation.phase == Phase::kBucketCount;
  const uint64_t offset = isCount ? offsetof(RegionHeader, bucketCount)
                                  : region_->header().tableOffset + operation.bucket * sizeof(Bucket);
  pieces[0] = {Staging(operation), isCount ? sizeof(uint64_t) : sizeof(Bucket), region_->AddressOf(offset)};
  operation.posted = connection_->Read(pieces, 1, stagingDescriptor_, region_->key(), &operation.context);
}

size_t FabricEndpoint::Poll(Completion* out, size_t max) {
  FabricConnection::Done ended[64];
  const size_t count = connection_->Poll(ended, std::size(ended));
  for (size_t i = 0; i < count; i++) {
    Advance(*reinterpret_cast<Operation*>(ended[i].context), ended[i].ok);
  }
  if (connection_->state() == FabricConnection::State::kBroken) Break();
  const size_t given = std::min(max, done_.size());
  std::copy_n(done_.begin(), given, out);
  done_.erase(done_.begin(), done_.begin() + static_cast<std::ptrdiff_t>(given));
  return given;
}

/// A read of the operation ended: takes the next step.
void FabricEndpoint::Advance(Operation& operation, bool ok) {
  // After one failed read the queue pair is in error: nothing else will come through it.
  if (!ok) return connection_->Close();
  if (operation.phase == Phase::kValue) return Complete(operation, ReadStatus::kOk);
  if (operation.phase == Phase::kBucketCount) {
    uint64_t count = 0;
    std::memcpy(&count, Staging(operation), sizeof count);
    indexBytes_ += sizeof count;
    region_->NoteBucketCount(count);
    return ReadFirstBucket(operation);
  }
  indexBytes_ += sizeof(Bucket);
  Entry entries[kEntriesPerBucket];
  int found = 0;
  for (const Entry& entry : Staging(operation)->entries) {
    if (entry.fingerprint == operation.fingerprint && (entry.version & 1) == 0) entries[found++] = entry;
  }
  if (found > 0) {
    const ReadRequest request = operation.requests[0];
    const ReadStatus status = Add(operation, request, entries, found);
    return status == ReadStatus::kOk ? ReadValues(operation) : Complete(operation, status);
  }
  const Hashtable geometry(nullptr, region_->bucketCount());
  const uint64_t other = geometry.OtherBucket(operation.fingerprint, operation.bucket);
  if (operation.phase == Phase::kOtherBucket || other == operation.bucket) {
    return Complete(operation, ReadStatus::kMissing);
  }
  ReadBucket(operation, other, Phase::kOtherBucket);
}

void FabricEndpoint::Complete(Operation& operation, ReadStatus status) {
  const uint32_t count = operation.phase == Phase::kValue ? operation.count : 1;
  for (uint32_t i = 0; i < count; i++) done_.push_back({operation.requests[i].id, status});
  operation.phase = Phase::kIdle;
}

void FabricEndpoint::Break() {
  if (error_.empty()) error_ = connection_->error();
  connection_->Close();
  for (Operation& operation : operations_) {
    if (operation.phase != Phase::kIdle) Complete(operation, ReadStatus::kConnection);
  }
  for (const ReadRequest& request : posted_) done_.push_back({request.id, ReadStatus::kConnection});
  posted_.clear();
}

int FabricEndpoint::WaitDescriptor(short* events) const {
  *events = POLLIN;
  return connection_->WaitDescriptor();
}

void FabricEndpoint::Close() {
  connection_->Close();
  posted_.clear();
  done_.clear();
  for (Operation& operation : operations_) operation.phase = Phase::kIdle;
}

}  // namespace volley
