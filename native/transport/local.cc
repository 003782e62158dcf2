#include "local.h"

#include <cstring>

#include "../hash.h"

namespace volley {

void LocalEndpoint::Post(const ReadRequest& request) {
  completion_ = {request.id, Copy(request)};
  pending_ = true;
}

ReadStatus LocalEndpoint::Copy(const ReadRequest& request) {
  const std::string_view key = key_.For(request.digest);
  Entry entries[2 * kEntriesPerBucket];
  const int found = region_->table().Lookup(Fingerprint(key.data(), key.size()), entries);
  if (found == 0) return ReadStatus::kMissing;
  // Keys that share a fingerprint are told apart by what their values hash to.
  const Entry* entry = &entries[0];
  for (int i = 0; i < found; i++) {
    if (entries[i].xxh3 == request.xxh3 && entries[i].length == request.length) entry = &entries[i];
  }
  if (entry->length != request.length) return ReadStatus::kLength;
  if (!region_->Contains(entry->address, entry->length)) return ReadStatus::kBounds;
  std::memcpy(request.destination, region_->data() + entry->address, request.length);
  return ReadStatus::kOk;
}

size_t LocalEndpoint::Poll(Completion* out, size_t max) {
  if (!pending_ || max == 0) return 0;
  pending_ = false;
  out[0] = completion_;
  return 1;
}

}  // namespace volley
