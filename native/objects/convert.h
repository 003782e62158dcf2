// Checked conversions between JavaScript values and ours. Each throws a Napi::Error that names what was wrong.
#pragma once

#include <napi.h>

#include <string>

#include "../error.h"
#include "../layout.h"

namespace volley {

inline Napi::Error ToJs(Napi::Env env, const Error& error) {
  Napi::Error js = Napi::Error::New(env, error.what());
  js.Set("code", Napi::String::New(env, error.code()));
  return js;
}

/// Runs native code, turning its Error into a JavaScript one.
template <typename Call>
auto Guard(Napi::Env env, Call&& call) {
  try {
    return call();
  } catch (const Error& error) {
    throw ToJs(env, error);
  }
}

[[noreturn]] inline void ThrowType(Napi::Env env, const std::string& message) {
  throw Napi::TypeError::New(env, message);
}

/// A whole number from 0 to `max`.
inline uint64_t ToInteger(const Napi::Value& value, const char* what, double max = 9007199254740991.0) {
  if (!value.IsNumber()) ThrowType(value.Env(), std::string(what) + " must be a number");
  const double number = value.As<Napi::Number>().DoubleValue();
  if (!(number >= 0 && number <= max) || number != static_cast<double>(static_cast<uint64_t>(number))) {
    ThrowType(value.Env(), std::string(what) + " must be a whole number from 0 to " +
                               std::to_string(static_cast<uint64_t>(max)));
  }
  return static_cast<uint64_t>(number);
}

inline uint64_t ToInteger(const Napi::Object& object, const char* name, double otherwise, double max) {
  const Napi::Value value = object.Get(name);
  if (value.IsUndefined()) return static_cast<uint64_t>(otherwise);
  return ToInteger(value, name, max);
}

inline bool ToBool(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  if (value.IsUndefined()) return false;
  if (!value.IsBoolean()) ThrowType(object.Env(), std::string(name) + " must be a boolean");
  return value.As<Napi::Boolean>().Value();
}

inline std::string ToString(const Napi::Value& value, const char* what) {
  if (!value.IsString()) ThrowType(value.Env(), std::string(what) + " must be a string");
  return value.As<Napi::String>().Utf8Value();
}

inline Napi::Object ToObject(const Napi::Value& value, const char* what) {
  if (!value.IsObject()) ThrowType(value.Env(), std::string(what) + " must be an object");
  return value.As<Napi::Object>();
}

/// Where a typed array's elements lie, and how many there are; of exactly this element type (a Buffer is a Uint8Array). One
/// call into the engine, where Napi::TypedArray takes four: for what is called per request.
template <typename Element>
struct Elements {
  Elements(napi_env env, napi_value value, const char* what, napi_typedarray_type wanted) {
    napi_typedarray_type type{};
    void* start = nullptr;
    if (napi_get_typedarray_info(env, value, &type, &count, &start, nullptr, nullptr) != napi_ok || type != wanted) {
      ThrowType(env, std::string(what) + " is not the typed array that is wanted here");
    }
    data = static_cast<Element*>(start);
  }

  Element* data = nullptr;
  size_t count = 0;
};

/// A typed array of exactly this element type (a Buffer is a Uint8Array).
template <typename Array>
Array ToTyped(const Napi::Value& value, const char* what, napi_typedarray_type type) {
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != type) {
    ThrowType(value.Env(), std::string(what) + " is not the typed array that is wanted here");
  }
  return value.As<Array>();
}

inline Napi::Uint8Array ToBytes(const Napi::Value& value, const char* what) {
  return ToTyped<Napi::Uint8Array>(value, what, napi_uint8_array);
}

/// A path: a text, or the bytes of one that is not UTF-8.
inline std::string ToPath(const Napi::Value& value, const char* what) {
  if (!value.IsTypedArray()) return ToString(value, what);
  const Napi::Uint8Array bytes = ToBytes(value, what);
  return {reinterpret_cast<const char*>(bytes.Data()), bytes.ByteLength()};
}

/// RegionInfo of src/native.ts.
inline Napi::Object ToInfo(Napi::Env env, const RegionHeader& header) {
  Napi::Object info = Napi::Object::New(env);
  info.Set("bytes", static_cast<double>(header.regionBytes));
  info.Set("layoutVersion", header.layoutVersion);
  info.Set("epoch", Napi::BigInt::New(env, header.epoch));
  info.Set("tableOffset", static_cast<double>(header.tableOffset));
  info.Set("bucketCount", static_cast<double>(header.bucketCount));
  info.Set("bucketCapacity", static_cast<double>(header.bucketCapacity));
  info.Set("arenaOffset", static_cast<double>(header.arenaOffset));
  info.Set("arenaBytes", static_cast<double>(header.arenaBytes));
  info.Set("pageBytes", header.arenaPageBytes);
  info.Set("backingPageBytes", static_cast<double>(header.backingPageBytes));
  return info;
}

inline Napi::Value TextOrNull(Napi::Env env, const std::string& text) {
  return text.empty() ? env.Null() : Napi::Value(Napi::String::New(env, text));
}

}  // namespace volley
