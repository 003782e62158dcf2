#include "region.h"

#include <atomic>
#include <cerrno>

#include "error.h"
#include "hash.h"
#include "item_head.h"

namespace volley {
namespace {

/// Two-choice buckets of four entries fill to 95 %; nine tenths keep the search for room short.
constexpr uint64_t kFillTenths = 9;

template <typename T>
void SetLast(T& field, T value) {
  std::atomic_ref<T>(field).store(value, std::memory_order_release);
}

}  // namespace

void Region::CutPage(uint64_t page, uint32_t slotBytes) {
  auto& told = reinterpret_cast<uint32_t*>(memory_.data() + kRegionHeaderBytes)[page];
  SetLast(told, 0u);
  if (slotBytes == 0) return;
  // What lay there before may look like items.
  uint8_t* start = arena() + page * kArenaPageBytes;
  for (uint64_t at = 0; at + slotBytes <= kArenaPageBytes; at += slotBytes) {
    SetLast(reinterpret_cast<SlotHeader*>(start + at)->magic, 0u);
  }
  SetLast(told, slotBytes);
}

bool Region::HoldsKey(const Entry& entry, const uint8_t* key, size_t bytes) const {
  const uint8_t* value = memory_.data() + entry.address;
  const auto* slot = reinterpret_cast<const SlotHeader*>(value - entry.slotUnits * kSlotUnitBytes);
  return slot->keyBytes == bytes && std::memcmp(value - slot->textBytes + kTextKeyOffset, key, bytes) == 0;
}

int64_t Region::Find(const uint8_t* key, size_t bytes) const {
  const Entry* entry =
      table_.Find(Fingerprint(key, bytes), [&](const Entry& candidate) { return HoldsKey(candidate, key, bytes); });
  return entry == nullptr ? -1 : static_cast<int64_t>(SlotOf(*entry));
}

/// The item in a slot, whatever its magic says, if its lengths make sense.
std::optional<Region::Item> Region::WellFormed(uint64_t slot) const {
  SlotHeader* header = HeaderAt(slot);
  const uint32_t valueOffset = header->valueOffset;
  const bool fits = header->keyBytes >= 1 && header->keyBytes <= kKeyBytesMax &&
                    header->textBytes >= kTextKeyOffset + header->keyBytes && valueOffset % kSlotUnitBytes == 0 &&
                    valueOffset >= kSlotHeaderBytes + header->extraBytes + header->textBytes && valueOffset <= kArenaPageBytes &&
                    slot + valueOffset + header->valueBytes + sizeof kValueEnd <= header_.arenaBytes;
  if (!fits) return std::nullopt;
  const uint8_t* value = arena() + slot + valueOffset;
  return Item{header, value - header->textBytes + kTextKeyOffset, header_.arenaOffset + slot + valueOffset};
}

Region::Item Region::ItemAt(uint64_t slot) const {
  if (slot % kSlotUnitBytes != 0 || slot > header_.arenaBytes - kSlotHeaderBytes) {
    throw Error("ERR_VOLLEY_USAGE", "no slot begins at arena offset " + std::to_string(slot));
  }
  const std::optional<Item> item = WellFormed(slot);
  if (!item) {
    throw Error("ERR_VOLLEY_USAGE", "the slot at arena offset " + std::to_string(slot) + " holds no well-formed item");
  }
  return *item;
}

Entry Region::EntryOf(const Item& item) const {
  return {.fingerprint = Fingerprint(item.key, item.header->keyBytes),
          .address = item.address,
          .length = item.header->valueBytes,
          .slotUnits = static_cast<uint16_t>(item.header->valueOffset / kSlotUnitBytes),
          .version = 0,
          .xxh3 = item.header->xxh3};
}

/// The entry that an item's key has, or null.
Entry* Region::EntryFor(const Item& item, uint64_t fingerprint) const {
  return table_.Find(fingerprint, [&](const Entry& held) { return HoldsKey(held, item.key, item.header->keyBytes); });
}

int64_t Region::Link(uint64_t slot) {
  const Item item = ItemAt(slot);
  item.header->xxh3 = Hash64(memory_.data() + item.address, item.header->valueBytes);
  item.header->headXxh3 = HeadHash(*item.header, item.key - kTextKeyOffset);
  const Entry entry = EntryOf(item);
  SetLast(item.header->magic, kSlotMagic);
  const TableChanges::Change change(changes_);
  if (Entry* held = EntryFor(item, entry.fingerprint)) {
    const uint64_t replaced = SlotOf(*held);
    Hashtable::Store(held, entry);
    SetLast(HeaderAt(replaced)->magic, 0u);
    return static_cast<int64_t>(replaced);
  }
  if (Insert(entry)) return kNew;
  SetLast(item.header->magic, 0u);
  return kTableFull;
}

bool Region::Unlink(uint64_t slot) {
  const Item item = ItemAt(slot);
  Entry* entry = table_.Find(Fingerprint(item.key, item.header->keyBytes),
                             [&](const Entry& candidate) { return candidate.address == item.address; });
  if (entry == nullptr) return false;
  Hashtable::Clear(entry);
  SetLast(item.header->magic, 0u);
  itemCount_--;
  return true;
}

void Region::Move(uint64_t from, uint64_t to) {
  const Item item = ItemAt(from);
  Entry* held = EntryFor(item, Fingerprint(item.key, item.header->keyBytes));
  const uint64_t bytes = item.header->valueOffset + uint64_t{item.header->valueBytes} + sizeof kValueEnd;
  if (held == nullptr || SlotOf(*held) != from || to % kSlotUnitBytes != 0 || to > header_.arenaBytes ||
      bytes > header_.arenaBytes - to) {
    throw Error("ERR_VOLLEY_USAGE", "no linked item to move from " + std::to_string(from) + " to " + std::to_string(to));
  }
  std::memcpy(arena() + to + sizeof kSlotMagic, arena() + from + sizeof kSlotMagic, bytes - sizeof kSlotMagic);
  SetLast(HeaderAt(to)->magic, kSlotMagic);
  const TableChanges::Change change(changes_);
  Hashtable::Store(held, EntryOf(ItemAt(to)));
  SetLast(item.header->magic, 0u);
}

bool Region::IsIntact(uint64_t slot) const {
  const Item item = ItemAt(slot);
  const uint8_t* value = memory_.data() + item.address;
  return Hash64(value, item.header->valueBytes) == item.header->xxh3 &&
         std::memcmp(value + item.header->valueBytes, kValueEnd, sizeof kValueEnd) == 0;
}

bool Region::Insert(const Entry& entry) {
  const bool isFull = (itemCount_ + 1) * 10 > table_.bucketCount() * kEntriesPerBucket * kFillTenths;
  if (isFull) GrowTable();
  if (!table_.Insert(entry) && !(GrowTable() && table_.Insert(entry))) return false;
  itemCount_++;
  return true;
}

/// Takes a quarter of a power of two more buckets into use. False when there are none, or no memory for them.
bool Region::GrowTable() {
  const uint64_t count = table_.bucketCount();
  const uint64_t grown = std::min(header_.bucketCapacity, count + std::max<uint64_t>(1, std::bit_floor(count) / 4));
  if (grown == count) return false;
  const uint64_t end = header_.tableOffset + count * sizeof(Bucket);
  if (!memory_.Reserve(end, (grown - count) * sizeof(Bucket))) return false;
  table_.Grow(grown, [&] {
    header_.bucketCount = grown;
    SetLast(reinterpret_cast<RegionHeader*>(memory_.data())->bucketCount, grown);
  });
  return true;
}

void Region::Share(const std::string& path) {
  Unshare();
  handOut_ = std::make_unique<HandOutSocket>(path, memory_.readOnlyFd(), header_.epoch);
}

void Region::Close() {
  Unshare();
  StopOffering();
  memory_.Unlock();
}

const FabricListener& Region::Offer(const FabricListener::Options& options) {
  fabric_ = std::make_unique<FabricListener>(memory_.data(), memory_.bytes(), options);
  return *fabric_;
}

}  // namespace volley
