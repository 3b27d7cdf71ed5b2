# SPDX-License-Identifier: GPL-2.0-only
# capture.sh MAPS COUNT SECONDS [more]: waits until the observer with its maps
# pinned in MAPS has recorded COUNT frames, then prints its counts and its
# records, a line of JSON each; nothing if more are to come. What is there is
# printed also when SECONDS are over.
maps=$1 count=$2 seconds=$3 more=$4

now() {
	read -r uptime _ </proc/uptime
	echo "${uptime%.*}"
}

end=$(($(now) + seconds + 1))
while :; do
	counts=$(bpftool -j map dump pinned "$maps/counts") || exit
	recorded=${counts##*\"recorded\":}
	recorded=${recorded%%[!0-9]*}
	if [ "${recorded:-0}" -ge "$count" ]; then
		[ -n "$more" ] && exit
		break
	fi
	[ "$(now)" -ge "$end" ] && break
	sleep 0.02
done
echo "$counts"
bpftool -j map dump pinned "$maps/records"
