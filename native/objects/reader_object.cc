#include "reader_object.h"

#include <algorithm>
#include <system_error>

#include "../chunk_key.h"
#include "../transport/fabric.h"
#include "../transport/fake.h"
#include "../transport/local.h"
#include "../transport/tcp.h"
#include "convert.h"
#include "guest_memory_object.h"
#include "local_region_object.h"
#include "remote_region_object.h"

namespace volley {
namespace {

// Enough to keep a node busy while an answer is on its way, little enough that its deadline stays meaningful.
constexpr uint32_t kInFlightBytes = 6 << 20;
constexpr uint32_t kInFlightReadsMax = 256;
// Over a fabric: 16 chunks of 32 KiB fill a 100 Gb/s link for 40 us, and as many reads are what common devices let one
// queue pair have outstanding (max_rd_atomic); more would only queue in the device, or in a socket.
constexpr uint32_t kFabricInFlightBytes = 512 << 10;
constexpr uint32_t kFabricInFlightMin = 16;
// Below this a second thread hardly gains what it takes to start it.
constexpr uint64_t kVerifyBesideBytesMin = 4 << 20;
// A line and a value with user and password.
constexpr size_t kGreetingBytesMax = 1024;

/// How many chunks may be in flight per path and thread.
struct Window {
  /// @param given what the caller wants, or 0
  Window(uint32_t given, uint32_t chunkBytes) : given(given), chunkBytes(std::max(chunkBytes, 1u)) {
    other = given != 0 ? given : std::clamp(kInFlightBytes / this->chunkBytes, 4u, kInFlightReadsMax);
  }

  /// @param readsMax what the device tells that it can have outstanding, or 0
  uint32_t Fabric(uint32_t readsMax) const {
    if (given != 0) return given;
    const uint32_t wanted = std::max(kFabricInFlightBytes / chunkBytes, kFabricInFlightMin);
    // Where a device takes but one, a second keeps it from waiting for us.
    return readsMax == 0 ? wanted : std::min(wanted, std::max(readsMax, 2u));
  }

  uint32_t given;
  uint32_t chunkBytes;
  uint32_t other;
};

bool IsKind(const Napi::Object& path, const char* kind) { return ToString(path.Get("kind"), "kind") == kind; }

/// Copying is bound by memory and takes all cores; what comes through a socket needs cores for the kernel's part too, and
/// two connections that share a core only get into each other's way.
double DefaultThreads(const Napi::Array& paths) {
  bool copies = false;
  for (uint32_t i = 0; i < paths.Length(); i++) copies |= IsKind(ToObject(paths.Get(i), "path"), "local");
  const unsigned cores = std::clamp<unsigned>(std::thread::hardware_concurrency(), 1, 8);
  return std::min(copies ? cores : (cores + 1) / 2, 4u);
}

/// A second thread per reader thread is worth it where a device moves the bytes (one that memory is registered with), cores
/// are left, and the load takes longer than to start a thread. What is copied or received on this host is in the reader
/// thread's cache, and the cores are busy with that.
bool VerifiesBeside(const Reader::Plan& plan, const Napi::Array& paths) {
  bool byDevice = false;
  for (uint32_t i = 0; i < paths.Length(); i++) {
    const Napi::Object path = ToObject(paths.Get(i), "path");
    if (!IsKind(path, "fabric")) continue;
    byDevice |= RemoteRegionObject::Unwrap(ToObject(path.Get("region"), "region"))->region()->localRegistration();
  }
  return byDevice && plan.imageBytes >= kVerifyBesideBytesMin && std::thread::hardware_concurrency() >= 2 * plan.threads;
}

Reader::EndpointFactory ToPath(const Napi::Object& path, const std::string& keyPrefix,
                               const std::shared_ptr<GuestMemory>& destination, const Window& windowFor) {
  const uint32_t window = windowFor.other;
  const std::string kind = ToString(path.Get("kind"), "kind");
  if (kind == "local") {
    auto* object = LocalRegionObject::Unwrap(ToObject(path.Get("region"), "region"));
    std::shared_ptr<LocalRegion> region = object->region();
    if (!region) ThrowType(path.Env(), "the region of a path is closed");
    return [region, keyPrefix] { return std::make_unique<LocalEndpoint>(region, keyPrefix); };
  }
  if (kind == "fabric") {
    auto* object = RemoteRegionObject::Unwrap(ToObject(path.Get("region"), "region"));
    std::shared_ptr<RemoteRegion> region = object->region();
    if (!region) ThrowType(path.Env(), "the region of a path is closed");
    return [=, window = windowFor.Fabric(region->readsOutstandingMax())] {
      return std::make_unique<FabricEndpoint>(region, destination, keyPrefix, window);
    };
  }
  if (kind == "fake") {
    auto* object = LocalRegionObject::Unwrap(ToObject(path.Get("region"), "region"));
    std::shared_ptr<LocalRegion> region = object->region();
    if (!region) ThrowType(path.Env(), "the region of a path is closed");
    const uint64_t seed = ToInteger(path.Get("seed"), "seed");
    const Napi::Uint8Array rows = ToBytes(path.Get("faults"), "faults");
    if (!FaultScript::Valid(rows.Data(), rows.ByteLength())) ThrowType(path.Env(), "faults are not rows of FAULTS");
    const auto script = std::make_shared<const FaultScript>(rows.Data(), rows.ByteLength());
    return [=] { return std::make_unique<FakeEndpoint>(region, keyPrefix, script, seed, window); };
  }
  if (kind == "tcp") {
    const std::string host = ToString(path.Get("host"), "host");
    const auto port = static_cast<uint16_t>(ToInteger(path.Get("port"), "port", 65535));
    std::string greeting;
    if (!path.Get("greeting").IsUndefined()) {
      const Napi::Uint8Array bytes = ToBytes(path.Get("greeting"), "greeting");
      if (bytes.ByteLength() > kGreetingBytesMax) ThrowType(path.Env(), "greeting is too long");
      greeting.assign(reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength());
    }
    return [=] { return std::make_unique<TcpEndpoint>(host, port, keyPrefix, window, greeting); };
  }
  ThrowType(path.Env(), "no transport is called " + kind);
}

Reader::Plan ToPlan(const Napi::Object& options) {
  Reader::Plan plan;
  const std::string keyPrefix = ToString(options.Get("keyPrefix"), "keyPrefix");
  if (!ChunkKey::PrefixFits(keyPrefix)) ThrowType(options.Env(), "keyPrefix is too long");
  plan.destination = GuestMemoryObject::Unwrap(ToObject(options.Get("destination"), "destination"))->memory();
  if (!plan.destination) ThrowType(options.Env(), "the destination is closed");
  plan.destinationOffset = ToInteger(options.Get("destinationOffset"), "destinationOffset");
  plan.imageBytes = ToInteger(options.Get("imageBytes"), "imageBytes");
  plan.chunkBytes = static_cast<uint32_t>(ToInteger(options.Get("chunkBytes"), "chunkBytes", Reader::kChunkBytesMax));
  const Napi::Uint8Array records = ToBytes(options.Get("records"), "records");
  plan.records.assign(records.Data(), records.Data() + records.ByteLength());
  const auto sources = ToTyped<Napi::Uint16Array>(options.Get("sources"), "sources", napi_uint16_array);
  plan.sources.assign(sources.Data(), sources.Data() + sources.ElementLength());
  plan.destinationIsZero = ToBool(options, "destinationIsZero");
  plan.readTimeoutMs = static_cast<uint32_t>(ToInteger(options, "readTimeoutMs", 5000, INT32_MAX));
  plan.retries = static_cast<uint32_t>(ToInteger(options, "retries", 2, 1000));
  const auto given = static_cast<uint32_t>(ToInteger(options, "window", 0, 65536));
  if (given == 0 && !options.Get("window").IsUndefined()) ThrowType(options.Env(), "window must be at least 1");
  const Window window(given, plan.chunkBytes);
  if (!options.Get("paths").IsArray()) ThrowType(options.Env(), "paths must be an array");
  const auto paths = options.Get("paths").As<Napi::Array>();
  for (uint32_t i = 0; i < paths.Length(); i++) {
    plan.paths.push_back(ToPath(ToObject(paths.Get(i), "path"), keyPrefix, plan.destination, window));
  }
  plan.threads = static_cast<uint32_t>(ToInteger(options, "threads", DefaultThreads(paths), 256));
  plan.verifyBeside = options.Get("verifyBeside").IsUndefined() ? VerifiesBeside(plan, paths) : ToBool(options, "verifyBeside");
  return plan;
}

Napi::Object ToResult(Napi::Env env, const Reader::Result& result) {
  Napi::Object out = Napi::Object::New(env);
  auto failures = Napi::Uint32Array::New(env, result.failures.size() * 2);
  for (size_t i = 0; i < result.failures.size(); i++) {
    failures[2 * i] = result.failures[i].chunk;
    failures[2 * i + 1] = static_cast<uint32_t>(result.failures[i].reason);
  }
  auto paths = Napi::Array::New(env, result.paths.size());
  for (uint32_t i = 0; i < result.paths.size(); i++) {
    const Reader::PathStats& stats = result.paths[i];
    Napi::Object path = Napi::Object::New(env);
    path.Set("chunks", static_cast<double>(stats.chunks));
    path.Set("bytes", static_cast<double>(stats.bytes));
    path.Set("readNs", static_cast<double>(stats.readNs));
    path.Set("verifyNs", static_cast<double>(stats.verifyNs));
    path.Set("retries", static_cast<double>(stats.retries));
    path.Set("checksumFailures", static_cast<double>(stats.checksumFailures));
    path.Set("indexBytes", static_cast<double>(stats.indexBytes));
    path.Set("window", stats.window);
    path.Set("error", stats.error);
    paths.Set(i, path);
  }
  out.Set("failures", failures);
  out.Set("paths", paths);
  out.Set("zeroChunks", static_cast<double>(result.zeroChunks));
  out.Set("elapsedNs", static_cast<double>(result.elapsedNs));
  return out;
}

/// One run: the thread that waits for it, and the promise that it settles.
struct Job {
  explicit Job(Napi::Env env) : deferred(env) {}

  Napi::Promise::Deferred deferred;
  std::shared_ptr<Reader> reader;
  Reader::Result result;
  std::string error;
  std::thread thread;
  Napi::ThreadSafeFunction done;
};

void Settle(Napi::Env env, Napi::Function, Job* raw) {
  const std::unique_ptr<Job> job(raw);
  if (job->thread.joinable()) job->thread.join();
  job->done.Release();
  if (!job->error.empty()) {
    job->deferred.Reject(Napi::Error::New(env, job->error).Value());
  } else {
    job->deferred.Resolve(ToResult(env, job->result));
  }
}

}  // namespace

Napi::Function ReaderObject::Define(Napi::Env env) {
  return DefineClass(env, "Reader",
                     {InstanceMethod<&ReaderObject::Run>("run"), InstanceMethod<&ReaderObject::Cancel>("cancel"),
                      InstanceAccessor<&ReaderObject::Progress>("progress")});
}

ReaderObject::ReaderObject(const Napi::CallbackInfo& info)
    : ObjectWrap(info), progress_(std::make_shared<Reader::Progress>()) {
  Reader::Plan plan = ToPlan(ToObject(info[0], "options"));
  reader_ = Guard(info.Env(), [&] { return std::make_shared<Reader>(std::move(plan), progress_); });
}

Napi::Value ReaderObject::Run(const Napi::CallbackInfo& info) {
  const Napi::Env env = info.Env();
  if (!reader_) throw Napi::Error::New(env, "a reader runs once");
  running_ = reader_;
  auto* job = new Job(env);
  job->reader = std::move(reader_);
  job->done = Napi::ThreadSafeFunction::New(env, Napi::Function(), "volley reader", 0, 1);
  const Napi::Promise promise = job->deferred.Promise();
  const auto work = [job] {
    try {
      job->result = job->reader->Run();
    } catch (const std::exception& error) {
      job->error = error.what();
    }
    job->done.BlockingCall(job, Settle);
  };
  try {
    job->thread = std::thread(work);
  } catch (const std::system_error& error) {
    // No thread is to be had: the promise tells so, as soon as the caller has it.
    job->error = error.what();
    job->done.BlockingCall(job, Settle);
  }
  return promise;
}

void ReaderObject::Cancel(const Napi::CallbackInfo&) {
  const std::shared_ptr<Reader> reader = reader_ ? reader_ : running_.lock();
  if (reader) reader->Cancel();
}

Napi::Value ReaderObject::Progress(const Napi::CallbackInfo& info) {
  auto counters = Napi::BigUint64Array::New(info.Env(), 4);
  counters[0] = progress_->chunks;
  counters[1] = progress_->bytes;
  counters[2] = progress_->retries;
  counters[3] = progress_->checksumFailures;
  return counters;
}

}  // namespace volley
