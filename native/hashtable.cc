#include "hashtable.h"

#include <atomic>

namespace volley {
namespace {

template <typename T>
T Get(T& field, std::memory_order order = std::memory_order_relaxed) {
  return std::atomic_ref<T>(field).load(order);
}

template <typename T>
void Set(T& field, T value, std::memory_order order = std::memory_order_relaxed) {
  std::atomic_ref<T>(field).store(value, order);
}

/// Copies an entry if it was not changed meanwhile.
bool Snapshot(Entry& entry, Entry* out) {
  const uint16_t before = Get(entry.version, std::memory_order_acquire);
  if (before & 1) return false;
  out->fingerprint = Get(entry.fingerprint);
  out->address = Get(entry.address);
  out->length = Get(entry.length);
  out->slotUnits = Get(entry.slotUnits);
  out->xxh3 = Get(entry.xxh3);
  out->version = before;
  std::atomic_thread_fence(std::memory_order_acquire);
  return Get(entry.version) == before;
}

}  // namespace

void Hashtable::Store(Entry* entry, const Entry& value) {
  const uint16_t version = Get(entry->version);
  Set(entry->version, static_cast<uint16_t>(version + 1));
  std::atomic_thread_fence(std::memory_order_release);
  Set(entry->fingerprint, value.fingerprint);
  Set(entry->address, value.address);
  Set(entry->length, value.length);
  Set(entry->slotUnits, value.slotUnits);
  Set(entry->xxh3, value.xxh3);
  Set(entry->version, static_cast<uint16_t>(version + 2), std::memory_order_release);
}

void Hashtable::Clear(Entry* entry) { Store(entry, Entry{}); }

Entry* Hashtable::FreeEntry(uint64_t bucket) const {
  for (Entry& entry : buckets_[bucket].entries) {
    if (entry.fingerprint == 0) return &entry;
  }
  return nullptr;
}

bool Hashtable::Insert(const Entry& value) {
  const uint64_t first = FirstBucket(value.fingerprint);
  const uint64_t second = OtherBucket(value.fingerprint, first);
  Entry* entry = FreeEntry(first);
  if (entry == nullptr) entry = FreeEntry(second);
  if (entry == nullptr) {
    if (!MakeRoom(first, second)) return false;
    entry = FreeEntry(first);
    if (entry == nullptr) entry = FreeEntry(second);
  }
  Store(entry, value);
  return true;
}

// Cuckoo hashing with a breadth-first search for the shortest chain of moves, as in MemC3 (Fan et al., NSDI 2013). Each
// move copies an entry to its other bucket before the old one is cleared, so a key that is present can always be found.
bool Hashtable::MakeRoom(uint64_t first, uint64_t second) {
  constexpr int kSearchMax = 512;
  struct Step {
    uint64_t bucket;
    int parent;     // step that leads here, -1 for the two roots
    int fromEntry;  // which of the parent's entries moves here
  };
  Step steps[kSearchMax];
  int count = 0;
  steps[count++] = {first, -1, 0};
  if (second != first) steps[count++] = {second, -1, 0};

  for (int at = 0; at < count; at++) {
    if (Entry* hole = FreeEntry(steps[at].bucket)) {
      for (int step = at; steps[step].parent >= 0; step = steps[step].parent) {
        Entry* moved = &buckets_[steps[steps[step].parent].bucket].entries[steps[step].fromEntry];
        Store(hole, *moved);
        Clear(moved);
        hole = moved;
      }
      return true;
    }
    for (uint32_t i = 0; i < kEntriesPerBucket && count < kSearchMax; i++) {
      const uint64_t other = OtherBucket(buckets_[steps[at].bucket].entries[i].fingerprint, steps[at].bucket);
      bool seen = false;
      for (int step = 0; step < count; step++) seen |= steps[step].bucket == other;
      if (!seen) steps[count++] = {other, at, static_cast<int>(i)};
    }
  }
  return false;
}

int Hashtable::Lookup(uint64_t fingerprint, Entry* out) const {
  int found = 0;
  uint64_t at = FirstBucket(fingerprint);
  for (int pass = 0; pass < 2; pass++) {
    for (Entry& entry : buckets_[at].entries) {
      if (Get(entry.fingerprint) != fingerprint) continue;
      if (Snapshot(entry, &out[found]) && out[found].fingerprint == fingerprint) found++;
    }
    const uint64_t other = OtherBucket(fingerprint, at);
    if (other == at) break;  // a table of one bucket
    at = other;
  }
  return found;
}

}  // namespace volley
