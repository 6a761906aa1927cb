#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Prints the path of a real nvidia-smi on stdout, for the tests of libvgpu-nvml.so:
# that of this machine, else the one of Debian 12's non-free part, which is downloaded
# into the cache and not installed. nvtop likewise, from contrib.
#
#   tools/nvidia-smi.sh [nvidia-smi|nvtop]
set -eu

suite=bookworm
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
cache=${VGPU_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/vgpu}
name=${1:-nvidia-smi}
dir=$cache/$name
state=$dir/apt

die() { printf '%s\n' "nvidia-smi.sh: $*" >&2; exit 1; }

case $name in
nvidia-smi) program=$dir/usr/lib/nvidia/current/nvidia-smi ;;
nvtop) program=$dir/usr/bin/nvtop ;;
*) die "which? nvidia-smi or nvtop" ;;
esac
found=$(command -v "$name" || true)
[ -z "$found" ] || { printf '%s\n' "$found"; exit 0; }
[ ! -x "$program" ] || { printf '%s\n' "$program"; exit 0; }

# The mirror that this machine uses for the main part has the others beside it.
mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list 2>/dev/null |
    sed -n "s/^deb \(\[[^]]*\] *\)\{0,1\}\([^ ]*\) $suite .*main.*/\2/p" | head -n 1)
[ -n "$mirror" ] || mirror=$(cat /etc/apt/sources.list.d/*.sources 2>/dev/null |
    awk -v suite="$suite" '/^URIs:/ { uri = $2 } /^Suites:/ && $2 == suite { print uri; exit }')
[ -n "$mirror" ] && [ -r "$keyring" ] || die "apt has no source for Debian 12 on this machine"
command -v dpkg-deb >/dev/null || die "no dpkg-deb here"

mkdir -p "$state/lists/partial" "$state/cache/archives/partial"
printf 'deb [signed-by=%s] %s %s contrib non-free\n' "$keyring" "$mirror" "$suite" >"$state/sources.list"
cat >"$state/apt.conf" <<END
Dir::Etc::SourceList "$state/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State::Lists "$state/lists";
Dir::Cache "$state/cache";
APT::Sandbox::User "$(id -un)";
Acquire::Languages "none";
Acquire::Retries "3";
END
export APT_CONFIG="$state/apt.conf"
apt-get -qq update >&2 || die "apt-get update failed (network?)"
(cd "$state" && apt-get -qq download "$name" >&2) || die "could not download $name"
dpkg-deb -x "$state/$name"_*.deb "$dir"
rm -rf "$state"
[ -x "$program" ] || die "the package has no $program"
printf '%s\n' "$program"
