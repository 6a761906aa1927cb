#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The packages: built from what make built, held against their linters, and installed,
# upgraded and removed in a small system of their own, with their scripts running.
# shellcheck disable=SC2154 # top, build, work, failures: lib.sh's
set -u
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"
for tool in rpmbuild rpmlint lintian dpkg-deb dpkg-shlibdeps; do
    command -v $tool >/dev/null || { echo "$tool is not installed"; exit 77; }
done
# shellcheck source=tests/setup/root.sh
. "$(dirname "$0")/root.sh"
cd "$top" || exit 1
out=$work/out
plain_files() { (cd "$root" && files | while read -r f; do [ -d "$f" ] || echo "$f"; done); }
version=$(sed -n 's/^#define VG_VERSION "\(.*\)"/\1/p' xapi-plugin/version.h)

rpm_in() { "${as_root[@]}" rpm --quiet --root "$root" --dbpath /var/lib/rpm --nodeps "$@"; }
rpm_of() { echo "$out/vgpu-$1-$version-$2.xcpng8.3.x86_64.rpm"; }
logged() { grep -q -- "$1" "$root/systemctl.log" || { cat "$root/systemctl.log"; return 1; }; }

builds() {
    rpm/make-rpm.sh "$build" "$out" 'dist .xcpng8.3' '_binary_payload w1.gzdio' &&
        rpm/make-rpm.sh "$build" "$out" 'dist .xcpng8.3' '_binary_payload w1.gzdio' 'vg_release 2' &&
        rpm/make-deb.sh "$build" "$out" &&
        [ -s "$(rpm_of mediator 2)" ] && [ -s "$(rpm_of guest 2)" ]
}

# Nothing but what vgpu.rpmlintrc and the deb's overrides explain.
rpm_lint() {
    rpmlint -r rpm/vgpu.rpmlintrc "$(rpm_of mediator 1)" "$(rpm_of guest 1)" >"$work/lint" 2>&1
    grep -q ' 0 errors, 0 warnings' "$work/lint" || { cat "$work/lint"; return 1; }
}

deb_lint() {
    lintian --fail-on error,warning --allow-root "$out"/vgpu-guest_*.deb
}

# One binary for both releases: libxenstore is loaded, never linked.
links_no_xen() {
    ! rpm -qp --requires "$(rpm_of mediator 1)" | grep -i xen &&
        ! rpm -qp --provides "$(rpm_of guest 1)" "$(rpm_of mediator 1)" | grep 'lib.*\.so'
}

# ---- Dom0 -------------------------------------------------------------------

host_installs() {
    make_root
    mkdir "$root/etc/xenopsd.conf.d"
    touch "$root/etc/xenopsd.conf" "$root/etc/xensource-inventory"
    plain_files >"$work/clean"
    rpm_in -i "$(rpm_of mediator 1)" || return 1
    has_file /usr/sbin/vgpu-mediator /usr/libexec/vgpu/vgpu-executor /etc/xapi.d/plugins/vgpu \
        /etc/xapi.d/vm-pre-start/50-vgpu /etc/vgpu/mediator.conf /var/lib/vgpu \
        /usr/share/man/man8/vgpu-admin.8.gz /usr/lib/vgpu/libcuda.so.1 \
        /usr/share/doc/vgpu-mediator/docs/installation.md &&
        logged 'enable vgpu-mediator.service vgpu-publish.timer vgpu-cloudstack.timer vgpu-rrdd.service' &&
        grep -q '= /usr/libexec/vgpu/vgpu-qemu-wrapper' "$root/etc/xenopsd.conf.d/50-vgpu.conf" && logged 'restart vgpu-mediator' &&
        ! [ -e "$root/etc/ld.so.conf.d/00-vgpu.conf" ]
}

# Each program finds its parts where the package has put them, and starts. Not in the chroot:
# there is no /proc.
host_programs_run() {
    local at=$root/usr rc
    "$at/sbin/vgpu-admin" help >/dev/null && "$root/etc/xapi.d/plugins/vgpu" x | grep -q BadRequest ||
        return 1
    VGPU_VM_HOOK=$at/libexec/vgpu/vgpu-vm-hook VGPU_XAPI_SOCKET=/none \
        "$root/etc/xapi.d/vm-pre-start/50-vgpu" -vmuuid x -reason none
    rc=$?
    [ $rc = 1 ] || return 1
    "$at/sbin/vgpu-mediator" --foreground --config /dev/null --backend soft --socket "$work/mediator.sock" \
        --control-socket "$work/control.sock" --set "state_dir=$root/var/lib/vgpu" \
        >"$work/mediator.log" 2>&1 &
    mediator=$!
    within 20 test -S "$work/control.sock" &&
        VGPU_SOCKET=$work/mediator.sock "$at/bin/vgpu-run" -- "$bin/vgpu-guest-probe" |
        grep -q 'cuda-name vGPU software device' &&
        "$at/sbin/vgpu-admin" --socket "$work/control.sock" show-health | grep -q 'usr/.*softcuda' &&
        mediator_stop -INT
}

# The daemon as its unit starts it, from where the package has put it.
host_serves() {
    "$root/usr/sbin/vgpu-mediator" --foreground --config /dev/null --backend soft --socket "$work/mediator.sock" \
        --control-socket "$work/control.sock" --set "state_dir=$root/var/lib/vgpu" --set keep=always \
        >>"$work/mediator.log" 2>&1 &
    mediator=$!
    within 20 admin list
}
has_executors() { [ "$(executors)" = "$1" ]; }
packaged() { VGPU_SOCKET=$work/mediator.sock "$root/usr/bin/vgpu-run" --vm "$1" -- "${@:2}"; }

# A program that runs when the package is upgraded goes on, and one that comes later works.
host_works_through() {
    host_serves && admin register-vm old --weight=31 || return 1
    touch "$work/go"
    packaged old "$build/client/storm" launch "$work/go" >"$work/storm" 2>&1 &
    local program=$! before
    within 60 grep -q storm "$work/storm" || return 1
    before=$(executors)
    host_keeps_settings || return 1
    mediator_stop -TERM
    host_serves && kill -0 $program && within 20 has_executors "$before" || return 1
    packaged new "$bin/vgpu-guest-probe" | grep -q 'cuda-kernel right' || return 1
    admin show-vm old | grep -q 'weight *31' || return 1
    rm "$work/go"
    wait $program || { cat "$work/storm"; return 1; }
    mediator_stop -INT
}

host_keeps_settings() {
    echo '# mine' >>"$root/etc/vgpu/mediator.conf"
    : >"$root/systemctl.log"
    rpm_in -U "$(rpm_of mediator 2)" || return 1
    grep -q '# mine' "$root/etc/vgpu/mediator.conf" && logged 'restart vgpu-mediator' &&
        ! grep -q 'enable\|disable\|stop' "$root/systemctl.log" &&
        [ "$(ls "$root/etc/xapi.d/vm-pre-start")" = 50-vgpu ]
}

# vms.json and the like stay, and changed settings as .rpmsave; hooks' directories are clean.
host_removes() {
    rpm_in -e vgpu-mediator || return 1
    rm -rf "$root"/var/lib/vgpu "$root"/var/vgpu/*
    mv "$root/etc/vgpu/mediator.conf.rpmsave" "$work/" && rmdir "$root/etc/vgpu" || return 1
    plain_files >"$work/left"
    logged 'disable vgpu-mediator' && logged 'kill -s INT' || return 1
    diff "$work/clean" "$work/left"
}

# ---- guests -----------------------------------------------------------------

# guest_installed TOOL: what both kinds of package must have done.
guest_installed() {
    has_file /usr/lib/vgpu/libcuda.so.1 /usr/lib/udev/rules.d/70-vgpu.rules /etc/profile.d/vgpu-cuda.sh \
        /usr/lib/systemd/system/ollama.service.d/vgpu.conf /usr/lib/modprobe.d/vgpu.conf &&
        loader_has_ours /usr/lib/vgpu && logged 'enable vgpu-guest.service' && logged 'restart vgpu-guest' &&
        inside /usr/sbin/vgpu-guest-check | grep -q '^pass  the loader finds libcuda.so.1, ours'
}

# What an administrator has changed stays in an upgrade.
change_setting() { echo '# mine' >>"$root/etc/profile.d/vgpu-cuda.sh"; }
setting_kept() { grep -q '# mine' "$root/etc/profile.d/vgpu-cuda.sh"; }

rpm_guest() {
    make_root
    plain_files >"$work/clean"
    rpm_in -i "$(rpm_of guest 1)" && guest_installed || return 1
    change_setting
    rpm_in -U "$(rpm_of guest 2)" && setting_kept && loader_has_ours /usr/lib/vgpu &&
        rpm_in -e vgpu-guest && rm "$root/etc/profile.d/vgpu-cuda.sh.rpmsave" || return 1
    plain_files >"$work/left"
    diff "$work/clean" "$work/left" && ! inside ldconfig -p | grep libcuda && logged 'disable vgpu-guest'
}

dpkg_in() {
    "${as_root[@]}" env PATH="$PATH:/sbin:/usr/sbin" dpkg --root="$root" --force-depends \
        --force-not-root --log=/dev/null "$@"
}

deb_guest() {
    make_root
    mkdir -p "$root/var/lib/dpkg"/{info,updates,triggers}
    : >"$root/var/lib/dpkg/status"
    : >"$root/var/lib/dpkg/available"
    plain_files >"$work/clean"
    dpkg_in -i "$out"/vgpu-guest_*.deb && guest_installed || return 1
    : >"$root/systemctl.log"
    change_setting
    dpkg_in -i "$out"/vgpu-guest_*.deb && setting_kept && loader_has_ours /usr/lib/vgpu && ! grep -q enable "$root/systemctl.log" &&
        dpkg_in -P vgpu-guest || return 1
    plain_files >"$work/left"
    diff "$work/clean" "$work/left" && ! inside ldconfig -p | grep libcuda && logged 'disable vgpu-guest'
}

# Neither goes beside a real driver, nor beside install.sh.
guest_refuses() {
    make_root
    mkdir -p "$root/var/lib/dpkg"/{info,updates,triggers}
    : >"$root/var/lib/dpkg/status"
    put_real_driver
    plain_files >"$work/clean"
    ! rpm_in -i "$(rpm_of guest 1)" && ! dpkg_in -i "$out"/vgpu-guest_*.deb || return 1
    rm "$root/usr/lib/x86_64-linux-gnu/libcuda.so.1"
    inside ldconfig
    touch "$root/etc/vgpu-guest.files"
    ! rpm_in -i "$(rpm_of guest 1)" && ! dpkg_in -i "$out"/vgpu-guest_*.deb && ! has_file /usr/lib/vgpu
}

check 'packages are built' builds
check 'rpmlint' rpm_lint
check 'lintian' deb_lint
check 'no libxenstore, no libcuda of theirs' links_no_xen
check 'Dom0: install' host_installs
check 'Dom0: what is installed runs' host_programs_run
check 'Dom0: upgrade while a program runs' host_works_through
check 'Dom0: remove' host_removes
check 'guest: rpm, install to remove' rpm_guest
check 'guest: deb, install to remove' deb_guest
check 'guest: refuses beside a real driver' guest_refuses
[ "$failures" = 0 ]
