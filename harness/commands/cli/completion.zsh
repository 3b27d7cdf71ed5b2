# SPDX-License-Identifier: GPL-2.0-only
# Sourced by zsh: what Tab offers behind ./lab, in whichever checkout that is.
_lab() {
	local -a found
	found=(${(f)"$(${~words[1]} --complete -- "${(@)words[2,CURRENT]}" 2>/dev/null)"})
	if (( $#found )); then
		compadd -- $found
	else
		_files
	fi
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }
compdef _lab lab
