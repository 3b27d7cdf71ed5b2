# SPDX-License-Identifier: GPL-2.0-only
# reset.sh DEVICES MARKER: brings the guest back to what it was after boot, but
# for its management interface, and says MARKER on the console when that
# is done. Runs after each test, whatever that left.
devices=$1 marker=$2

# What earlier commands of this same connection left running, but for this one.
kept=" $$ "
pid=$$
while [ "$pid" -gt 1 ]; do
	read -r _ _ _ pid _ </proc/$pid/stat
	kept="$kept$pid "
done
read -r started </run/started
later=
for path in /proc/[0-9]*; do
	pid=${path#/proc/}
	[ "$pid" -gt "$started" ] || continue
	case $kept in
	*" $pid "*) ;;
	*) later="$later $path/environ" ;;
	esac
done
if [ "$later" ]; then
	for environ in $(grep -l "SSH_CONNECTION=$SSH_CONNECTION" $later 2>/dev/null); do
		pid=${environ#/proc/}
		kill -KILL "${pid%/environ}" 2>/dev/null
	done
fi

for namespace in /var/run/netns/*; do
	[ -e "$namespace" ] && ip netns del "${namespace##*/}"
done
# A veth goes with its peer, and the devices of tunnels' modules stay: no error.
for path in /sys/class/net/*; do
	link=${path##*/}
	case " lo eth0 $devices " in
	*" $link "*) ;;
	*) echo "link del dev $link" ;;
	esac
done | ip -force -batch - 2>/dev/null
rm -rf /sys/fs/bpf/lab /run/xsk
mkdir /sys/fs/bpf/lab

present=
for device in $devices; do
	[ -d "/sys/class/net/$device" ] && present="$present $device"
done
for device in $present; do
	echo "qdisc del dev $device clsact"
done | tc -force -batch - 2>/dev/null
for device in $present; do
	ethtool -K "$device" rxhash off
done
{
echo "link set dev eth0 xdp off"
for device in $present; do
	echo "link set dev $device xdp off"
	echo "link set dev $device xdpgeneric off"
	echo "link set dev $device promisc off mtu 1500"
	echo "address flush dev $device"
done
} | ip -batch - || exit
echo "$marker" >/dev/kmsg
