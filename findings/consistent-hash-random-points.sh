#!/usr/bin/env bash
# npm's consistent-hash draws the points of a ring at random unless told otherwise: two processes with the same nodes place the
# same keys on different ones. And a weight of 0 is not "none": it is the default weight, 40 points.
#
#   consistent-hash 1.2.2
#
#   two rings of a, b, c place 1000 keys alike: random points no, { distribution: 'uniform' } yes
#   points of a with weight 1 and b with weight 0: 41
#
# In Volley: src/ring.ts gives each node points of its own, made from its name (docs/protocol.md, "Placement").
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
npm install --silent --no-audit --no-fund --prefix "$folder" consistent-hash@1.2.2 || { echo 'npm cannot install it' >&2; exit 77; }
cd "$folder"
seen=$(node -e '
const ConsistentHash = require("consistent-hash");
const placed = (options) => {
  const ring = new ConsistentHash(options);
  for (const node of ["a", "b", "c"]) ring.add(node);
  return Array.from({ length: 1000 }, (_, i) => ring.get(`key${i}`)).join("");
};
const alike = (options) => (placed(options) === placed(options) ? "yes" : "no");
const ring = new ConsistentHash().add("a", 1).add("b", 0);
console.log(require("consistent-hash/package.json").version, alike(), alike({ distribution: "uniform" }), ring.keyCount);
')
echo "version, alike at random, alike when uniform, points: $seen"
[[ $seen == *' no yes 41' ]]
