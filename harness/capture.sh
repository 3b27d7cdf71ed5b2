# SPDX-License-Identifier: GPL-2.0-only
# capture.sh MAPS COUNT SECONDS: waits until the observer with its maps pinned
# in MAPS has recorded COUNT frames, then prints its counts and its records, a
# line of JSON each. What is there is printed also when SECONDS are over.
maps=$1 count=$2 seconds=$3

now() {
	read -r uptime _ </proc/uptime
	echo "${uptime%.*}"
}

end=$(($(now) + seconds + 1))
while :; do
	counts=$(bpftool -j map dump pinned "$maps/counts") || exit
	recorded=${counts##*\"recorded\":}
	recorded=${recorded%%[!0-9]*}
	[ "${recorded:-0}" -ge "$count" ] && break
	[ "$(now)" -ge "$end" ] && break
	sleep 0.02
done
echo "$counts"
bpftool -j map dump pinned "$maps/records"
