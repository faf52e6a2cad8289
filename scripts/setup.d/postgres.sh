# shellcheck shell=bash
# The ladder for PostgreSQL. The Go package ledger/postgres/cluster looks in the same places in the same order.

oldest_postgres=15

# check_postgres sets version, or why the programs in folder $1 will not do.
check_postgres() {
	local line program
	for program in initdb postgres; do
		if ! line=$("$1/$program" --version 2>/dev/null </dev/null); then
			why="$1 has no $program that runs"
			return 1
		fi
		if ! [[ $line =~ \(PostgreSQL\)\ ([0-9]+)([.0-9]*) ]]; then
			why="$1/$program does not state its version"
			return 1
		fi
	done
	version=${BASH_REMATCH[1]}${BASH_REMATCH[2]}
	if [ "${version%%.*}" -lt "$oldest_postgres" ]; then
		why="$1 is version $version; $oldest_postgres or newer is needed"
		return 1
	fi
}

setup_postgres() {
	local why='' version='' best=''
	if [ -n "${DAOBANK_POSTGRES:-}" ]; then
		say "PostgreSQL: the server at $(without_password "$DAOBANK_POSTGRES") (from DAOBANK_POSTGRES)"
		return 0
	fi
	rung_failed DAOBANK_POSTGRES "not set"

	if postgres_installed; then
		say "PostgreSQL: $best (version $version, installed on this machine)"
		return 0
	fi
	rung_failed "installed programs" "$why"

	if postgres_from_package; then
		say "PostgreSQL: $tools/postgres/bin (version $version, this system's package $(cat "$tools/postgres/PACKAGE"), unpacked in .tools/postgres)"
		return 0
	fi
	rung_failed "this system's PostgreSQL package" "$why"

	if postgres_in_docker; then
		say "PostgreSQL: Docker image $best"
		return 0
	fi
	rung_failed Docker "$why"
	give_up PostgreSQL "sudo apt-get install postgresql   (or set DAOBANK_POSTGRES to the URL of a running server)"
}

without_password() { printf '%s' "$1" | sed -E 's#^([a-z]+://[^/:@]*):[^@/]*@#\1:***@#; s#(password=)[^ &]*#\1***#g'; }

# postgres_installed sets best to the folder with the newest programs.
postgres_installed() {
	local folders=() folder newest=''
	folder=$(command -v initdb) && folders+=("$(dirname -- "$(readlink -f -- "$folder")")")
	folder=$(pg_config --bindir 2>/dev/null) && folders+=("$folder")
	folders+=(/usr/lib/postgresql/*/bin /usr/pgsql-*/bin)
	why="neither PATH nor pg_config nor /usr/lib/postgresql leads to initdb and postgres"
	for folder in "${folders[@]}"; do
		if ! [ -x "$folder/initdb" ] || ! check_postgres "$folder"; then continue; fi
		if [ -z "$newest" ] || [ "${version%%.*}" -gt "${newest%%.*}" ]; then
			best=$folder newest=$version
		fi
	done
	version=$newest
	[ -n "$best" ]
}

# postgres_from_package sees to .tools/postgres.
postgres_from_package() {
	local home=$tools/postgres
	if [ -e "$home/MANIFEST" ] && check_postgres "$home/bin"; then return 0; fi
	debian_ready || return 1
	local state=$tools/tmp/apt-postgres new=$tools/tmp/postgres packages
	rm -rf "$state" "$new"
	mkdir -p "$state" "$new/bin"
	system_sources >"$state/sources" || return 1
	progress "PostgreSQL: fetching this system's package postgresql (30 MB, once)"
	apt_private "$state" <"$state/sources"
	apt_update "$state" || return 1
	# The machine's own libc, which these packages are built for, serves; the compiler that only speeds up long
	# queries and the languages that the bank does not use are left out.
	packages=$(apt_closure "$state" postgresql | grep -E '^(postgresql-[0-9]+|lib.*|zlib1g)=' |
		grep -Ev '^lib(c6|c-bin|llvm.*|perl.*|systemd-shared|mount1|blkid1|.*-perl)=') || {
		why="postgresql cannot be resolved: $(apt_complaint "$state")"
		return 1
	}
	# shellcheck disable=SC2086 # one word per package
	apt_unpack "$state" "$new/root" $packages || return 1
	rm -rf "$new"/root/usr/lib/postgresql/*/lib/{bitcode,llvmjit*}
	grep -E '^postgresql-[0-9]+=' <<<"$packages" | tr = ' ' >"$new/PACKAGE"
	postgres_wrappers "$new" || return 1
	check_postgres "$new/bin" || return 1
	put_in_place "$new" "$tools/postgres"
}

# system_sources prints the package sources of the system itself (Debian or Ubuntu), without the third parties'
# that may be configured beside them.
system_sources() {
	local id='' origin label uri release component keyring found=''
	# shellcheck disable=SC1091
	id=$(. /etc/os-release 2>/dev/null && printf '%s' "${ID:-}")
	case $id in
	debian) id=Debian ;;
	ubuntu) id=Ubuntu ;;
	*)
		why="this system is neither Debian nor Ubuntu"
		return 1
		;;
	esac
	keyring=$(keyring_of "$id") || {
		why="the $id archive keyring is not installed"
		return 1
	}
	while IFS='|' read -r origin label uri release component; do
		# Where apt has never fetched its lists the origin is unknown; the signature decides.
		case $origin in "$id" | '' | *ORIGIN*) ;; *) continue ;; esac
		case $label-$release in *ackports*) continue ;; esac
		[ -n "$component" ] || continue
		printf 'deb [signed-by=%s] %s %s %s\n' "$keyring" "$uri" "$release" "$component"
		found=1
	done < <(machine_sources)
	why="apt on this machine has no $id source configured"
	[ -n "$found" ]
}

# postgres_wrappers writes bin/initdb and the rest, which run the unpacked programs with the unpacked libraries,
# from wherever the folder has been moved to. PostgreSQL finds its shared files by itself, beside its programs.
postgres_wrappers() {
	local home=$1 programs libraries program
	programs=$(cd "$home/root" && find usr/lib/postgresql -type d -name bin | head -n 1)
	libraries=$(cd "$home/root" && find usr/lib -name 'libpq.so.5' -exec dirname {} \; | head -n 1)
	if [ -z "$programs" ] || [ -z "$libraries" ]; then
		why="the unpacked packages hold no server or no libpq"
		return 1
	fi
	for program in initdb postgres pg_ctl; do
		cat >"$home/bin/$program" <<-WRAPPER
			#!/bin/sh
			# Written by scripts/setup.
			root=\$(dirname -- "\$(dirname -- "\$(readlink -f -- "\$0")")")/root
			LD_LIBRARY_PATH=\$root/$libraries exec "\$root/$programs/$program" "\$@"
		WRAPPER
		chmod 755 "$home/bin/$program"
	done
}

# postgres_in_docker sets best to an image that a Docker engine on this machine holds.
postgres_in_docker() {
	local image
	if ! docker version >/dev/null 2>&1 </dev/null; then
		why="no Docker engine answers"
		return 1
	fi
	for image in "${DAOBANK_POSTGRES_IMAGE:-postgres:17}" daobank/postgres; do
		if docker image inspect "$image" >/dev/null 2>&1 </dev/null; then
			best=$image
			return 0
		fi
	done
	why="the engine holds neither ${DAOBANK_POSTGRES_IMAGE:-postgres:17} nor daobank/postgres (docker pull postgres:17)"
	return 1
}
