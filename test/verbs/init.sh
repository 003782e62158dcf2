#!/bin/busybox sh
# First process of the verbs VM (see vm.ts). Loads the modules, lays a writable overlay over the host's root, makes the
# Soft-RoCE device rxe0, runs the command in there, and sends what it writes, then its exit code, to the host.
#
# In the initrd: modules/order with modules/NAME.ko, vm/command (a script), vm/nonce (ends what the command writes).
/bin/busybox --install -s /bin
export PATH=/bin:/usr/sbin:/usr/bin:/sbin

say() { echo "verbs-vm: $*"; }
# The host sees the machine go off before an exit code came, and shows this.
fail() { say "$*"; poweroff -f; }

mount -t proc proc /proc && mount -t sysfs sysfs /sys && mount -t devtmpfs devtmpfs /dev || fail 'no /proc, /sys, /dev'
while read -r module; do
  insmod "/modules/$module.ko" || fail "module $module does not load"
done </modules/order

# port NAME: the device file of the virtio port that QEMU calls so.
port() {
  local tries=0 name
  while [ $tries -lt 50 ]; do
    for name in /sys/class/virtio-ports/*/name; do
      [ "$(cat "$name" 2>/dev/null)" = "$1" ] && basename "$(dirname "$name")" && return
    done
    tries=$((tries + 1))
    sleep 0.1
  done
}
out=$(port volley.out) err=$(port volley.err)
[ -c "/dev/$out" ] && [ -c "/dev/$err" ] || fail 'the ports for output are not there'

root=/root
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=1048576,cache=loose host /host || fail "no 9p share of the host's root"
mount -t tmpfs -o mode=755 tmpfs /top && mkdir /top/upper /top/work &&
  mount -t overlay -o lowerdir=/host,upperdir=/top/upper,workdir=/top/work overlay $root || fail "no overlay"
mkdir -p /dev/shm /dev/pts && mount -t tmpfs tmpfs /dev/shm && mount -t devpts devpts /dev/pts || fail 'no /dev/shm'
for folder in proc sys dev; do mount -o bind,rec /$folder $root/$folder || fail "no /$folder in the overlay"; done

ip link set lo up && ip addr add 10.0.2.15/24 dev eth0 && ip link set eth0 up || fail 'eth0 does not come up'
chroot $root rdma link add rxe0 type rxe netdev eth0 || fail 'rdma (Debian: iproute2) cannot make rxe0'

# Registered memory is locked memory.
ulimit -l unlimited
# Pipes, so that the command may open /dev/stdout again; a port can be opened once only.
mkfifo /vm/out /vm/err
cat /vm/out >"/dev/$out" &
out_copier=$!
cat /vm/err >"/dev/$err" &
err_copier=$!
say 'the command starts'
chroot $root /bin/sh -c "$(cat /vm/command)" </dev/null >/vm/out 2>/vm/err
code=$?

# Whatever the command left running would hold the pipes open.
for process in /proc/[0-9]*; do
  pid=${process#/proc/}
  case $pid in 1 | $out_copier | $err_copier) ;; *) kill -9 "$pid" 2>/dev/null ;; esac
done
wait $out_copier $err_copier
for port in $out $err; do printf '%s %s\n' "$(cat /vm/nonce)" $code >"/dev/$port"; done
# The host ends the machine as soon as it has read both.
sleep 10
poweroff -f
