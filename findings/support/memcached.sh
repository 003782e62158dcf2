# Sourced by the scripts above: one stock memcached on a unix socket in a folder of its own.
memcached=${MEMCACHED:-$(dirname "${BASH_SOURCE[0]}")/../../.cache/memcached/usr/bin/memcached}
[ -x "$memcached" ] || memcached=$(command -v memcached) || { echo 'memcached is not installed' >&2; exit 77; }
folder=$(mktemp -d)
pid=
trap 'stop_memcached; rm -rf "$folder"' EXIT

version_of_memcached() { "$memcached" -V | head -n 1; }

# start_memcached OPTION...: sets `socket`.
start_memcached() {
  socket=$folder/socket
  "$memcached" -u "$(id -un)" -s "$socket" -t 1 "$@" &
  pid=$!
  for _ in $(seq 100); do [ ! -S "$socket" ] || return 0; sleep 0.1; done
  echo 'memcached does not start' >&2
  return 1
}

stop_memcached() {
  [ -n "$pid" ] || return 0
  kill "$pid" 2>/dev/null || true
  wait "$pid" 2>/dev/null || true
  rm -f "$folder/socket"
  pid=
}

# ask BYTES...: sends each of them, with printf's escapes, and prints the answers as lines, without waiting for one of them.
ask() {
  printf "%b" "$@" | python3 -c '
import socket, sys
server = socket.socket(socket.AF_UNIX)
server.connect(sys.argv[1])
server.sendall(sys.stdin.buffer.read() + b"version\r\n")
for line in server.makefile("rb"):
    if line.startswith(b"VERSION "):
        break
    print(line.decode("latin1").rstrip())' "$socket"
}
