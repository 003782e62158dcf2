#!/bin/sh
# Assembles the stub and the KVM probe's firmware into build/stub.bin and build/probe.bin. Needs binutils.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
out=$here/../../build
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# assemble NAME ADDRESS: NAME.S, linked to run at ADDRESS, as a flat image
assemble() {
  as --32 --fatal-warnings -o "$work/$1.o" "$here/$1.S"
  ld -m elf_i386 --no-warn-rwx-segments -Ttext "$2" -o "$work/$1.elf" "$work/$1.o"
  objcopy -O binary -j .text "$work/$1.elf" "$work/$1.bin"
  mv "$work/$1.bin" "$out/$1.bin"
}

assemble stub 0x100000
assemble probe 0xffff0000
