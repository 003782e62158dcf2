#!/usr/bin/env bash
# memcached's meta command `me` prints what is left of a key's lifetime with the wrong sign in older versions.
#
#   1.6.18 (Debian 12)   ME k exp=-60 la=0 cas=1 fetch=no cls=1 size=61
#   1.6.38 (Debian 13)   ME k exp=60 la=0 cas=1 fetch=no cls=1 size=61
#
# A key without exptime has exp=-1 in both: so in 1.6.18 a key with one second left cannot be told from one that never expires.
# In Volley: a node prints it as 1.6.38 does (server/protocol/meta*).
set -euo pipefail
source "$(dirname "$0")/support/memcached.sh"
version=$(version_of_memcached)
start_memcached -m 64
answer=$(ask 'set k 0 60 1\r\nx\r\n' 'me k\r\n' 'set forever 0 0 1\r\nx\r\n' 'me forever\r\n')
echo "$version:"
echo "$answer"
# 1.6.18 and older
case $version in 'memcached 1.6.'[0-9] | 'memcached 1.6.1'[0-8]) sign=- ;; *) sign= ;; esac
grep -qE "^ME k exp=$sign(60|59) " <<<"$answer" && grep -q '^ME forever exp=-1 ' <<<"$answer"
