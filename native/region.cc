#include "region.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>

#include "error.h"
#include "hash.h"
#include "unix_address.h"

namespace volley {
namespace {

constexpr uint64_t kHugePageBytes = 2 << 20;
constexpr uint64_t kSmallPageBytes = 4096;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL;

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

RegionHeader Geometry(const Region::Options& options, uint64_t backingPageBytes) {
  // Two-choice buckets of four with moves fill to 95 %; nine tenths keep the search for room short.
  const uint64_t buckets = std::bit_ceil(options.tableItems * 10 / 9 / kEntriesPerBucket + 1);
  RegionHeader header{};
  std::memcpy(header.magic, kRegionMagic, sizeof kRegionMagic);
  header.layoutVersion = kLayoutVersion;
  header.headerBytes = kRegionHeaderBytes;
  header.epoch = NewEpoch();
  header.tableOffset = kRegionHeaderBytes;
  header.bucketCount = buckets;
  header.bucketBytes = sizeof(Bucket);
  header.entriesPerBucket = kEntriesPerBucket;
  header.arenaOffset = RoundUp(header.tableOffset + buckets * sizeof(Bucket), kSmallPageBytes);
  header.arenaBytes = options.arenaBytes / kArenaPageBytes * kArenaPageBytes;
  header.arenaPageBytes = kArenaPageBytes;
  header.slotHeaderBytes = kSlotHeaderBytes;
  header.backingPageBytes = backingPageBytes;
  header.regionBytes = RoundUp(header.arenaOffset + header.arenaBytes, backingPageBytes);
  header.checksum = Hash64(&header, offsetof(RegionHeader, checksum));
  return header;
}

}  // namespace

Region::Region(const Options& options) {
  if (options.arenaBytes < kArenaPageBytes) {
    throw Error("ERR_VOLLEY_MEMORY", "a storage node needs at least 2 MB of memory (-m 2)");
  }
  if (options.hugepages && !Map(options, true)) {
    const uint64_t pages = Geometry(options, kHugePageBytes).regionBytes / kHugePageBytes;
    notice_ = "using 4 KiB pages: " + std::to_string(pages) +
              " hugepages of 2 MiB are not free (sysctl vm.nr_hugepages)";
  }
  if (!mapping_ && !Map(options, false)) {
    throw Error("ERR_VOLLEY_MEMORY", SystemMessage("cannot map a region of " + std::to_string(options.arenaBytes >> 20) +
                                                       " MiB", errno) + "; ask for less with -m");
  }
  std::memcpy(mapping_.data(), &header_, sizeof header_);
  table_ = Hashtable(reinterpret_cast<Bucket*>(mapping_.data() + header_.tableOffset), header_.bucketCount);
}

bool Region::Map(const Options& options, bool hugepages) {
  const uint64_t pageBytes = hugepages ? kHugePageBytes : kSmallPageBytes;
  const RegionHeader header = Geometry(options, pageBytes);
  UniqueFd fd(memfd_create("volley-region", MFD_CLOEXEC | MFD_ALLOW_SEALING | (hugepages ? MFD_HUGETLB : 0)));
  if (!fd || ftruncate(fd.get(), static_cast<off_t>(header.regionBytes)) != 0) return false;
  Mapping mapping(fd.get(), header.regionBytes, PROT_READ | PROT_WRITE);
  if (!mapping) return false;
  // From here on nobody can map the region writable or resize it; our own mapping stays writable.
  if (fcntl(fd.get(), F_ADD_SEALS, kSeals) != 0) return false;
  UniqueFd readOnly(open(("/proc/self/fd/" + std::to_string(fd.get())).c_str(), O_RDONLY | O_CLOEXEC));
  if (!readOnly) return false;
  madvise(mapping.data(), mapping.bytes(), MADV_DONTDUMP);
  if (!hugepages) madvise(mapping.data(), mapping.bytes(), MADV_HUGEPAGE);
  header_ = header;
  fd_ = std::move(fd);
  readOnlyFd_ = std::move(readOnly);
  mapping_ = std::move(mapping);
  return true;
}

bool Region::HoldsKey(const Entry& entry, const uint8_t* key, size_t bytes) const {
  const uint8_t* value = mapping_.data() + entry.address;
  const auto* slot = reinterpret_cast<const SlotHeader*>(value - entry.slotUnits * kSlotUnitBytes);
  return slot->keyBytes == bytes && std::memcmp(value - slot->textBytes + kTextKeyOffset, key, bytes) == 0;
}

int64_t Region::Find(const uint8_t* key, size_t bytes) const {
  const Entry* entry =
      table_.Find(Fingerprint(key, bytes), [&](const Entry& candidate) { return HoldsKey(candidate, key, bytes); });
  if (entry == nullptr) return -1;
  return static_cast<int64_t>(entry->address - entry->slotUnits * kSlotUnitBytes - header_.arenaOffset);
}

Region::Item Region::ItemAt(uint64_t slot) const {
  const uint64_t arenaBytes = header_.arenaBytes;
  if (slot % kSlotUnitBytes != 0 || slot > arenaBytes - kSlotHeaderBytes) {
    throw Error("ERR_VOLLEY_USAGE", "no slot begins at arena offset " + std::to_string(slot));
  }
  auto* header = reinterpret_cast<SlotHeader*>(arena() + slot);
  const uint32_t valueOffset = header->valueOffset;
  const bool wellFormed = header->magic == kSlotMagic && header->keyBytes >= 1 && header->keyBytes <= kKeyBytesMax &&
                          header->textBytes >= kTextKeyOffset + header->keyBytes && valueOffset % kSlotUnitBytes == 0 &&
                          valueOffset >= kSlotHeaderBytes + header->textBytes && valueOffset <= kArenaPageBytes &&
                          slot + valueOffset + header->valueBytes <= arenaBytes;
  if (!wellFormed) {
    throw Error("ERR_VOLLEY_USAGE", "the slot at arena offset " + std::to_string(slot) + " holds no well-formed item");
  }
  const uint8_t* value = arena() + slot + valueOffset;
  return {header, value - header->textBytes + kTextKeyOffset, header_.arenaOffset + slot + valueOffset};
}

int64_t Region::Link(uint64_t slot) {
  const Item item = ItemAt(slot);
  item.header->xxh3 = Hash64(mapping_.data() + item.address, item.header->valueBytes);
  const Entry value{.fingerprint = Fingerprint(item.key, item.header->keyBytes),
                    .address = item.address,
                    .length = item.header->valueBytes,
                    .slotUnits = static_cast<uint16_t>(item.header->valueOffset / kSlotUnitBytes),
                    .version = 0,
                    .xxh3 = item.header->xxh3};
  Entry* held = table_.Find(value.fingerprint, [&](const Entry& candidate) {
    return HoldsKey(candidate, item.key, item.header->keyBytes);
  });
  if (held != nullptr) {
    const uint64_t replaced = held->address - held->slotUnits * kSlotUnitBytes - header_.arenaOffset;
    Hashtable::Store(held, value);
    return static_cast<int64_t>(replaced);
  }
  if (!table_.Insert(value)) return kTableFull;
  itemCount_++;
  return kNew;
}

bool Region::Unlink(uint64_t slot) {
  const Item item = ItemAt(slot);
  Entry* entry = table_.Find(Fingerprint(item.key, item.header->keyBytes),
                             [&](const Entry& candidate) { return candidate.address == item.address; });
  if (entry == nullptr) return false;
  Hashtable::Clear(entry);
  itemCount_--;
  return true;
}

void Region::Share(const std::string& path) {
  Unshare();
  sockaddr_un address;
  if (!MakeUnixAddress(path, &address)) {
    throw Error("ERR_VOLLEY_USAGE", "the socket path " + path + " must have 1 to 107 bytes; give another with --local");
  }
  UniqueFd listener(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  unlink(path.c_str());
  // Nobody can connect between bind and listen, so the mode is right before the first reader comes.
  if (!listener || bind(listener.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      chmod(path.c_str(), 0600) != 0 || listen(listener.get(), 128) != 0) {
    throw Error("ERR_VOLLEY_FILE", SystemMessage("cannot listen on " + path, errno) + "; give another with --local");
  }
  stopSharing_ = UniqueFd(eventfd(0, EFD_CLOEXEC));
  if (!stopSharing_) throw Error("ERR_VOLLEY_FILE", SystemMessage("eventfd", errno));
  sharedPath_ = path;
  sharing_ = std::thread([this, listener = std::move(listener), stop = stopSharing_.get()] {
    ServeDescriptor(listener.get(), stop);
  });
}

void Region::Unshare() {
  if (!sharing_.joinable()) return;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(stopSharing_.get(), &one, sizeof one);
  sharing_.join();
  stopSharing_.Reset();
  unlink(sharedPath_.c_str());
}

const FabricListener& Region::Offer(const FabricListener::Options& options) {
  fabric_ = std::make_unique<FabricListener>(mapping_.data(), mapping_.bytes(), options);
  return *fabric_;
}

void Region::ServeDescriptor(int listener, int stop) const {
  for (;;) {
    pollfd waits[2] = {{listener, POLLIN, 0}, {stop, POLLIN, 0}};
    if (poll(waits, 2, -1) < 0 && errno != EINTR) return;
    if (waits[1].revents != 0) return;
    if ((waits[0].revents & POLLIN) == 0) continue;
    const UniqueFd peer(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!peer) {
      // Out of descriptors: the peer stays in the backlog; don't spin on it.
      if (errno == EMFILE || errno == ENFILE) poll(&waits[1], 1, 100);
      continue;
    }
    HandOut message{};
    std::memcpy(message.magic, kHandOutMagic, sizeof kHandOutMagic);
    message.epoch = header_.epoch;
    iovec bytes{&message, sizeof message};
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
    msghdr envelope{};
    envelope.msg_iov = &bytes;
    envelope.msg_iovlen = 1;
    envelope.msg_control = control;
    envelope.msg_controllen = sizeof control;
    cmsghdr* attached = CMSG_FIRSTHDR(&envelope);
    attached->cmsg_level = SOL_SOCKET;
    attached->cmsg_type = SCM_RIGHTS;
    attached->cmsg_len = CMSG_LEN(sizeof(int));
    const int descriptor = readOnlyFd_.get();
    std::memcpy(CMSG_DATA(attached), &descriptor, sizeof descriptor);
    // A peer that is gone already is its own loss.
    [[maybe_unused]] const ssize_t sent = sendmsg(peer.get(), &envelope, MSG_NOSIGNAL);
  }
}

}  // namespace volley
