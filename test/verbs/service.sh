#!/bin/sh
# Run in the verbs VM: service.sh PACKAGE starts volley-node.service out of Volley's Debian package under a systemd of its
# own, with all of the unit's sandbox, uses the node over verbs, and stops it. Prints "== STEP" before what each step tells.
set -e
step() { echo "== $*"; }

# /lib is a link here, and a folder in the package.
dpkg-deb --fsys-tarfile "$1" | tar -x --keep-directory-symlink -C /
[ -e /usr/bin/node ] || ln -s "$(command -v node)" /usr/bin/node
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
systemd-sysusers /usr/lib/sysusers.d/volley.conf
printf '%s\n' VOLLEY_NODE_LISTEN=10.0.2.15 VOLLEY_NODE_REGION=/dev/shm/volley >/etc/default/volley-node

# A target of nothing, and no tidying of /tmp: what else this system has is none of the test's.
ln -s /dev/null /etc/systemd/system/systemd-tmpfiles-setup.service
printf '[Unit]\nDescription=nothing\nDefaultDependencies=no\n' >/etc/systemd/system/nothing.target
container=volley-test unshare --pid --mount --fork --mount-proc \
  /lib/systemd/systemd --system --unit=nothing.target --log-target=console --show-status=false </dev/null >/run/systemd.log 2>&1 &
tries=0
until manager=$(pgrep -f 'systemd --system --unit=nothing' -n) && [ -S /run/systemd/private ]; do
  tries=$((tries + 1)) && [ $tries -lt 100 ] || { cat /run/systemd.log; exit 1; }
  sleep 0.2
done
in_system() { nsenter --target "$manager" --root --mount --pid -- "$@"; }

step start
in_system systemctl start volley-node.service ||
  { in_system systemctl status --no-pager --lines=30 volley-node.service; cat /run/systemd.log; exit 1; }
in_system systemctl show volley-node.service -p ActiveState -p NRestarts
export VOLLEY_NODES=10.0.2.15

step process
node=$(pgrep -u volley -f 'volley node')
grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' "/proc/$node/status"
grep 'Max locked memory' "/proc/$node/limits"

step use
head -c 3000000 /dev/urandom >/tmp/image
volley upload /tmp/image --name image >/dev/null
volley load image --transport fabric --out /tmp/copy --json
cmp /tmp/image /tmp/copy

step reload
in_system systemctl reload volley-node.service
volley images

step restart
in_system systemctl restart volley-node.service
volley load image --out /tmp/kept >/dev/null
cmp /tmp/image /tmp/kept
volley images

step stop
in_system systemctl stop volley-node.service
in_system systemctl show volley-node.service -p ActiveState -p Result -p ExecMainStatus
