#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Downloads a source or binary package of Debian 12 into a directory, without
# installing it and without touching the machine's own apt configuration: a
# private source list and private package lists, kept in the cache.  So it
# works where deb-src is not enabled, as any user, and on any machine that has
# apt and Debian's keyring.
#
#   tools/debian-fetch.sh source PACKAGE DIR   .dsc and tarballs into DIR
#   tools/debian-fetch.sh binary PACKAGE DIR   the .deb into DIR; a
#                                              metapackage: what it depends on
#   tools/debian-fetch.sh version PACKAGE      prints the source's version
#
# Everything is checked by apt: the keyring signs the release file, which
# holds the hash of the index, which holds the hash of the package.

set -eu

suite=bookworm
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
cache=${VGPU_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vgpu}
state=$cache/apt
# A log has no use for a line per file.
quiet=-qq
[ ! -t 2 ] || quiet=-q

say() { printf '%s\n' "debian-fetch: $*" >&2; }
die() { say "$*"; exit 1; }

# "URI SUITE" of each source of Debian 12's main part that apt knows from its lists.
# shellcheck disable=SC2016 # the format is apt's to expand
known_mirrors() {
    apt-get indextargets 'Created-By: Packages' \
        --format '$(ORIGIN) $(COMPONENT) $(REPO_URI) $(CODENAME)' 2>/dev/null |
        sed -n "s/^Debian main \(.*$suite.*\)/\1/p" | sort -u
}

# The same from the configuration alone, where no list has been read yet.
configured_mirrors() {
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
        sed -n "s/^deb \(\[[^]]*\] *\)\{0,1\}\([^ ]*\) \($suite[^ ]*\) .*main.*/\2 \3/p"
    cat /etc/apt/sources.list.d/*.sources 2>/dev/null | awk -v suite="$suite" '
        /^URIs:/ { uri = $2 }
        /^Suites:/ { for (i = 2; i <= NF; i++) if (index($i, suite) == 1) print uri, $i }'
}

write_lists() {
    found=$(known_mirrors)
    [ -n "$found" ] || found=$(configured_mirrors | sort -u)
    [ -n "$found" ] || die "apt has no source for Debian 12 ($suite main) on this machine"
    printf '%s\n' "$found" | while read -r uri dist; do
        for kind in deb deb-src; do
            printf '%s [signed-by=%s] %s %s main\n' $kind "$keyring" "$uri" "$dist"
        done
    done >"$state/sources.list"
}

apt_options() {
    cat <<-EOF
	Dir::Etc::SourceList "$state/sources.list";
	Dir::Etc::SourceParts "/dev/null";
	Dir::Etc::Preferences "/dev/null";
	Dir::Etc::PreferencesParts "/dev/null";
	Dir::State::Lists "$state/lists";
	Dir::Cache "$state/cache";
	APT::Sandbox::User "$(id -un)";
	Acquire::Languages "none";
	Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled "false";
	Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
	Acquire::Retries "3";
	EOF
}

# A day-old index still names packages that the mirror has.
refresh() {
    [ -r "$keyring" ] || die "no $keyring; install debian-archive-keyring"
    mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
    write_lists
    apt_options >"$state/apt.conf"
    [ -z "$(find "$state/fresh" -mmin -1440 2>/dev/null)" ] || return 0
    say "reading Debian's package index ($suite, private copy in $state)"
    apt-get $quiet update >&2 || die "apt-get update failed (network?)"
    touch "$state/fresh"
}

# $1 names a metapackage like linux-image-amd64: the package behind it.
resolve() {
    behind=$(apt-cache depends --important "$1" |
        sed -n "s/^ *Depends: \(linux-image-[0-9].*\)/\1/p" | head -n 1)
    printf '%s\n' "${behind:-$1}"
}

source_version() {
    apt-cache showsrc --only-source "$1" | sed -n 's/^Version: //p' | sort -V | tail -n 1
}

export APT_CONFIG="$state/apt.conf"
[ $# -ge 2 ] || { sed -n '3,15s/^# \{0,1\}//p' "$0" >&2; exit 2; }
refresh
case $1 in
version) source_version "$2" ;;
source)
    version=$(source_version "$2")
    [ -n "$version" ] || die "no source package $2"
    mkdir -p "$3"
    (cd "$3" && apt-get $quiet source --download-only "$2=$version" >&2) ||
        { rm -f "$state/fresh"; die "could not download the source of $2 $version"; }
    ;;
binary)
    package=$(resolve "$2")
    mkdir -p "$3"
    (cd "$3" && apt-get $quiet download "$package" >&2) ||
        { rm -f "$state/fresh"; die "could not download $package"; }
    ;;
*) die "unknown command $1" ;;
esac
