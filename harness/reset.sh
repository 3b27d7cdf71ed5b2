# SPDX-License-Identifier: GPL-2.0-only
# reset.sh DEVICE MARKER: brings the guest back to what it was after boot, but
# for its management interface, and says MARKER on the console when that
# is done. Runs after each test, whatever that left.
device=$1 marker=$2

# Else the kernel keeps only ten user lines of any five seconds.
echo on >/proc/sys/kernel/printk_devkmsg

# What earlier commands of this same connection left running, but for this one.
kept=" $$ "
pid=$$
while [ "$pid" -gt 1 ]; do
	read -r _ _ _ pid _ </proc/$pid/stat
	kept="$kept$pid "
done
for environ in $(grep -l "SSH_CONNECTION=$SSH_CONNECTION" /proc/[0-9]*/environ 2>/dev/null); do
	pid=${environ#/proc/}
	pid=${pid%/environ}
	case $kept in
	*" $pid "*) ;;
	*) kill -KILL "$pid" 2>/dev/null ;;
	esac
done

for namespace in /var/run/netns/*; do
	[ -e "$namespace" ] && ip netns del "${namespace##*/}"
done
# A veth goes with its peer, and the devices of tunnels' modules stay: no error.
for path in /sys/class/net/*; do
	link=${path##*/}
	case $link in
	lo | eth0 | "$device") ;;
	*) echo "link del dev $link" ;;
	esac
done | ip -force -batch - 2>/dev/null
rm -rf /sys/fs/bpf/lab
mkdir /sys/fs/bpf/lab

if [ -d "/sys/class/net/$device" ]; then
	tc qdisc del dev "$device" clsact 2>/dev/null
	ethtool -K "$device" rxhash off
	ip -batch - <<-END
	link set dev $device xdp off
	link set dev $device xdpgeneric off
	link set dev $device promisc off mtu 1500
	address flush dev $device
	END
fi || exit
echo "$marker" >/dev/kmsg
