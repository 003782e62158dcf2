#pragma once

#include <napi.h>

#include <memory>
#include <thread>

#include "../reader.h"

namespace volley {

/// `Reader` of src/native.ts.
class ReaderObject : public Napi::ObjectWrap<ReaderObject> {
 public:
  static Napi::Function Define(Napi::Env env);
  explicit ReaderObject(const Napi::CallbackInfo& info);

 private:
  Napi::Value Run(const Napi::CallbackInfo& info);
  void Cancel(const Napi::CallbackInfo& info);
  Napi::Value Progress(const Napi::CallbackInfo& info);

  std::shared_ptr<Reader::Progress> progress_;
  std::shared_ptr<Reader> reader_;  // until run()
  // From then on the run owns the reader, so that descriptors and memory end with it and not with the garbage collection.
  std::weak_ptr<Reader> running_;
};

}  // namespace volley
