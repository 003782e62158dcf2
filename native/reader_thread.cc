#include "reader_thread.h"

#include <poll.h>

#include <algorithm>
#include <cstring>
#include <random>

#include "clock.h"
#include "hash.h"

namespace volley {
namespace {

constexpr size_t kCompletionsPerPoll = 64;

/// Bytes that count as progress without a completion: a node that trickles some now and then holds nobody up.
constexpr uint64_t kProgressBytes = 4096;

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
                          .inFlight = {},
                          .again = {}});
  }
}

void ReaderThread::Run() {
  if (reader_.plan_.verifyBeside && !paths_.empty()) verifier_ = Verifier::Start();
  bool finished = false;
  while (!finished && !reader_.canceled_) {
    bool progressed = TakeVerdicts();
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
  }
  if (verifier_) verifier_->Finish();
  TakeVerdicts();
  for (Path& path : paths_) {
    stats[path.index].indexBytes = path.endpoint->indexBytes();
    stats[path.index].window = path.endpoint->window();
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
  const uint32_t unjudged = path.unjudged;
  size_t awaited = 0;
  for (size_t i = 0; i < count; i++) awaited += Complete(path, completions[i]);
  if (path.unjudged > unjudged) verifier_->Nudge();
  NoteProgress(path, awaited > 0);
  if (path.ended != ReadStatus::kOk) {
    GiveUp(path, path.ended);
  } else {
    CheckDeadline(path);
  }
  const bool readAll = path.inFlight.empty() && path.again.empty() && path.share->next >= path.share->chunks.size();
  if (readAll && path.unjudged == 0) path.finished = true;
  return posted || count > 0 || path.finished;
}

bool ReaderThread::TopUp(Path& path) {
  const uint32_t window = path.endpoint->window();
  bool moved = false;
  while (path.inFlight.size() < window) {
    Attempt attempt{};
    if (!path.again.empty()) {
      attempt = path.again.front();
      path.again.pop_front();
    } else {
      const size_t at = path.share->next.fetch_add(1);
      if (at >= path.share->chunks.size()) break;
      attempt.chunk = path.share->chunks[at];
    }
    const ReadStatus broken = path.share->broken;
    if (broken != ReadStatus::kOk) {
      Fail(attempt.chunk, Reason(broken, attempt.lastStatus));
    } else {
      Post(path, attempt);
    }
    moved = true;
  }
  return moved;
}

void ReaderThread::Post(Path& path, const Attempt& attempt) {
  const uint32_t length = reader_.ChunkLength(attempt.chunk);
  uint8_t* destination = reader_.Destination(attempt.chunk);
  reader_.plan_.destination->Populate(static_cast<uint64_t>(destination - reader_.plan_.destination->data()), length);
  const uint8_t* record = reader_.plan_.records.data() + static_cast<size_t>(attempt.chunk) * Reader::kRecordBytes;
  const bool again = attempt.before > 0;
  if (again) {
    stats[path.index].retries++;
    reader_.progress_->retries.fetch_add(1, std::memory_order_relaxed);
  }
  if (path.inFlight.empty()) path.progressNs = nowNs_;
  path.inFlight.push_back({path.nextId, attempt});
  path.endpoint->Post({path.nextId++, length, destination, record, Expected(attempt.chunk), again});
}

uint64_t ReaderThread::Expected(uint32_t chunk) const {
  const uint8_t* record = reader_.plan_.records.data() + static_cast<size_t>(chunk) * Reader::kRecordBytes;
  uint64_t xxh3;
  std::memcpy(&xxh3, record + 16, sizeof xxh3);
  return xxh3;
}

/// Takes a completion in. Returns whether its read was in flight: a device may tell one twice, which means nothing.
bool ReaderThread::Complete(Path& path, const Completion& completion) {
  const auto at = std::find_if(path.inFlight.begin(), path.inFlight.end(),
                               [&](const InFlight& read) { return read.id == completion.id; });
  if (at == path.inFlight.end()) return false;
  const Attempt attempt = at->attempt;
  path.inFlight.erase(at);
  if (completion.status != ReadStatus::kOk) {
    Conclude(path, attempt, completion.status);
  } else if (!HandOver(path, attempt)) {
    const uint64_t began = NowNs();
    const uint32_t chunk = attempt.chunk;
    const bool right = Hash64(reader_.Destination(chunk), reader_.ChunkLength(chunk)) == Expected(chunk);
    Judge(path, attempt, {right, NowNs() - began});
  }
  return true;
}

/// Gives a chunk that has landed to the verifier, if there is one and it has room.
bool ReaderThread::HandOver(Path& path, const Attempt& attempt) {
  if (!verifier_) return false;
  const uint32_t chunk = attempt.chunk;
  if (!verifier_->Give(reader_.Destination(chunk), reader_.ChunkLength(chunk), Expected(chunk))) return false;
  landed_.push_back({&path, attempt});
  path.unjudged++;
  return true;
}

/// Returns whether there were any. A path may have been given up since its chunk landed: it is right all the same, or
/// told as wrong.
bool ReaderThread::TakeVerdicts() {
  Verifier::Verdict verdict;
  const size_t before = landed_.size();
  while (!landed_.empty() && verifier_->Take(&verdict)) {
    const Landed landed = landed_.front();
    landed_.pop_front();
    landed.path->unjudged--;
    Judge(*landed.path, landed.attempt, verdict);
  }
  return landed_.size() < before;
}

void ReaderThread::Judge(Path& path, const Attempt& attempt, const Verifier::Verdict& verdict) {
  stats[path.index].verifyNs += verdict.ns;
  if (!verdict.right) {
    stats[path.index].checksumFailures++;
    reader_.progress_->checksumFailures.fetch_add(1, std::memory_order_relaxed);
  }
  Conclude(path, attempt, verdict.right ? ReadStatus::kOk : ReadStatus::kChecksum);
}

/// Counts a chunk as read, notes that it is to be read again, or fails it.
void ReaderThread::Conclude(Path& path, const Attempt& attempt, ReadStatus status) {
  if (status == ReadStatus::kOk) {
    const uint32_t length = reader_.ChunkLength(attempt.chunk);
    stats[path.index].chunks++;
    stats[path.index].bytes += length;
    reader_.progress_->chunks.fetch_add(1, std::memory_order_relaxed);
    reader_.progress_->bytes.fetch_add(length, std::memory_order_relaxed);
    return;
  }
  if (WorthRetrying(status) && attempt.before < reader_.plan_.retries && path.share->broken == ReadStatus::kOk) {
    path.again.push_back({attempt.chunk, attempt.before + 1, status});
    return;
  }
  if (EndsPath(status)) {
    path.ended = status;
    path.share->broken = status;
  }
  Fail(attempt.chunk, Reason(status, attempt.lastStatus));
}

void ReaderThread::NoteProgress(Path& path, bool completed) {
  const uint64_t bytes = path.endpoint->receivedBytes() + path.endpoint->indexBytes();
  if (!completed && bytes < path.bytesSeen + kProgressBytes) return;
  path.bytesSeen = bytes;
  path.progressNs = nowNs_;
}

void ReaderThread::CheckDeadline(Path& path) {
  if (path.inFlight.empty()) return;
  if (nowNs_ - path.progressNs < static_cast<uint64_t>(reader_.plan_.readTimeoutMs) * 1'000'000) return;
  GiveUp(path, ReadStatus::kTimeout);
}

/// Closes the endpoint first: only then may anything else be done about the chunks that were in flight.
void ReaderThread::GiveUp(Path& path, ReadStatus why) {
  path.endpoint->Close();
  path.share->broken = why;
  for (const InFlight& read : path.inFlight) Fail(read.attempt.chunk, Reason(why, read.attempt.lastStatus));
  for (const Attempt& attempt : path.again) Fail(attempt.chunk, Reason(why, attempt.lastStatus));
  path.inFlight.clear();
  path.again.clear();
  for (size_t at; (at = path.share->next.fetch_add(1)) < path.share->chunks.size();) {
    Fail(path.share->chunks[at], why);
  }
  path.finished = true;
}

/// Sleeps until an endpoint has something, a path is due, a verdict is wanted, or the reader is cancelled.
void ReaderThread::Wait() {
  std::vector<pollfd> waits{{reader_.wake_.get(), POLLIN, 0}};
  const uint64_t timeoutNs = static_cast<uint64_t>(reader_.plan_.readTimeoutMs) * 1'000'000;
  uint64_t waitNs = timeoutNs;
  // A good verdict can wait as long as something else will wake us.
  Verifier::Wake wake = Verifier::Wake::kOnAny;
  nowNs_ = NowNs();
  for (const Path& path : paths_) {
    if (path.finished || path.inFlight.empty()) continue;
    wake = Verifier::Wake::kOnWrong;
    short events = 0;
    const int descriptor = path.endpoint->WaitDescriptor(&events);
    if (descriptor >= 0) {
      waits.push_back({descriptor, events, 0});
    } else {
      waitNs = 0;
    }
    const uint64_t due = path.progressNs + timeoutNs;
    waitNs = std::min(waitNs, due > nowNs_ ? due - nowNs_ : 0);
  }
  const bool judging = waitNs > 0 && !landed_.empty();
  if (judging) {
    if (!verifier_->BeforeSleep(wake)) return;
    waits.push_back({verifier_->descriptor(), POLLIN, 0});
  }
  // Rounded up: to wake before a deadline would only mean to wait once more.
  poll(waits.data(), waits.size(), static_cast<int>(std::min<uint64_t>((waitNs + 999'999) / 1'000'000, INT32_MAX)));
  if (judging) verifier_->AfterSleep();
}

}  // namespace volley
