#include "region_header.h"

#include <cstring>

#include "hash.h"

namespace volley {
namespace {

// No machine has so much; keeps sums of offsets from wrapping round.
constexpr uint64_t kRegionBytesMax = 1ull << 47;

const char* FaultOfFeatures(const RegionHead& head, RegionRole role) {
  const FeatureBlock& features = head.features;
  if (features.bytes == 0) {
    const bool isNone = features.compatible == 0 && features.readers == 0 && features.owners == 0;
    return isNone && head.header.layoutVersion == kLayoutVersion ? nullptr : "its features are missing";
  }
  const bool fits = features.bytes >= sizeof features && features.bytes % sizeof(uint64_t) == 0 &&
                    features.bytes <= sizeof head - offsetof(RegionHead, features);
  if (!fits) return "its features have a size that cannot be";
  const auto* start = reinterpret_cast<const uint8_t*>(&features);
  const size_t checked = features.bytes - sizeof(uint64_t);
  uint64_t checksum = 0;
  std::memcpy(&checksum, start + checked, sizeof checksum);
  if (checksum != Hash64(start, checked)) return "the checksum of its features is wrong";
  const bool isKnown = (features.readers & ~kReaderFeatures) == 0 &&
                       (role == RegionRole::kReader || (features.owners & ~kOwnerFeatures) == 0);
  return isKnown ? nullptr : "it has features that are not known here; upgrade the older side";
}

}  // namespace

const char* FaultOf(const RegionHeader& header, uint64_t bytes) {
  if (std::memcmp(header.magic, kRegionMagic, sizeof kRegionMagic) != 0) return "it has no region header";
  if (header.layoutVersion != kLayoutVersion && header.layoutVersion != kLayoutVersionFeatures) {
    return "its layout version is not known here; upgrade the older side";
  }
  if (header.checksum != Hash64(&header, offsetof(RegionHeader, checksum))) return "its header's checksum is wrong";
  if (header.headerBytes != kRegionHeaderBytes || header.bucketBytes != sizeof(Bucket) ||
      header.entriesPerBucket != kEntriesPerBucket || header.arenaPageBytes != kArenaPageBytes ||
      header.slotHeaderBytes != kSlotHeaderBytes) {
    return "its header tells sizes that its layout version does not have";
  }
  const uint64_t fileBytes = header.regionBytes;
  if ((bytes != 0 && bytes != fileBytes) || fileBytes > kRegionBytesMax || header.epoch == 0) return "its header does not fit the memory";
  const bool table = header.tableOffset % sizeof(Bucket) == 0 && header.tableOffset >= kRegionHeaderBytes &&
                     header.tableOffset <= fileBytes && header.bucketCount >= 1 &&
                     header.bucketCount <= header.bucketCapacity &&
                     header.bucketCapacity <= (fileBytes - header.tableOffset) / sizeof(Bucket);
  if (!table) return "its table lies outside the region";
  const bool arena = header.arenaOffset <= fileBytes && header.arenaBytes <= fileBytes - header.arenaOffset &&
                     header.arenaOffset >= header.tableOffset + header.bucketCapacity * sizeof(Bucket);
  return arena ? nullptr : "its arena lies outside the region";
}

const char* FaultOf(const RegionHead& head, uint64_t bytes, RegionRole role) {
  const char* fault = FaultOf(head.header, bytes);
  return fault != nullptr ? fault : FaultOfFeatures(head, role);
}

void Seal(RegionHead& head) {
  head.header.checksum = Hash64(&head.header, offsetof(RegionHeader, checksum));
  head.features = FeatureBlock{};
  head.features.bytes = sizeof head.features;
  head.features.checksum = Hash64(&head.features, offsetof(FeatureBlock, checksum));
}

}  // namespace volley
