#include "fabric_object.h"

#include "../fabric/survey.h"
#include "background.h"
#include "convert.h"

namespace volley {
namespace {

Napi::Value ToSurvey(Napi::Env env, const FabricSurvey& survey) {
  Napi::Object out = Napi::Object::New(env);
  out.Set("version", std::to_string(FI_MAJOR(survey.version)) + "." + std::to_string(FI_MINOR(survey.version)));
  auto providers = Napi::Array::New(env);
  for (const std::string& provider : survey.providers) providers.Set(providers.Length(), provider);
  out.Set("providers", providers);
  auto ways = Napi::Array::New(env, survey.ways.size());
  for (uint32_t i = 0; i < survey.ways.size(); i++) {
    Napi::Object way = Napi::Object::New(env);
    way.Set("provider", survey.ways[i].provider);
    way.Set("device", survey.ways[i].device);
    way.Set("endpoint", EndpointName(survey.ways[i].type));
    way.Set("reads", survey.ways[i].reads);
    way.Set("here", survey.ways[i].here);
    ways.Set(i, way);
  }
  out.Set("ways", ways);
  return out;
}

}  // namespace

const char* EndpointName(fi_ep_type type) {
  if (type == FI_EP_MSG) return "msg";
  return type == FI_EP_RDM ? "rdm" : "dgram";
}

std::string ToOptionalString(const Napi::Object& object, const char* name) {
  const Napi::Value value = object.Get(name);
  return value.IsUndefined() ? "" : ToString(value, name);
}

FabricQuery ToFabricQuery(const Napi::Object& options, bool listening) {
  const std::string endpoint = ToOptionalString(options, "endpoint");
  if (!endpoint.empty() && endpoint != "msg" && endpoint != "rdm") ThrowType(options.Env(), "endpoint must be msg or rdm");
  return {.provider = ToOptionalString(options, "provider"),
          .device = "",
          .type = endpoint.empty() ? FI_EP_UNSPEC : endpoint == "msg" ? FI_EP_MSG : FI_EP_RDM,
          .host = ToString(options.Get("host"), "host"),
          .port = static_cast<uint16_t>(ToInteger(options, "port", 0, UINT16_MAX)),
          .listening = listening};
}

Napi::Value SurveyFabrics(const Napi::CallbackInfo& info) {
  const Napi::Object options = ToObject(info[0], "options");
  const FabricQuery query = ToFabricQuery(options, ToBool(options, "listening"));
  return Background<FabricSurvey>::Start(
      info.Env(), [query] { return FabricSurvey::Make(query); },
      [](Napi::Env env, FabricSurvey& survey) { return ToSurvey(env, survey); });
}

}  // namespace volley
