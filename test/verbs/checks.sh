#!/bin/sh
# Run in the verbs VM: tells what test/verbs-vm.test.ts asserts. Each check prints "== NAME CODE" and then its output.

ADDRESS=10.0.2.15

check() {
  name=$1
  shift
  output=$("$@" 2>&1)
  printf '== %s %s\n%s\n' "$name" $? "$output"
}

# between COMMAND...: runs it as a server, and then with the address as a client; the client's output and exit code.
between() {
  "$@" >/dev/null 2>&1 &
  server=$!
  code=1
  for _ in 1 2 3 4 5 6 7 8 9 10; do
    # The server may not be listening yet.
    sleep 0.3
    answer=$(timeout 15 "$@" $ADDRESS 2>&1)
    code=$?
    [ $code -ne 0 ] && [ $code -ne 124 ] || break
  done
  kill $server 2>/dev/null
  wait $server
  printf '%s\n' "$answer"
  return $code
}

check addon node -e 'console.log(typeof require("./build/Release/volley.node").Reader)'
check memlock sh -c 'ulimit -l'
check devices ibv_devices
check bandwidth between ib_read_bw -d rxe0 -F -s 32768 -o 16 -n 2000
check fabric fi_info -p verbs -t FI_EP_MSG -d rxe0
check pingpong between fi_pingpong -p verbs -e msg -S 32768 -I 100
echo 'written in the VM' >package.json
check written cat package.json
echo 'to stderr' >&2
exit 42
