#include "piece_writer.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

#include "chunk_key.h"
#include "error.h"
#include "hash.h"
#include "sha256.h"

namespace volley {
namespace {

constexpr char kCommand[] = "add ";
constexpr char kPrefix[] = "volley:c:";
constexpr char kZeroFlags[] = " 0 0 ";
constexpr char kEnd[] = "\r\n";
constexpr size_t kEndBytes = sizeof kEnd - 1;
constexpr size_t kXxh3Bytes = sizeof(uint64_t);
constexpr size_t kRecordBytes = ChunkKey::kDigestBytes + kXxh3Bytes;

size_t DecimalDigits(size_t number) {
  size_t digits = 1;
  while (number >= 10) {
    number /= 10;
    digits++;
  }
  return digits;
}

void ReadAll(int fd, uint8_t* data, size_t bytes, uint64_t position) {
  for (size_t done = 0; done < bytes;) {
    const ssize_t got = pread(fd, data + done, bytes - done, static_cast<off_t>(position + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) throw Error("ERR_VOLLEY_FILE", std::strerror(errno));
    if (got == 0) throw Error("ERR_VOLLEY_FILE", "it became shorter while it was read");
    done += static_cast<size_t>(got);
  }
}

bool IsZero(const uint8_t* data, size_t bytes) {
  return data[0] == 0 && std::memcmp(data, data + 1, bytes - 1) == 0;
}

char* Append(char* at, const char* text, size_t bytes) {
  std::memcpy(at, text, bytes);
  return at + bytes;
}

/// Writes the head of a chunk's command so that it ends where the chunk begins.
void WriteHead(uint8_t* chunk, size_t length, std::string_view key) {
  char* at = reinterpret_cast<char*>(chunk) - PieceHeadBytes(length);
  at = Append(at, kCommand, sizeof kCommand - 1);
  at = Append(at, key.data(), key.size());
  at = Append(at, kZeroFlags, sizeof kZeroFlags - 1);
  at = std::to_chars(at, reinterpret_cast<char*>(chunk), length).ptr;
  std::memcpy(at, kEnd, kEndBytes);
}

}  // namespace

size_t PieceHeadBytes(size_t chunkLength) {
  return sizeof kCommand - 1 + sizeof kPrefix - 1 + 2 * ChunkKey::kDigestBytes + sizeof kZeroFlags - 1 +
         DecimalDigits(chunkLength) + kEndBytes;
}

size_t PieceTextBytes(size_t length, size_t chunkBytes) {
  const size_t chunks = (length + chunkBytes - 1) / chunkBytes;
  return length + chunks * (PieceHeadBytes(chunkBytes) + kEndBytes);
}

void WritePiece(const Piece& piece) {
  const size_t head = PieceHeadBytes(piece.chunkBytes);
  Sha256 sha256;
  ChunkKey keys(kPrefix);
  uint8_t* chunk = piece.text + head;
  uint8_t* record = piece.records;
  for (size_t at = 0; at < piece.length; at += piece.chunkBytes) {
    const size_t length = std::min(piece.chunkBytes, piece.length - at);
    // Each chunk is hashed right after it was read, while it is in the processor's cache.
    if (piece.fd >= 0) ReadAll(piece.fd, chunk, length, piece.position + at);
    if (IsZero(chunk, length)) {
      std::memset(record, 0, kRecordBytes);
    } else {
      uint8_t digest[Sha256::kBytes];
      sha256.Hash(chunk, length, digest);
      std::memcpy(record, digest, ChunkKey::kDigestBytes);
      const uint64_t xxh3 = Hash64(chunk, length);
      std::memcpy(record + ChunkKey::kDigestBytes, &xxh3, kXxh3Bytes);
      WriteHead(chunk, length, keys.For(record));
      std::memcpy(chunk + length, kEnd, kEndBytes);
    }
    chunk += length + kEndBytes + head;
    record += kRecordBytes;
  }
}

}  // namespace volley
