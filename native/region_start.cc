// How a region comes to be: made new, or taken up again from a file.
#include <sys/random.h>

#include <algorithm>
#include <atomic>
#include <cerrno>

#include "error.h"
#include "hash.h"
#include "item_head.h"
#include "region.h"
#include "region_header.h"

namespace volley {
namespace {

constexpr uint64_t kHugePageBytes = 2 << 20;
constexpr uint64_t kSmallPageBytes = 4096;
constexpr uint64_t kBucketsAtStart = 1024;

uint64_t RoundUp(uint64_t value, uint64_t unit) { return (value + unit - 1) / unit * unit; }

uint64_t NewEpoch() {
  uint64_t epoch = 0;
  while (epoch == 0) {
    if (getrandom(&epoch, sizeof epoch, 0) != sizeof epoch) {
      throw Error("ERR_VOLLEY_MEMORY", SystemMessage("getrandom", errno));
    }
  }
  return epoch;
}

/// The header of a new region, without its checksum.
RegionHeader Geometry(const Region::Options& options, uint64_t backingPageBytes) {
  const bool isPinned = backingPageBytes != kSmallPageBytes;
  const uint64_t items = isPinned ? options.tableItemsPinned : options.tableItems;
  const uint64_t pages = options.arenaBytes / kArenaPageBytes;
  RegionHeader header{};
  std::memcpy(header.magic, kRegionMagic, sizeof kRegionMagic);
  header.layoutVersion = kLayoutVersion;
  header.headerBytes = kRegionHeaderBytes;
  header.epoch = NewEpoch();
  header.tableOffset = RoundUp(kRegionHeaderBytes + pages * sizeof(uint32_t), kSmallPageBytes);
  header.bucketCapacity = items * 10 / 9 / kEntriesPerBucket + 1;
  header.bucketBytes = sizeof(Bucket);
  header.entriesPerBucket = kEntriesPerBucket;
  header.arenaOffset = RoundUp(header.tableOffset + header.bucketCapacity * sizeof(Bucket), kSmallPageBytes);
  header.arenaBytes = pages * kArenaPageBytes;
  header.arenaPageBytes = kArenaPageBytes;
  header.slotHeaderBytes = kSlotHeaderBytes;
  header.backingPageBytes = backingPageBytes;
  header.regionBytes = RoundUp(header.arenaOffset + header.arenaBytes, backingPageBytes);
  header.bucketCount = std::min(header.bucketCapacity, kBucketsAtStart);
  return header;
}

[[noreturn]] void Refuse(const std::string& path, const std::string& why) {
  throw Error("ERR_VOLLEY_LAYOUT", "the region file " + path + " cannot be taken up again: " + why);
}

[[noreturn]] void RefuseWithoutMemory(const std::string& path) {
  throw Error("ERR_VOLLEY_MEMORY", SystemMessage("the region file " + path + " cannot have all of its memory", errno) +
                                       "; make its file system larger, or free some of it; the file stays as it is");
}

std::string MiB(uint64_t bytes) { return std::to_string(bytes / kArenaPageBytes) + " MiB"; }

}  // namespace

Region::Region(const Options& options) {
  if (options.arenaBytes < kArenaPageBytes) {
    throw Error("ERR_VOLLEY_MEMORY", "a storage node needs at least 2 MB of memory (-m 2)");
  }
  if (options.file.empty()) {
    Make(options);
  } else {
    memory_ = RegionMemory::Open(options.file);
    MakeFile(options);
  }
  Publish();
  if (restored_) Restore();
}

/// Makes a region in a memfd.
void Region::Make(const Options& options) {
  if (options.hugepages) {
    header_ = Geometry(options, kHugePageBytes);
    memory_ = RegionMemory::Anonymous(header_.regionBytes, true);
    if (!memory_) {
      notice_ = "using 4 KiB pages: " + std::to_string(header_.regionBytes / kHugePageBytes) +
                " hugepages of 2 MiB are not free (sysctl vm.nr_hugepages)";
    }
  }
  if (memory_) return;
  header_ = Geometry(options, kSmallPageBytes);
  memory_ = RegionMemory::Anonymous(header_.regionBytes, false);
  if (memory_) return;
  throw Error("ERR_VOLLEY_MEMORY", SystemMessage("cannot map a region of " + std::to_string(options.arenaBytes >> 20) +
                                                     " MiB", errno) + "; ask for less with -m");
}

/// Makes a region in an opened file, unless one was made there already.
void Region::MakeFile(const Options& options) {
  if (memory_.fileBytes() > 0) {
    TakeUp(options);
    if (restored_) return;
  }
  header_ = Geometry(options, memory_.pageBytes());
  memory_.Resize(header_.regionBytes);
  const uint64_t tableEnd = header_.tableOffset + header_.bucketCount * sizeof(Bucket);
  if (!memory_.Reserve(0, tableEnd) || !memory_.Reserve(header_.arenaOffset, header_.arenaBytes)) {
    const std::string why = std::strerror(errno);
    memory_.Resize(0);
    throw Error("ERR_VOLLEY_MEMORY", "the region file " + memory_.path() + " cannot have " +
                                         std::to_string(header_.regionBytes >> 20) + " MiB: " + why +
                                         "; ask for less with -m, or make its file system larger");
  }
  memory_.Map(header_.regionBytes);
  // The magic comes last: without it, the file was never finished.
  RegionHead head{.header = header_, .features = {}, .room = {}};
  Seal(head);
  uint8_t* own = memory_.data() + kOwnHeaderOffset;
  std::memcpy(own + sizeof kRegionMagic, reinterpret_cast<uint8_t*>(&head) + sizeof kRegionMagic, sizeof head - sizeof kRegionMagic);
  std::atomic_thread_fence(std::memory_order_release);
  std::memcpy(own, kRegionMagic, sizeof kRegionMagic);
}

/// Checks what a file holds and takes its header; does nothing when a node was stopped while it made the file.
void Region::TakeUp(const Options& options) {
  const std::string& path = memory_.path();
  const std::string remedy = "; move it away, or remove it and upload the images again";
  const uint64_t bytes = memory_.fileBytes();
  if (bytes < kRegionHeaderBytes) Refuse(path, "it is too short to be one" + remedy);
  memory_.Map(bytes);
  // Where the file has a hole, reading takes memory too.
  if (!memory_.Reserve(0, kRegionHeaderBytes)) RefuseWithoutMemory(path);
  RegionHead head;
  std::memcpy(&head, memory_.data() + kOwnHeaderOffset, sizeof head);
  header_ = head.header;
  const std::string magic(header_.magic, sizeof header_.magic);
  if (magic == std::string(sizeof header_.magic, '\0')) {
    const uint8_t* start = memory_.data();
    const auto is_zero = [](uint8_t byte) { return byte == 0; };
    if (!std::all_of(start, start + kOwnHeaderOffset, is_zero)) Refuse(path, "it is something else" + remedy);
    return;
  }
  head.header.bucketCount = header_.bucketCount = std::min(header_.bucketCapacity, kBucketsAtStart);
  if (const char* fault = FaultOf(head, bytes, RegionRole::kOwner)) Refuse(path, fault + remedy);
  const uint64_t pages = header_.arenaBytes / kArenaPageBytes;
  if (header_.tableOffset < kRegionHeaderBytes + pages * sizeof(uint32_t) || header_.arenaOffset % kSlotUnitBytes != 0) {
    Refuse(path, "its page directory does not fit" + remedy);
  }
  const uint64_t wanted = options.arenaBytes / kArenaPageBytes * kArenaPageBytes;
  if (header_.arenaBytes != wanted) {
    Refuse(path, "it has " + MiB(header_.arenaBytes) + " of memory and not " + MiB(wanted) + "; give that with -m" + remedy);
  }
  if (!memory_.Reserve(0, header_.tableOffset + header_.bucketCount * sizeof(Bucket)) ||
      !memory_.Reserve(header_.arenaOffset, header_.arenaBytes)) {
    RefuseWithoutMemory(path);
  }
  restored_ = Restored{};
}

/// Writes the header that readers see, of a new epoch, and makes the table empty.
void Region::Publish() {
  if (restored_) header_.epoch = NewEpoch();
  RegionHead head{.header = header_, .features = {}, .room = {}};
  Seal(head);
  header_ = head.header;
  // Before the table: who still reads by an older header must not go by a bucket count whose memory is given back.
  std::memcpy(memory_.data(), &head, sizeof head);
  if (restored_) EmptyTable();
  table_ = Hashtable(reinterpret_cast<Bucket*>(memory_.data() + header_.tableOffset), header_.bucketCount);
}

/// Zeroes the buckets in use, whose memory is reserved and stays so, and gives the memory of all others back.
void Region::EmptyTable() {
  const uint64_t end = header_.tableOffset + header_.bucketCount * sizeof(Bucket);
  std::memset(memory_.data() + header_.tableOffset, 0, end - header_.tableOffset);
  if (!memory_.Zero(end, header_.arenaOffset - end)) RefuseWithoutMemory(memory_.path());
}

/// Makes the table anew from the slots. Values are not looked at: IsIntact() does that, when one is wanted.
void Region::Restore() {
  for (uint64_t page = 0; page < pageCount(); page++) {
    const uint32_t slotBytes = directory()[page];
    if (slotBytes == 0) continue;
    if (slotBytes % kSlotUnitBytes == 0 && slotBytes > kSlotHeaderBytes && slotBytes <= kArenaPageBytes) {
      RestorePage(page, slotBytes);
    } else {
      restored_->damaged++;
      CutPage(page, 0);
    }
  }
  restored_->items = itemCount_;
}

void Region::RestorePage(uint64_t page, uint32_t slotBytes) {
  for (uint64_t at = 0; at + slotBytes <= kArenaPageBytes; at += slotBytes) {
    const uint64_t slot = page * kArenaPageBytes + at;
    SlotHeader* header = HeaderAt(slot);
    if (header->magic == 0) continue;
    if (header->magic == kSlotMagic && RestoreItem(slot, slotBytes)) continue;
    restored_->damaged++;
    header->magic = 0;
  }
}

/// Puts a slot's item into the table, or leaves it out when its key has a newer one. False when it is no whole item.
bool Region::RestoreItem(uint64_t slot, uint32_t slotBytes) {
  const std::optional<Item> item = WellFormed(slot);
  if (!item || item->header->valueOffset + uint64_t{item->header->valueBytes} + sizeof kValueEnd > slotBytes) return false;
  if (item->header->headXxh3 != HeadHash(*item->header, item->key - kTextKeyOffset)) return false;
  const Entry entry = EntryOf(*item);
  Entry* held = EntryFor(*item, entry.fingerprint);
  if (held == nullptr) {
    if (Insert(entry)) return true;
    throw Error("ERR_VOLLEY_MEMORY", "the region file " + memory_.path() + " cannot grow its table of " +
                                         std::to_string(itemCount_) + " items; make its file system larger");
  }
  restored_->replaced++;
  const uint64_t other = SlotOf(*held);
  const bool isNewer = item->header->cas > HeaderAt(other)->cas;
  if (isNewer) Hashtable::Store(held, entry);
  HeaderAt(isNewer ? other : slot)->magic = 0;
  return true;
}

}  // namespace volley
