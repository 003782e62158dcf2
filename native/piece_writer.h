// What an upload does to a piece of an image: reads it, hashes its chunks, and writes the commands around them that store them.
#pragma once

#include <cstddef>
#include <cstdint>

namespace volley {

/// A piece of an image. Each chunk lies between the text of its command and what ends it, so that chunks that follow one another
/// leave in one range of memory (memcached's protocol.txt, "Storage commands"):
///
///   add volley:c:<digest in hex> 0 0 <length>\r\n <chunk> \r\n add …
///
/// Heads are as long as that of a whole chunk; the head of a shorter last chunk ends where its chunk begins.
struct Piece {
  /// Room for the whole piece, PieceTextBytes(length, chunkBytes).
  uint8_t* text = nullptr;
  /// Room for the records of its chunks: digest (16 bytes of SHA-256) and XXH3 each (8, little endian); zeros for zeros.
  uint8_t* records = nullptr;
  size_t length = 0;      // of data, in bytes
  size_t chunkBytes = 0;  // of each chunk but the last
  int fd = -1;            // to read the data from, or -1 when the chunks are in `text` already
  uint64_t position = 0;  // where in the file
};

/// Bytes of the head of a chunk's command.
size_t PieceHeadBytes(size_t chunkLength);

/// Bytes that a piece's commands and chunks take.
size_t PieceTextBytes(size_t length, size_t chunkBytes);

/// Fills in what the piece lacks: data, records, commands. @throws Error ERR_VOLLEY_FILE with the system's words
void WritePiece(const Piece& piece);

}  // namespace volley
