#!/usr/bin/env bash
# An empty FI_PROVIDER, as Environment=FI_PROVIDER= in a systemd unit leaves it, is no missing one to libfabric: it offers nothing.
#
#   1.17.0 (Debian 12), 2.1.0 (Debian 13):
#     fi_info -p tcp                 provider: tcp …
#     FI_PROVIDER= fi_info -p tcp    fi_getinfo: -61
#
# In Volley: native/fabric/library.cc takes an empty one away before libfabric reads it.
set -euo pipefail
command -v fi_info >/dev/null || exit 77
export IPATH_NO_BACKTRACE=1
unset FI_PROVIDER
fi_info --version | head -n 1
without=$(fi_info -p tcp 2>&1 | head -n 1)
empty=$(FI_PROVIDER='' fi_info -p tcp 2>&1 | head -n 1) || true
printf '%s\n' "without: $without" "empty: $empty"
[[ $without = 'provider: tcp'* ]] && [ "$empty" = 'fi_getinfo: -61' ]
