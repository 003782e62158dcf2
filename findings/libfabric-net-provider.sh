#!/usr/bin/env bash
# libfabric's provider for plain sockets over its own protocol has been called `net` and `tcp` in turn; the names alone do not
# say what speaks with what.
#
#   libfabric 1.17.0 (Debian 12)   has both `net` and `tcp`, two different codes
#   libfabric 2.1.0 (Debian 13)    has `tcp` alone: it is the code that was `net`
#
# In Volley: the two names are one provider in offers and options (docs/compatibility.md, "Platforms").
set -euo pipefail
command -v fi_info >/dev/null || { echo 'fi_info (Debian: libfabric-bin) is not installed' >&2; exit 77; }
version=$(fi_info --version | sed -n 's/^libfabric: //p')
names=$(fi_info -l | sed -n 's/^\(net\|tcp\):$/\1/p' | sort | paste -sd ' ')
echo "libfabric $version: $names"
case $version in
  1.1[78].*) [ "$names" = 'net tcp' ] || [ "$version $names" = '1.18 tcp' ] ;;
  *) [ "$names" = tcp ] ;;
esac
