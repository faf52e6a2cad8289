# shellcheck shell=bash
# Debian packages without root: a private apt state under .tools/tmp, with the machine's own mirrors, proxy and
# keyrings. apt checks the release's signature and each package's SHA256; there is no way around either here.
#
# Functions that fail leave the reason, in words, in the variable "why".

# debian_ready says whether this machine has what is needed to fetch and unpack packages.
debian_ready() {
	local program
	for program in apt-get apt-config dpkg dpkg-deb; do
		if ! command -v "$program" >/dev/null; then
			why="this machine has no $program"
			return 1
		fi
	done
	if [ -n "$offline" ]; then
		why="not downloaded already, and the network is not to be used"
		return 1
	fi
	if [ ! -w "$tools" ]; then
		why="$tools is not writable"
		return 1
	fi
}

# machine_sources prints one line "origin|label|uri|release|component" for each package index that the machine's
# apt is configured to use. Where apt has never fetched its lists, origin and label stay unknown.
machine_sources() {
	local format='$(ORIGIN)|$(LABEL)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)' known
	known=$(apt-get indextargets --format "$format" 'Created-By: Packages' 2>/dev/null) || true
	if [ -z "$known" ]; then
		known=$(apt-get indextargets --no-release-info --format "$format" 'Created-By: Packages' 2>/dev/null) || true
	fi
	awk '!seen[$0]++' <<<"$known"
}

# debian_mirrors prints the base addresses that may hold the Debian archive, the surest first. Where the origin is
# unknown, the signature that apt checks later decides.
debian_mirrors() {
	machine_sources | awk -F'|' '
		$2 ~ /Security|Backports/ || $3 ~ /security/ { next }
		$1 == "Debian" { sure[++n] = $3; next }
		$3 != "" && ($1 == "" || $1 ~ /ORIGIN/) { maybe[++m] = $3 }
		END { for (i = 1; i <= n; i++) print sure[i]; for (i = 1; i <= m; i++) print maybe[i] }' | awk '!seen[$0]++'
}

# keyring_of prints the archive keyring that belongs to an origin ("Debian" or "Ubuntu").
keyring_of() {
	local name
	name=$(printf '%s' "$1" | tr '[:upper:]' '[:lower:]')-archive-keyring
	local file
	for file in "/usr/share/keyrings/$name.gpg" "/usr/share/keyrings/$name.pgp" "/etc/apt/trusted.gpg.d/$name.gpg"; do
		if [ -r "$file" ]; then
			printf '%s' "$file"
			return 0
		fi
	done
	why="the $1 archive keyring (package $name) is not installed"
	return 1
}

# apt_private writes the configuration of a private apt into folder $1; its sources.list is read from standard
# input. Of the machine's settings only those for reaching the network (proxies, certificates) are kept: hooks that
# the machine runs after its own updates are none of ours.
apt_private() {
	local state=$1
	mkdir -p "$state/lists/partial" "$state/archives/partial"
	: >"$state/status"
	cat >"$state/sources.list"
	{
		apt-config dump | grep -E '^Acquire::(http|https|tor|ForceIPv4|ForceIPv6)(::| )' || true
		cat <<-CONF
			Dir::Etc::main "/dev/null";
			Dir::Etc::parts "/dev/null";
			Dir::Etc::sourcelist "$state/sources.list";
			Dir::Etc::sourceparts "/dev/null";
			Dir::Etc::preferences "/dev/null";
			Dir::Etc::preferencesparts "/dev/null";
			Dir::State "$state";
			Dir::State::lists "$state/lists";
			Dir::State::status "$state/status";
			Dir::Cache "$state";
			Dir::Log "$state";
			APT::Architecture "$(dpkg --print-architecture)";
			APT::Architectures { "$(dpkg --print-architecture)"; };
			APT::Install-Recommends "false";
			# The user _apt may not be allowed into this project's folder.
			APT::Sandbox::User "root";
			Acquire::AllowInsecureRepositories "false";
			Acquire::Languages "none";
			Acquire::Retries "2";
			Acquire::http::Timeout "30";
			Acquire::https::Timeout "30";
			# A mirror frozen for reproducible builds has a release file past its date; it is signed all the same.
			Acquire::Check-Valid-Until "false";
			Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
			Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
		CONF
	} >"$state/apt.conf"
}

# apt_run runs apt-get with the private configuration in folder $1 and keeps its messages in apt.log there.
apt_run() {
	local state=$1
	shift
	APT_CONFIG=$state/apt.conf LC_ALL=C DEBIAN_FRONTEND=noninteractive apt-get -qq "$@" 2>>"$state/apt.log" </dev/null
}

# apt_update fetches the lists of packages. apt reports a mirror that cannot be reached as a mere warning; here it is
# a failure.
apt_update() {
	apt_run "$1" update && compgen -G "$1/lists/*_Packages*" >/dev/null && return 0
	why="the lists of packages cannot be had: $(apt_complaint "$1")"
	return 1
}

# apt_complaint prints the last error that apt wrote, shortened.
apt_complaint() {
	local line
	line=$(grep -E '^(E|W|Err)' "$1/apt.log" 2>/dev/null | grep -v 'Some index files failed' | tail -n 1) || true
	printf '%s' "${line:-apt gave no reason}" | cut -c 1-200
}

# apt_closure prints "name=version" for the packages named after $1 and for each that they would need on an empty
# system.
apt_closure() {
	local state=$1
	shift
	apt_run "$state" install -y --no-install-recommends --print-uris "$@" | sed -n "s/^'[^']*' \([^ ]*\)_\([^_ ]*\)_[^_ ]*\.deb .*/\1=\2/p" |
		sed 's/%3a/:/g'
}

# apt_unpack downloads the packages named after $2 and unpacks them under folder $2, with a merged /usr, and
# writes their names and SHA256 sums to MANIFEST beside it.
apt_unpack() {
	local state=$1 root=$2 package
	shift 2
	mkdir -p "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/usr/lib64"
	local dir
	for dir in bin sbin lib lib64; do ln -s "usr/$dir" "$root/$dir"; done
	if ! (cd "$state/archives" && apt_run "$state" download "$@" >/dev/null); then
		why="download failed: $(apt_complaint "$state")"
		return 1
	fi
	for package in "$state"/archives/*.deb; do
		if ! dpkg-deb -x "$package" "$root" 2>>"$state/apt.log"; then
			why="cannot unpack ${package##*/}: $(tail -n 1 "$state/apt.log")"
			return 1
		fi
	done
	rm -rf "$root"/usr/share/{doc,man,info,lintian,bash-completion,locale}
	chmod -R u+rwX,go+rX,go-w "$root"
	(cd "$state/archives" && sha256sum -- *.deb) >"${root%/*}/MANIFEST"
}

