#!/usr/bin/env bash
# memcached answers a `set` that it refuses as too large by deleting the value that was there.
#
#   1.6.18 (Debian 12), 1.6.38 (Debian 13)
#
#   set k 0 0 3 abc           STORED
#   set k 0 0 2097152 x…      SERVER_ERROR object too large for cache
#   mg k v                    EN
#
# So a failed overwrite is no "nothing has changed": what was stored under the key is gone.
# In Volley: upload refuses a chunk size that a node's -I cannot hold before it sends anything.
set -euo pipefail
source "$(dirname "$0")/support/memcached.sh"
version_of_memcached
start_memcached -m 64
large=$(head -c 2097152 /dev/zero | tr '\0' x)
answer=$(ask 'set k 0 0 3\r\nabc\r\n' 'mg k v\r\n' "set k 0 0 2097152\r\n$large\r\n" 'mg k v\r\n' 'mn\r\n')
echo "$answer"
expected='STORED
VA 3
abc
SERVER_ERROR object too large for cache
EN
MN'
[ "$answer" = "$expected" ]
