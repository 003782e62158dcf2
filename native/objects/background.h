#pragma once

#include <napi.h>

#include <functional>
#include <optional>
#include <utility>

#include "convert.h"

namespace volley {

/// Does something slow off the event loop and settles a promise with what `finish` makes of its result.
template <typename Result>
class Background : public Napi::AsyncWorker {
 public:
  using Work = std::function<Result()>;
  using Finish = std::function<Napi::Value(Napi::Env, Result&)>;

  /// `work` runs on another thread and may throw Error, with which the promise is then rejected.
  static Napi::Value Start(Napi::Env env, Work work, Finish finish) {
    auto* worker = new Background(env, std::move(work), std::move(finish));
    worker->Queue();
    return worker->deferred_.Promise();
  }

 protected:
  void Execute() override {
    try {
      result_ = work_();
    } catch (const Error& error) {
      error_ = error;
    }
  }

  void OnOK() override {
    if (error_) return deferred_.Reject(ToJs(Env(), *error_).Value());
    deferred_.Resolve(finish_(Env(), result_));
  }

 private:
  Background(Napi::Env env, Work work, Finish finish)
      : AsyncWorker(env), deferred_(env), work_(std::move(work)), finish_(std::move(finish)) {}

  Napi::Promise::Deferred deferred_;
  Work work_;
  Finish finish_;
  Result result_{};
  std::optional<Error> error_;
};

}  // namespace volley
