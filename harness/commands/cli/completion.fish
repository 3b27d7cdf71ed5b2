# SPDX-License-Identifier: GPL-2.0-only
# Sourced by fish: what Tab offers behind ./lab, in whichever checkout that is.
function __lab
	set -l words (commandline -opc)
	set -l current (commandline -ct)
	set -l found (eval $words[1] --complete -- (string escape -- $words[2..] "$current") 2>/dev/null)
	if set -q found[1]
		string join \n -- $found
	else
		__fish_complete_path "$current"
	end
end
complete -c lab -f -a '(__lab)'
