#!/usr/bin/env bash
# npm's xxhash-addon takes seeds as Buffers in big-endian order, on a little-endian machine too, and its one-shot hash()
# ignores a seed that it is given, without a word.
#
#   xxhash-addon 2.1.0, XXH64 of "chunk"
#
#   C, seed 0                             c059f798894fe50c
#   C, seed 1                             5941be16239de17f
#   new XXHash64(0000000000000001)        5941be16239de17f
#   new XXHash64(0100000000000000)        064a74de1c29d727
#   XXHash64.hash(data, 0000000000000001) c059f798894fe50c
#
# In Volley: hashes of both sides have seed 0; native code is built from the addon's own C source (binding.gyp).
set -euo pipefail
command -v cc >/dev/null || { echo 'there is no C compiler' >&2; exit 77; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" xxhash-addon@2.1.0 || { echo 'npm cannot install it' >&2; exit 77; }
cd "$folder"
cat >"$folder/hash.c" <<'C'
#include <stdio.h>
#define XXH_INLINE_ALL
#include "xxhash.h"
int main(void) {
  for (int seed = 0; seed < 2; seed++) printf("%016llx\n", (unsigned long long)XXH64("chunk", 5, seed));
}
C
cc -O1 -Inode_modules/xxhash-addon/xxHash -o "$folder/hash" "$folder/hash.c"
in_c=$("$folder/hash" | paste -sd ' ')
in_node=$(node -e '
const { XXHash64 } = require("xxhash-addon");
const data = Buffer.from("chunk");
const seeded = (seed) => {
  const hash = new XXHash64(Buffer.from(seed, "hex"));
  hash.update(data);
  return hash.digest().toString("hex");
};
const oneShot = XXHash64.hash(data, Buffer.from("0000000000000001", "hex")).toString("hex");
console.log(seeded("0000000000000001"), seeded("0100000000000000"), oneShot);
')
echo "C, seeds 0 and 1:                          $in_c"
echo "node, big-endian, little-endian, one-shot: $in_node"
[ "$in_c $in_node" = 'c059f798894fe50c 5941be16239de17f 5941be16239de17f 064a74de1c29d727 c059f798894fe50c' ]
