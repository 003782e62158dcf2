// What TypeScript sees of the native code; the contract is src/native.ts.
#include <napi.h>

#include "objects/addon_data.h"
#include "objects/descriptor_limit.h"
#include "objects/duplicate.h"
#include "objects/fabric_object.h"
#include "objects/file.h"
#include "objects/guest_memory_object.h"
#include "objects/leave.h"
#include "objects/local_region_object.h"
#include "objects/poller_object.h"
#include "objects/reader_object.h"
#include "objects/region_object.h"
#include "objects/region_view_object.h"
#include "objects/remote_region_object.h"
#include "objects/send_now.h"
#include "objects/write_piece.h"

namespace volley {
namespace {

Napi::Object Init(Napi::Env env, Napi::Object exports) {
  auto* data = new AddonData;
  env.SetInstanceData(data);
  data->busyWait = BusyWait::Make(env);
  data->localRegion = Napi::Persistent(LocalRegionObject::Define(env));
  data->remoteRegion = Napi::Persistent(RemoteRegionObject::Define(env));
  data->guestMemory = Napi::Persistent(GuestMemoryObject::Define(env));
  exports.Set("Region", RegionObject::Define(env));
  exports.Set("RegionView", RegionViewObject::Define(env));
  exports.Set("openLocalRegion", Napi::Function::New<&LocalRegionObject::OpenLocalRegion>(env, "openLocalRegion"));
  exports.Set("openRemoteRegion", Napi::Function::New<&RemoteRegionObject::OpenRemoteRegion>(env, "openRemoteRegion"));
  exports.Set("surveyFabrics", Napi::Function::New<&SurveyFabrics>(env, "surveyFabrics"));
  exports.Set("duplicate", Napi::Function::New<&Duplicate>(env, "duplicate"));
  exports.Set("linkFile", Napi::Function::New<&LinkFile>(env, "linkFile"));
  exports.Set("copyAttributes", Napi::Function::New<&CopyAttributes>(env, "copyAttributes"));
  exports.Set("allocateFile", Napi::Function::New<&AllocateFile>(env, "allocateFile"));
  exports.Set("leave", Napi::Function::New<&Leave>(env, "leave"));
  exports.Set("raiseDescriptorLimit", Napi::Function::New<&RaiseDescriptorLimit>(env, "raiseDescriptorLimit"));
  exports.Set("setBusyWait", Napi::Function::New<&SetBusyWait>(env, "setBusyWait"));
  exports.Set("sendNow", Napi::Function::New<&SendNow>(env, "sendNow"));
  exports.Set("writePiece", Napi::Function::New<&WritePieceInBackground>(env, "writePiece"));
  exports.Set("GuestMemory", data->guestMemory.Value());
  exports.Set("Poller", PollerObject::Define(env));
  exports.Set("Reader", ReaderObject::Define(env));
  return exports;
}

}  // namespace
}  // namespace volley

static Napi::Object InitVolley(Napi::Env env, Napi::Object exports) { return volley::Init(env, exports); }

NODE_API_MODULE(volley, InitVolley)
