# SPDX-License-Identifier: GPL-2.0-only
# Sourced by bash: what Tab offers behind ./lab, in whichever checkout that is.
_lab() {
	local IFS=$'\n'
	# shellcheck disable=SC2207 # a candidate has neither blanks nor wildcards
	COMPREPLY=($("${1/#\~/$HOME}" --complete -- "${COMP_WORDS[@]:1:COMP_CWORD}" 2>/dev/null))
}
complete -o default -F _lab lab
