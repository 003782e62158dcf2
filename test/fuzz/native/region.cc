// A region as a client finds it: a header, buckets and entries that somebody else wrote. Whatever passes FaultOf() must
// keep a reader inside the memory: ASan watches an allocation of exactly the table's size.
#include <memory>
#include <vector>

#include "../../../native/hash.h"
#include "../../../native/hashtable.h"
#include "../../../native/region_header.h"
#include "input.h"

namespace volley {
namespace {

constexpr uint64_t kBucketsMax = 64;

RegionHeader SoundHeader(uint64_t buckets) {
  RegionHeader header{};
  std::memcpy(header.magic, kRegionMagic, sizeof kRegionMagic);
  header.layoutVersion = kLayoutVersion;
  header.headerBytes = kRegionHeaderBytes;
  header.epoch = 1;
  header.tableOffset = kRegionHeaderBytes;
  header.bucketCapacity = header.bucketCount = buckets;
  header.bucketBytes = sizeof(Bucket);
  header.entriesPerBucket = kEntriesPerBucket;
  header.arenaOffset = header.tableOffset + buckets * sizeof(Bucket);
  header.arenaBytes = header.arenaPageBytes = kArenaPageBytes;
  header.slotHeaderBytes = kSlotHeaderBytes;
  header.backingPageBytes = 4096;
  header.regionBytes = header.arenaOffset + header.arenaBytes;
  return header;
}

/// A sound header with some bytes overwritten, and a checksum that fits again unless the input wants it otherwise.
RegionHeader MakeHeader(Input* input) {
  RegionHeader header = SoundHeader(1 + input->Take<uint8_t>() % kBucketsMax);
  const int changes = input->Take<uint8_t>() % 8;
  for (int i = 0; i < changes; i++) {
    const size_t at = input->Take<uint8_t>() % (sizeof header / 8) * 8;
    input->Take(reinterpret_cast<uint8_t*>(&header) + at, 8);
  }
  if (input->Take<uint8_t>() != 1) header.checksum = Hash64(&header, offsetof(RegionHeader, checksum));
  return header;
}

void CheckBounds(const RegionHeader& header, uint64_t bytes) {
  const uint64_t end = bytes == 0 ? header.regionBytes : bytes;
  // In 128 bits nothing wraps round.
  const auto sum = [](uint64_t a, uint64_t b) { return static_cast<unsigned __int128>(a) + b; };
  const auto tableBytes = static_cast<unsigned __int128>(header.bucketCapacity) * sizeof(Bucket);
  Expect(header.regionBytes == end, "a region is as large as its header tells");
  Expect(header.bucketCount >= 1 && header.bucketCount <= header.bucketCapacity, "buckets in use are there");
  Expect(header.tableOffset >= kRegionHeaderBytes, "the table does not cover the header");
  Expect(header.tableOffset + tableBytes <= header.arenaOffset, "table and arena do not overlap");
  Expect(sum(header.arenaOffset, header.arenaBytes) <= end, "the arena ends inside the region");
}

void CheckEntry(const RegionHeader& header, const Entry& entry) {
  if (!InArena(header, entry.address, entry.length)) return;
  const auto end = static_cast<unsigned __int128>(entry.address) + entry.length;
  Expect(entry.address >= header.arenaOffset, "a value begins in the arena");
  Expect(end <= static_cast<unsigned __int128>(header.arenaOffset) + header.arenaBytes, "a value ends in the arena");
}

void CheckTable(const RegionHeader& header, Input* input) {
  const uint64_t count = header.bucketCount;
  if (count > kBucketsMax) return;
  std::vector<Bucket> buckets(count);
  const auto fingerprint = input->Take<uint64_t>();
  input->Take(buckets.data(), count * sizeof(Bucket));
  const Hashtable table(buckets.data(), count);
  const uint64_t first = table.FirstBucket(fingerprint);
  const uint64_t second = table.OtherBucket(fingerprint, first);
  Expect(first < count && second < count, "a key's buckets are in the table");
  // The wanted fingerprint where a reader looks for it, so that it finds what the input tells of the rest.
  for (Entry& entry : buckets[first].entries) entry.fingerprint = fingerprint;
  for (Entry& entry : buckets[second].entries) entry.fingerprint = fingerprint;
  const auto found = std::make_unique<Entry[]>(2 * kEntriesPerBucket);
  const int entries = table.Lookup(fingerprint, found.get());
  Expect(entries >= 0 && entries <= static_cast<int>(2 * kEntriesPerBucket), "two buckets hold eight entries");
  for (int i = 0; i < entries; i++) {
    Expect(found[i].fingerprint == fingerprint && (found[i].version & 1) == 0, "an entry that was asked for, and whole");
    CheckEntry(header, found[i]);
  }
}

}  // namespace
}  // namespace volley

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t size) {
  using namespace volley;
  Input input(bytes, size);
  const RegionHeader header = MakeHeader(&input);
  const uint64_t told = input.Take<uint8_t>() & 1 ? header.regionBytes : 0;
  if (FaultOf(header, told) != nullptr) return 0;
  CheckBounds(header, told);
  CheckTable(header, &input);
  return 0;
}
