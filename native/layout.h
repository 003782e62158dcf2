// The bytes of a region, as docs/protocol.md tells them. Little-endian hosts only.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>

namespace volley {

static_assert(std::endian::native == std::endian::little, "regions are little-endian");

inline constexpr char kRegionMagic[8] = {'V', 'O', 'L', 'L', 'E', 'Y', 'R', 'G'};
inline constexpr char kHandOutMagic[8] = {'V', 'O', 'L', 'L', 'E', 'Y', 'F', 'D'};
inline constexpr uint32_t kLayoutVersion = 2;
/// The version of a region whose readers or owners have to know a feature: all is as in version 2 but for its features.
inline constexpr uint32_t kLayoutVersionFeatures = 3;
inline constexpr uint32_t kRegionHeaderBytes = 4096;
/// Where the node that owns the region keeps its own copy of the header, and its ledger.
inline constexpr uint32_t kOwnHeaderOffset = 2048;
inline constexpr uint32_t kLedgerOffset = 1024;
inline constexpr uint32_t kLedgerWords = 8;
inline constexpr uint32_t kEntriesPerBucket = 4;
inline constexpr uint32_t kArenaPageBytes = 1'054'720;
inline constexpr uint32_t kSlotHeaderBytes = 64;
inline constexpr uint32_t kSlotMagic = 0x4D455449;
inline constexpr uint32_t kSlotUnitBytes = 64;
inline constexpr uint32_t kKeyBytesMax = 250;
/// The key stands this far after the start of a slot's text: the length of "VALUE ".
inline constexpr uint32_t kTextKeyOffset = 6;
inline constexpr char kValueEnd[2] = {'\r', '\n'};  // what stands in a slot behind its value

struct RegionHeader {
  char magic[8];
  uint32_t layoutVersion;
  uint32_t headerBytes;
  uint64_t regionBytes;
  uint64_t epoch;
  uint64_t tableOffset;
  uint64_t bucketCapacity;
  uint32_t bucketBytes;
  uint32_t entriesPerBucket;
  uint64_t arenaOffset;
  uint64_t arenaBytes;
  uint32_t arenaPageBytes;
  uint32_t slotHeaderBytes;
  uint64_t backingPageBytes;
  uint64_t checksum;     // XXH3 of all before
  uint64_t bucketCount;  // buckets in use; grows while the region lives
};
static_assert(sizeof(RegionHeader) == 104 && offsetof(RegionHeader, checksum) == 88);

/// What a region has beyond version 2: bits of features, which docs/protocol.md lists. Later versions may put further fields
/// between `owners` and the checksum, which is XXH3 of all of the block before it and its last 8 bytes.
struct FeatureBlock {
  uint32_t bytes;  // of the block; 0: there is none
  uint32_t reserved;
  uint64_t compatible;  // whoever does not know one goes on
  uint64_t readers;     // a one-sided reader that does not know one refuses the region, and so does an owner
  uint64_t owners;      // a node that does not know one refuses the region file; a reader goes on
  uint64_t checksum;
};
static_assert(sizeof(FeatureBlock) == 40);
/// What this version knows of them.
inline constexpr uint64_t kReaderFeatures = 0;
inline constexpr uint64_t kOwnerFeatures = 0;

/// The header with the room for its features. What is behind, up to the ledger, is for words that change while a region lives.
struct RegionHead {
  RegionHeader header;
  FeatureBlock features;
  uint8_t room[368];  // for longer blocks of features
};
static_assert(sizeof(RegionHead) == 512 && offsetof(RegionHead, features) == 104);

struct Entry {
  uint64_t fingerprint;  // 0: empty
  uint64_t address;      // of the value, from the region's first byte
  uint32_t length;
  uint16_t slotUnits;  // from the slot's start to the value, in kSlotUnitBytes
  uint16_t version;    // odd while the entry is being changed
  uint64_t xxh3;
};
static_assert(sizeof(Entry) == 32);

struct alignas(128) Bucket {
  Entry entries[kEntriesPerBucket];
};
static_assert(sizeof(Bucket) == 128);

struct SlotHeader {
  uint32_t magic;  // kSlotMagic when the slot holds an item
  uint32_t valueBytes;
  uint64_t cas;
  uint64_t xxh3;
  uint32_t flags;
  uint32_t expiresAt;
  uint16_t keyBytes;
  uint16_t textBytes;
  uint32_t valueOffset;
  uint32_t accessedAt;
  uint32_t state;
  uint64_t headXxh3;  // see HeadHash
  uint32_t seen;
  uint16_t extraBytes;  // of fields of later versions, between this header and the text
  uint8_t reserved[2];
};
static_assert(sizeof(SlotHeader) == kSlotHeaderBytes && offsetof(SlotHeader, headXxh3) == 48);

struct HandOut {
  char magic[8];
  uint64_t epoch;
};
static_assert(sizeof(HandOut) == 16);

}  // namespace volley
