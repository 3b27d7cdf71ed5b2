# SPDX-License-Identifier: GPL-2.0-only
# hangup.sh CONNECTION: waits for a line. An input that ends without one means that nobody is
# at the other end of this SSH connection any more: what was started by it is told, and ended.
read -r _ && exit

# The oldest first: a shell whose command ends would go on with the next one.
send() {
	pids=$(grep -ls "SSH_CONNECTION=$connection" /proc/[0-9]*/environ | tr -dc '0-9\n' | sort -n)
	[ "$pids" ] && kill -s "$1" $pids 2>/dev/null
}
connection=$1
send HUP
sleep 1
send KILL
