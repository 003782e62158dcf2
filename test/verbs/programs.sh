#!/bin/sh
# Run in the verbs VM: programs.sh PROGRAM[,PROVIDER]... [+ PROGRAM...] runs compiled tests over verbs, or over another
# provider of libfabric; those behind a "+" at the same time as those before it. Prints of each "== PROGRAM CODE SECONDS"
# and then what it wrote.

export VOLLEY_TEST_HOST=10.0.2.15
# verbs;ofi_rxm asks for a completion queue that is longer than rxe allows, unless the universe is small.
export FI_UNIVERSE_SIZE=16

run() {
  for one; do
    program=${one%%,*}
    provider=verbs
    [ "$program" = "$one" ] || provider=${one#*,}
    output=$(mktemp)
    began=$(date +%s)
    VOLLEY_TEST_FABRIC=$provider node --enable-source-maps "dist/test/$program.js" >"$output" 2>&1
    code=$?
    # What runs at the same time must not come between.
    (
      flock 9
      printf '== %s %s %s\n' "$one" $code $(($(date +%s) - began))
      cat "$output"
    ) 9>/tmp/programs.lock
  done
}

group=
for word; do
  shift
  if [ "$word" = + ]; then
    # shellcheck disable=SC2086
    run $group &
    group=
  else
    group="$group $word"
  fi
done
# shellcheck disable=SC2086
run $group
wait
