#include "reader.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <system_error>

#include "error.h"
#include "reader_thread.h"

namespace volley {

Reader::Reader(Plan plan, std::shared_ptr<Progress> progress)
    : plan_(std::move(plan)), progress_(std::move(progress)), wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  const auto refuse = [](const std::string& why) { throw Error("ERR_VOLLEY_USAGE", "bad read plan: " + why); };
  const uint64_t chunks = plan_.sources.size();
  if (!wake_) throw Error("ERR_VOLLEY_MEMORY", SystemMessage("eventfd", errno));
  if (plan_.chunkBytes == 0 || plan_.chunkBytes > kChunkBytesMax) refuse("chunk size out of range");
  if (plan_.imageBytes / plan_.chunkBytes + (plan_.imageBytes % plan_.chunkBytes != 0) != chunks || chunks > UINT32_MAX) {
    refuse("the number of sources does not fit the image's size");
  }
  if (plan_.records.size() != chunks * kRecordBytes) refuse("the number of records does not fit the image's size");
  if (!plan_.destination->Contains(plan_.destinationOffset, plan_.imageBytes)) {
    refuse("the image does not fit into the destination");
  }
  if (plan_.threads == 0 || plan_.threads > 256) refuse("threads must be 1 to 256");
  if (plan_.readTimeoutMs == 0) refuse("a read needs a deadline");
  Deal();
}

uint32_t Reader::ChunkLength(uint32_t chunk) const {
  const uint64_t at = static_cast<uint64_t>(chunk) * plan_.chunkBytes;
  return static_cast<uint32_t>(std::min<uint64_t>(plan_.chunkBytes, plan_.imageBytes - at));
}

uint8_t* Reader::Destination(uint32_t chunk) const {
  return plan_.destination->data() + plan_.destinationOffset + static_cast<uint64_t>(chunk) * plan_.chunkBytes;
}

/// Sorts the chunks by the path that is to bring them.
void Reader::Deal() {
  for (size_t i = 0; i < plan_.paths.size(); i++) shares_.push_back(std::make_unique<Share>());
  for (uint32_t chunk = 0; chunk < plan_.sources.size(); chunk++) {
    const uint16_t source = plan_.sources[chunk];
    if (source == kSourceZero || source == kSourceSkip) continue;
    if (source >= shares_.size()) throw Error("ERR_VOLLEY_USAGE", "bad read plan: a chunk's source is no path");
    shares_[source]->chunks.push_back(chunk);
  }
}

void Reader::WriteZeros() {
  for (uint32_t chunk = 0; chunk < plan_.sources.size(); chunk++) {
    if (plan_.sources[chunk] != kSourceZero) continue;
    if (canceled_) {
      result_.failures.push_back({chunk, ReadStatus::kCanceled});
      continue;
    }
    if (!plan_.destinationIsZero) std::memset(Destination(chunk), 0, ChunkLength(chunk));
    result_.zeroChunks++;
  }
}

Reader::Result Reader::Run() {
  const auto began = std::chrono::steady_clock::now();
  WriteZeros();
  // All are made before the first one runs: an endpoint that can't be made must not leave threads behind.
  std::vector<std::unique_ptr<ReaderThread>> workers;
  for (size_t i = 0; i < plan_.threads; i++) workers.push_back(std::make_unique<ReaderThread>(*this, i));
  std::vector<std::thread> threads;
  try {
    for (size_t i = 1; i < workers.size(); i++) threads.emplace_back([&worker = *workers[i]] { worker.Run(); });
  } catch (const std::system_error&) {
    // Where the system refuses more threads, those that run bring all chunks.
  }
  workers[0]->Run();
  for (std::thread& thread : threads) thread.join();

  result_.paths.resize(shares_.size());
  for (const auto& worker : workers) {
    result_.failures.insert(result_.failures.end(), worker->failures.begin(), worker->failures.end());
    for (size_t i = 0; i < shares_.size(); i++) {
      PathStats& sum = result_.paths[i];
      const PathStats& part = worker->stats[i];
      sum.chunks += part.chunks;
      sum.bytes += part.bytes;
      sum.readNs += part.readNs;
      sum.verifyNs += part.verifyNs;
      sum.retries += part.retries;
      sum.checksumFailures += part.checksumFailures;
      sum.indexBytes += part.indexBytes;
      sum.window = std::max(sum.window, part.window);
      if (sum.error.empty()) sum.error = part.error;
    }
  }
  std::sort(result_.failures.begin(), result_.failures.end(),
            [](const Failure& a, const Failure& b) { return a.chunk < b.chunk; });
  result_.elapsedNs = static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now() - began).count());
  // Who keeps the reader, for its counters, shall not keep a guest's memory by it, which may be pinned.
  workers.clear();
  plan_.paths.clear();
  plan_.destination.reset();
  return std::move(result_);
}

void Reader::Cancel() {
  canceled_ = true;
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(wake_.get(), &one, sizeof one);
}

}  // namespace volley
