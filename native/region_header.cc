#include "region_header.h"

#include <cstring>

#include "hash.h"

namespace volley {
namespace {

// No machine has so much; keeps sums of offsets from wrapping round.
constexpr uint64_t kRegionBytesMax = 1ull << 47;

}  // namespace

const char* FaultOf(const RegionHeader& header, uint64_t bytes) {
  if (std::memcmp(header.magic, kRegionMagic, sizeof kRegionMagic) != 0) return "it has no region header";
  if (header.layoutVersion != kLayoutVersion) return "its layout version is not known here; upgrade the older side";
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

}  // namespace volley
