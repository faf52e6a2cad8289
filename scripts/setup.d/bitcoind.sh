# shellcheck shell=bash
# The ladder for the Bitcoin node.

oldest_bitcoind=28

# node_version prints the version that a node's program states ("29.4.0"), or fails.
node_version() {
	local line
	line=$("$1" --version 2>/dev/null </dev/null | head -n 1) || return 1
	[[ $line =~ version\ v?([0-9]+(\.[0-9]+)*) ]] || return 1
	printf '%s' "${BASH_REMATCH[1]}"
}

# check_bitcoind sets version, or why the program at $1 will not do.
check_bitcoind() {
	if ! version=$(node_version "$1"); then
		why="$1 does not run or does not state its version"
		return 1
	fi
	if [ "${version%%.*}" -lt "$oldest_bitcoind" ]; then
		why="$1 is version $version; $oldest_bitcoind or newer is needed"
		return 1
	fi
}

setup_bitcoind() {
	local why='' version='' path
	if [ -n "${BITCOIND:-}" ]; then
		if [[ ${BITCOIND##*/} == btcd* ]] && version=$(node_version "$BITCOIND"); then
			say "bitcoind: $BITCOIND (btcd $version, from BITCOIND)"
		elif check_bitcoind "$BITCOIND"; then
			say "bitcoind: $BITCOIND (version $version, from BITCOIND)"
		else
			progress "bitcoind: BITCOIND is set, but $why."
			return 1
		fi
		return 0
	fi
	rung_failed BITCOIND "not set"

	if ! path=$(command -v bitcoind); then
		rung_failed PATH "no bitcoind there"
	elif check_bitcoind "$path"; then
		say "bitcoind: $path (version $version, from PATH)"
		return 0
	else
		rung_failed PATH "$why"
	fi
	rung_failed Docker "set-up does not look there; Go code uses the image daobank/bitcoind:regtest where an engine holds it (make images)"

	if bitcoind_from_debian; then
		say "bitcoind: $tools/bitcoind/bin/bitcoind (version $version, Debian package $(cat "$tools/bitcoind/PACKAGE"), unpacked in .tools/bitcoind)"
		return 0
	fi
	rung_failed "Debian package bitcoin-knots" "$why"
	progress "bitcoind: Debian's package bitcoin-knots is not to be had ($why)"

	if btcd_from_module; then
		say "bitcoind: $tools/btcd/btcd (btcd $version, built from the module in go.mod; no bitcoind could be had)"
		return 0
	fi
	rung_failed "btcd from go.mod" "$why"
	give_up bitcoind "install Bitcoin Core $oldest_bitcoind or newer, then: BITCOIND=/path/to/bitcoind scripts/setup"
}

# setup_bitcoind-package sees to the unpacked Debian package alone, whatever else there is: the container image is
# made of it.
setup_bitcoind-package() {
	local why='' version=''
	if ! bitcoind_from_debian; then
		progress "Debian package bitcoin-knots: $why."
		return 1
	fi
	say "Debian package $(cat "$tools/bitcoind/PACKAGE"): unpacked in .tools/bitcoind"
}

# bitcoind_from_debian sees to .tools/bitcoind.
bitcoind_from_debian() {
	local home=$tools/bitcoind
	if [ -e "$home/MANIFEST" ] && [ -e "$home/root/usr/bin/busybox" ] && check_bitcoind "$home/bin/bitcoind"; then return 0; fi
	debian_ready || return 1
	local keyring mirror mirrors
	keyring=$(keyring_of Debian) || { why="the Debian archive keyring is not installed"; return 1; }
	mirrors=$(debian_mirrors)
	why="apt on this machine is not configured with a Debian mirror"
	for mirror in $mirrors; do
		bitcoind_from_mirror "$mirror" "$keyring" && return 0
	done
	return 1
}

# bitcoind_from_mirror unpacks bitcoin-knots with all its libraries, libc among them: the unstable suite is newer
# than most machines. Packages that its libraries name but a node never loads are left out. busybox is the shell of
# the container image that scripts/images makes of the same folder.
bitcoind_from_mirror() {
	local mirror=$1 keyring=$2 state=$tools/tmp/apt-bitcoind new=$tools/tmp/bitcoind
	rm -rf "$state" "$new"
	mkdir -p "$state" "$new/bin"
	progress "bitcoind: fetching Debian's package bitcoin-knots from $mirror (21 MB, once)"
	apt_private "$state" <<<"deb [signed-by=$keyring] $mirror unstable main"
	apt_update "$state" || return 1
	local packages
	packages=$(apt_closure "$state" bitcoin-knots busybox-static | grep -E '^(bitcoin-knots|busybox-static|lib.*|zlib1g)=' |
		grep -Ev '^(libsystemd-shared|libmount1|libblkid1|libselinux1|libpcre2-8-0|libc-gconv-modules-extra)=') || {
		why="bitcoin-knots cannot be resolved from $mirror: $(apt_complaint "$state")"
		return 1
	}
	# shellcheck disable=SC2086 # one word per package
	apt_unpack "$state" "$new/root" $packages || return 1
	grep '^bitcoin-knots=' <<<"$packages" | tr = ' ' >"$new/PACKAGE"
	bitcoind_wrappers "$new" || return 1
	check_bitcoind "$new/bin/bitcoind" || return 1
	put_in_place "$new" "$tools/bitcoind"
}

# bitcoind_wrappers writes bin/bitcoind and bin/bitcoin-cli, which run the unpacked programs with the unpacked
# loader and libraries, from wherever the folder has been moved to.
bitcoind_wrappers() {
	local home=$1 loader libraries program
	loader=$(cd "$home/root" && find usr/lib64 usr/lib -name 'ld-linux*.so.*' | head -n 1)
	libraries=$(cd "$home/root" && find usr/lib -name 'libc.so.6' -exec dirname {} \; | head -n 1)
	if [ -z "$loader" ] || [ -z "$libraries" ]; then
		why="the unpacked packages hold no loader or no libc"
		return 1
	fi
	for program in bitcoind bitcoin-cli; do
		cat >"$home/bin/$program" <<-WRAPPER
			#!/bin/sh
			# Written by scripts/setup.
			root=\$(dirname -- "\$(readlink -f -- "\$0")")/../root
			exec "\$root/$loader" --inhibit-cache --library-path "\$root/$libraries" "\$root/usr/bin/$program" "\$@"
		WRAPPER
		chmod 755 "$home/bin/$program"
	done
}

# btcd_from_module builds the btcd that go.mod pins; go checks it against go.sum.
btcd_from_module() {
	local program=$tools/btcd/btcd
	if [ -x "$program" ] && version=$(node_version "$program"); then return 0; fi
	if ! command -v go >/dev/null; then
		why="this machine has no go"
		return 1
	fi
	if [ ! -w "$tools" ]; then
		why="$tools is not writable"
		return 1
	fi
	local new=$tools/tmp/btcd proxy=${GOPROXY:-}
	mkdir -p "$new"
	[ -z "$offline" ] || proxy=off
	progress "bitcoind: building btcd from the module in go.mod"
	if ! (cd "$project" && GOPROXY=$proxy CGO_ENABLED=0 go build -o "$new/btcd" github.com/btcsuite/btcd) 2>"$tools/tmp/btcd.log"; then
		why="go build failed: $(tail -n 1 "$tools/tmp/btcd.log" | cut -c 1-200)"
		return 1
	fi
	if ! version=$(node_version "$new/btcd"); then
		why="the btcd just built does not run"
		return 1
	fi
	put_in_place "$new" "$tools/btcd"
}
