#include "reader_thread.h"

#include <poll.h>
#include <time.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "hash.h"

namespace volley {
namespace {

constexpr size_t kCompletionsPerPoll = 64;

uint64_t NowNs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

/// Whether the same node may well answer otherwise when asked again: the entry was stale, or the slot was being reused.
bool WorthRetrying(ReadStatus status) {
  return status == ReadStatus::kMissing || status == ReadStatus::kChecksum || status == ReadStatus::kLength ||
         status == ReadStatus::kBounds;
}

/// Whether nothing more will come over the endpoint.
bool EndsPath(ReadStatus status) {
  return status == ReadStatus::kConnection || status == ReadStatus::kProtocol || status == ReadStatus::kTimeout;
}

/// What to tell of a chunk whose last read ended like this. A path that ended while a bad chunk was read again says less
/// than why it had to be.
ReadStatus Reason(ReadStatus status, ReadStatus statusBefore) {
  return EndsPath(status) && statusBefore != ReadStatus::kOk ? statusBefore : status;
}

}  // namespace

ReaderThread::ReaderThread(Reader& reader, size_t index) : stats(reader.shares_.size()), reader_(reader) {
  const size_t count = reader.shares_.size();
  const size_t first = count == 0 ? 0 : (std::random_device{}() + index) % count;
  for (size_t i = 0; i < count; i++) {
    const size_t at = (first + i) % count;
    if (reader.shares_[at]->chunks.empty()) continue;
    paths_.push_back(Path{.endpoint = reader.plan_.paths[at](),
                          .index = at,
                          .share = reader.shares_[at].get(),
                          .inFlight = {}});
  }
}

void ReaderThread::Run() {
  bool finished = false;
  while (!finished && !reader_.canceled_) {
    bool progressed = false;
    finished = true;
    for (Path& path : paths_) {
      if (path.finished) continue;
      progressed |= Step(path);
      finished &= path.finished;
    }
    if (!finished && !progressed) Wait();
  }
  for (Path& path : paths_) {
    if (!path.finished) GiveUp(path, ReadStatus::kCanceled);
    stats[path.index].indexBytes = path.endpoint->indexBytes();
    stats[path.index].error = path.endpoint->error();
    path.endpoint->Close();
  }
}

/// Moves one path on. Returns whether anything happened.
bool ReaderThread::Step(Path& path) {
  const uint64_t began = NowNs();
  nowNs_ = began;
  const bool posted = TopUp(path);
  path.endpoint->Flush();
  Completion completions[kCompletionsPerPoll];
  const size_t count = path.endpoint->Poll(completions, kCompletionsPerPoll);
  nowNs_ = NowNs();
  stats[path.index].readNs += nowNs_ - began;
  size_t awaited = 0;
  for (size_t i = 0; i < count; i++) awaited += Complete(path, completions[i]);
  if (path.ended != ReadStatus::kOk) {
    GiveUp(path, path.ended);
  } else if (awaited == 0) {
    CheckDeadline(path);
  }
  if (path.inFlight.empty() && path.share->next >= path.share->chunks.size()) path.finished = true;
  return posted || count > 0;
}

bool ReaderThread::TopUp(Path& path) {
  const uint32_t window = path.endpoint->window();
  bool posted = false;
  while (path.inFlight.size() < window) {
    const size_t at = path.share->next.fetch_add(1);
    if (at >= path.share->chunks.size()) break;
    const uint32_t chunk = path.share->chunks[at];
    const ReadStatus broken = path.share->broken;
    if (broken != ReadStatus::kOk) {
      Fail(chunk, broken);
    } else {
      Post(path, chunk, 0, ReadStatus::kOk);
    }
    posted = true;
  }
  return posted;
}

void ReaderThread::Post(Path& path, uint32_t chunk, uint32_t attempts, ReadStatus lastStatus) {
  const uint32_t length = reader_.ChunkLength(chunk);
  uint8_t* destination = reader_.Destination(chunk);
  reader_.plan_.destination->Populate(static_cast<uint64_t>(destination - reader_.plan_.destination->data()), length);
  const uint8_t* record = reader_.plan_.records.data() + static_cast<size_t>(chunk) * Reader::kRecordBytes;
  uint64_t xxh3;
  std::memcpy(&xxh3, record + 16, sizeof xxh3);
  path.inFlight.push_back({path.nextId, chunk, nowNs_, attempts, lastStatus});
  path.endpoint->Post({path.nextId++, length, destination, record, xxh3, attempts > 0});
}

/// Takes a completion in. Returns whether its read was in flight: a device may tell one twice, which means nothing.
bool ReaderThread::Complete(Path& path, const Completion& completion) {
  const auto at = std::find_if(path.inFlight.begin(), path.inFlight.end(),
                               [&](const InFlight& read) { return read.id == completion.id; });
  if (at == path.inFlight.end()) return false;
  const InFlight read = *at;
  path.inFlight.erase(at);

  ReadStatus status = completion.status;
  if (status == ReadStatus::kOk && !Verify(path, read.chunk)) status = ReadStatus::kChecksum;
  if (status == ReadStatus::kOk) {
    const uint32_t length = reader_.ChunkLength(read.chunk);
    stats[path.index].chunks++;
    stats[path.index].bytes += length;
    reader_.progress_->chunks.fetch_add(1, std::memory_order_relaxed);
    reader_.progress_->bytes.fetch_add(length, std::memory_order_relaxed);
    return true;
  }
  if (WorthRetrying(status) && read.attempts < reader_.plan_.retries && path.share->broken == ReadStatus::kOk) {
    stats[path.index].retries++;
    reader_.progress_->retries.fetch_add(1, std::memory_order_relaxed);
    nowNs_ = NowNs();
    Post(path, read.chunk, read.attempts + 1, status);
    return true;
  }
  if (EndsPath(status)) {
    path.ended = status;
    path.share->broken = status;
  }
  Fail(read.chunk, Reason(status, read.lastStatus));
  return true;
}

bool ReaderThread::Verify(Path& path, uint32_t chunk) {
  const uint64_t began = NowNs();
  uint64_t expected;
  std::memcpy(&expected, reader_.plan_.records.data() + static_cast<size_t>(chunk) * Reader::kRecordBytes + 16,
              sizeof expected);
  const bool same = Hash64(reader_.Destination(chunk), reader_.ChunkLength(chunk)) == expected;
  stats[path.index].verifyNs += NowNs() - began;
  if (!same) {
    stats[path.index].checksumFailures++;
    reader_.progress_->checksumFailures.fetch_add(1, std::memory_order_relaxed);
  }
  return same;
}

void ReaderThread::CheckDeadline(Path& path) {
  if (path.inFlight.empty()) return;
  if (nowNs_ - path.inFlight.front().postedNs < static_cast<uint64_t>(reader_.plan_.readTimeoutMs) * 1'000'000) return;
  GiveUp(path, ReadStatus::kTimeout);
}

/// Closes the endpoint first: only then may anything else be done about the chunks that were in flight.
void ReaderThread::GiveUp(Path& path, ReadStatus why) {
  path.endpoint->Close();
  path.share->broken = why;
  for (const InFlight& read : path.inFlight) Fail(read.chunk, Reason(why, read.lastStatus));
  path.inFlight.clear();
  for (size_t at; (at = path.share->next.fetch_add(1)) < path.share->chunks.size();) {
    Fail(path.share->chunks[at], why);
  }
  path.finished = true;
}

/// Sleeps until an endpoint has something, the oldest read is due, or the reader is cancelled.
void ReaderThread::Wait() {
  std::vector<pollfd> waits{{reader_.wake_.get(), POLLIN, 0}};
  const uint64_t timeoutNs = static_cast<uint64_t>(reader_.plan_.readTimeoutMs) * 1'000'000;
  uint64_t waitNs = timeoutNs;
  nowNs_ = NowNs();
  for (const Path& path : paths_) {
    if (path.finished) continue;
    short events = 0;
    const int descriptor = path.endpoint->WaitDescriptor(&events);
    if (descriptor >= 0) {
      waits.push_back({descriptor, events, 0});
    } else {
      waitNs = 0;
    }
    if (!path.inFlight.empty()) {
      const uint64_t due = path.inFlight.front().postedNs + timeoutNs;
      waitNs = std::min(waitNs, due > nowNs_ ? due - nowNs_ : 0);
    }
  }
  // Rounded up: to wake before a deadline would only mean to wait once more.
  poll(waits.data(), waits.size(), static_cast<int>(std::min<uint64_t>((waitNs + 999'999) / 1'000'000, INT32_MAX)));
}

}  // namespace volley
