// What of the fabric goes to and from TypeScript as plain values.
#pragma once

#include <napi.h>

#include <string>

#include "../fabric/info.h"

namespace volley {

/// `msg`, `rdm` or `dgram`, as FabricWay of src/native.ts has it.
const char* EndpointName(fi_ep_type type);

/// A text of an object, empty when it is not there.
std::string ToOptionalString(const Napi::Object& object, const char* name);

/// A query from `provider`, `endpoint`, `host` and `port` of an object, of which only `host` has to be there.
FabricQuery ToFabricQuery(const Napi::Object& options, bool listening);

/// `surveyFabrics(options)` of src/native.ts.
Napi::Value SurveyFabrics(const Napi::CallbackInfo& info);

}  // namespace volley
