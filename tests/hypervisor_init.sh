#!/bin/sh
# The first process in the namespaces of a private hypervisor: gives libvirtd a host of its own, and runs it.
#
#   hypervisor_init.sh DIRECTORY ROOT owned|kept
#
# To be started with mount, network and process namespaces that are new. DIRECTORY holds run, etc, lib, log and cache,
# which become /run, /etc/libvirt, /var/lib/libvirt, /var/log/libvirt and /var/cache/libvirt. ROOT is the root of the
# system whose libvirtd it is. 'owned' ends everything when standard input does. When this process ends, the kernel ends
# every process in the namespaces, and with them go the mounts and the network devices. The daemon's number, as it is
# inside, stands in DIRECTORY/daemon.
set -eu
directory=$1 root=${2%/} life=$3

read -r pid rest </proc/self/stat  # its number outside, as long as /proc is the host's
echo "$pid" >"$directory/pid"

# cover SOURCE TARGET: a missing target is made in a layer over its parent, for the host's files stay as they are.
cover() {
  if [ ! -d "$root$2" ]; then
    parent=$root$(dirname "$2")
    layer=$directory/layers$2
    mkdir -p "$layer/upper" "$layer/work"
    mount -n -t overlay -o "lowerdir=$parent,upperdir=$layer/upper,workdir=$layer/work" overlay "$parent"
    mkdir "$root$2"
  fi
  mount -n --bind "$1" "$root$2"
}

# add_line FILE LINE: as if the file, one of accounts, had the line; unless it has that account.
add_line() {
  grep -q "^${2%%:*}:" "$root$1" && return
  { cat "$root$1"; echo "$2"; } >"$directory/layers/$(basename "$1")"
  mount -n --bind "$directory/layers/$(basename "$1")" "$root$1"
}

mount -n -t tmpfs tmpfs "$directory/layers"
# Debian's libvirtd does not start without this account, which libvirt-daemon-system makes.
add_line /etc/group libvirt-qemu:x:64055:
add_line /etc/passwd libvirt-qemu:x:64055:64055::/nonexistent:/usr/sbin/nologin
for each in lib log cache; do cover "$directory/$each" "/var/$each/libvirt"; done
cover "$directory/etc" /etc/libvirt
cover "$directory/run" /run  # the whole of it: no D-Bus, no systemd-machined, no udev of the host
[ -z "$root" ] || mount -n --rbind /dev "$root/dev"
mount -n -t proc proc "$root/proc"
umount -n --recursive --lazy /sys  # with its control groups, where guests of the same name would meet those of the host
mount -n -t sysfs sysfs "$root/sys"

ip link set lo up
ip link add dsbridge0 type bridge forward_delay 0
ip link set dsbridge0 up
ip link add dsveth0 type veth peer name dsveth1
ip link set dsveth0 up
ip link set dsveth1 up

exec 3<&0
[ "$life" = kept ] || { cat <&3 >/dev/null; kill -KILL -1; } &
# The daemon is started anew when it ends while there is a file of this name; without one, everything ends with it.
while :; do
  rm -f "$directory/again"
  chroot "$root/" libvirtd </dev/null 3<&- &
  echo $! >"$directory/daemon"
  wait $! || true
  [ -e "$directory/again" ] || break
done
