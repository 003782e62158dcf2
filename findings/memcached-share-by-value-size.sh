#!/usr/bin/env bash
# How much of memcached's -m can hold values depends on their size, and not monotonically: sizes of a quarter of a slab page
# or half of it leave a part of every page unused.
#
#   1.6.18 (Debian 12), -m 64 -M, values of one size until it refuses one:
#
#   32 KiB   93.8 %
#   128 KiB  75.0 %
#   256 KiB  75.0 %
#   512 KiB  98.4 %
#
# A value of half a page or more is cut into pieces that share pages; the ones below are not.
# In Volley: `doctor` and `stats` print the share for the chunk size, and upload checks room by it.
set -euo pipefail
source "$(dirname "$0")/support/memcached.sh"
version_of_memcached
code=0
for expected in 32:92:95 128:74:76 256:74:76 512:95:100; do
  IFS=: read -r kib least most <<<"$expected"
  start_memcached -m 64 -M
  share=$(python3 - "$socket" "$kib" <<'P'
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
answers = server.makefile('rb')
value = b'x' * (int(sys.argv[2]) * 1024)
count = 0
while True:
    server.sendall(b'set key%06d 0 0 %d\r\n%s\r\n' % (count, len(value), value))
    if answers.readline() != b'STORED\r\n':
        break
    count += 1
print('%.1f' % (100 * count * len(value) / (64 << 20)))
P
  )
  stop_memcached
  echo "$kib KiB  $share %"
  awk -v share="$share" -v least="$least" -v most="$most" 'BEGIN { exit !(share > least && share < most) }' || code=1
done
exit $code
