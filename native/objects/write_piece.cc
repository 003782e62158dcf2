#include "write_piece.h"

#include <climits>
#include <memory>

#include "../piece_writer.h"
#include "background.h"
#include "convert.h"

namespace volley {
namespace {

constexpr size_t kChunkBytesMax = 1 << 20;
constexpr size_t kRecordBytes = 24;

/// Keeps a JavaScript array, and so its memory, for as long as another thread works on it.
std::shared_ptr<Napi::ObjectReference> Keep(const Napi::Object& array) {
  return std::make_shared<Napi::ObjectReference>(Napi::Persistent(array));
}

}  // namespace

Napi::Value WritePieceInBackground(const Napi::CallbackInfo& info) {
  const Elements<uint8_t> text(info.Env(), info[0], "text", napi_uint8_array);
  const Elements<uint8_t> records(info.Env(), info[1], "records", napi_uint8_array);
  const Napi::Object options = ToObject(info[2], "piece");
  Piece piece;
  piece.text = text.data;
  piece.records = records.data;
  piece.length = ToInteger(options.Get("length"), "length", text.count);
  piece.chunkBytes = ToInteger(options.Get("chunkBytes"), "chunkBytes", kChunkBytesMax);
  piece.fd = options.Get("fd").IsNull() ? -1 : static_cast<int>(ToInteger(options.Get("fd"), "fd", INT_MAX));
  piece.position = ToInteger(options.Get("position"), "position");
  if (piece.chunkBytes == 0) ThrowType(info.Env(), "chunkBytes must not be 0");
  const size_t chunks = (piece.length + piece.chunkBytes - 1) / piece.chunkBytes;
  if (text.count < PieceTextBytes(piece.length, piece.chunkBytes)) ThrowType(info.Env(), "text is too short");
  if (records.count < chunks * kRecordBytes) ThrowType(info.Env(), "records is too short");
  return Background<bool>::Start(
      info.Env(),
      [piece] {
        WritePiece(piece);
        return true;
      },
      [text = Keep(ToObject(info[0], "text")), records = Keep(ToObject(info[1], "records"))](
          Napi::Env env, bool&) -> Napi::Value { return env.Undefined(); });
}

}  // namespace volley
