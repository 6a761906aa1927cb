#!/bin/bash
# SPDX-License-Identifier: MIT
#
# guest-shim/install.sh in a small system of its own (busybox, glibc, chroot): what it
# installs, that the loader takes it, that it may be run again, what it refuses, that
# nothing is left, and each line of --check.
# shellcheck disable=SC2154 # top, build, work, failures: lib.sh's
set -u
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/../e2e/lib.sh"

# shellcheck source=tests/setup/root.sh
. "$(dirname "$0")/root.sh"

with_product() {
    make_root
    mkdir -p "$root"/product/{lib,bin}
    cp "$build"/lib/libvgpu-{cuda,nvml}.so "$root/product/lib/"
    cp "$build"/bin/vgpu-{warden,guest-probe} "$root/product/bin/"
    cp -r "$top"/guest-shim/{install.sh,setup} "$root/product/"
}

setup() { inside /bin/sh /product/install.sh "$@"; }
# refuses TEXT ARGUMENT...: status 1 or 2, a message, no file changed.
refuses() {
    local text=$1 rc
    shift
    files >"$work/before"
    setup "$@" >"$work/said" 2>&1
    rc=$?
    files >"$work/after"
    cat "$work/said"
    grep -q -- "$text" "$work/said" && [ $rc != 0 ] && cmp "$work/before" "$work/after"
}

# fails_line TEXT...: --check says FAIL in a line that has TEXT, and a remedy.
fails_line() {
    setup --check >"$work/said" && return 1
    local wanted
    for wanted; do
        grep -A1 "^FAIL.*$wanted" "$work/said" | grep -q 'remedy: [^ :]' ||
            { cat "$work/said"; return 1; }
    done
}

# ---- installing -------------------------------------------------------------

installs() {
    with_product
    files >"$work/clean"
    setup --with-ollama || return 1
    has_file /usr/lib/vgpu/libcuda.so.1 /usr/lib/vgpu/libcuda.so /usr/lib/vgpu/libnvidia-ml.so.1 \
        /usr/libexec/vgpu-warden /usr/sbin/vgpu-guest-check /etc/profile.d/vgpu-cuda.sh /etc/udev/rules.d/70-vgpu.rules \
        /etc/modprobe.d/vgpu.conf /etc/tmpfiles.d/vgpu.conf \
        /etc/systemd/system/vgpu-guest.service /etc/systemd/system/ollama.service.d/vgpu.conf &&
        grep -q 'enable vgpu-guest' "$root/systemctl.log"
}

device_is_open() {
    [ "$(stat -c %a "$root$device"/resource{0,1,1_wc} | sort -u)" = 666 ] &&
        [ "$(cat "$root$device/enable")" = 1 ] && [ "$(cat "$root$device/driver_override")" = vgpu ] &&
        [ "$(cat "$root$device/driver/unbind")" = 0000:00:1e.0 ]
}

again_is_the_same() {
    (cd "$root" && find etc usr -type f -exec sha256sum {} +; cat etc/vgpu-guest.files) | sort >"$work/1"
    setup --with-ollama || return 1
    (cd "$root" && find etc usr -type f -exec sha256sum {} +; cat etc/vgpu-guest.files) | sort >"$work/2"
    cmp "$work/1" "$work/2"
}

leaves_nothing() {
    setup --uninstall || return 1
    files >"$work/left"
    diff "$work/clean" "$work/left" && setup --uninstall | grep -q 'nothing is installed'
}

with_prefix() {
    with_product
    setup --prefix /opt/gpu && has_file /opt/gpu/lib/vgpu/libcuda.so.1 /opt/gpu/libexec/vgpu-warden || return 1
    loader_has_ours /opt/gpu/lib/vgpu &&
        grep -q '/opt/gpu/libexec/vgpu-device-setup' "$root/etc/udev/rules.d/70-vgpu.rules" \
            "$root/etc/systemd/system/vgpu-guest.service" &&
        grep -q /opt/gpu/lib/vgpu "$root/etc/profile.d/vgpu-cuda.sh" &&
        refuses 'another prefix' && setup --uninstall && ! [ -e "$root/opt/gpu" ]
}

without_systemd() {
    with_product
    rm -r "$root/run/systemd" "$root/bin/systemctl"
    setup && has_file /dev/nvidiactl && setup --uninstall && ! [ -e "$root/dev/nvidiactl" ]
}

without_device() {
    with_product
    rm -r "$root$device"
    make_device 0x1337
    setup >"$work/said" && grep -q 'no vGPU device yet' "$work/said" &&
        [ "$(stat -c %a "$root$device/resource0")" = 600 ]
}

# Ended in the middle: with some files, some recorded that are not there, one half written. And a
# file of an older version, which is no longer installed.
half_installed() {
    with_product
    files >"$work/clean"
    setup && rm "$root"/usr/lib/vgpu/libnvidia-ml* "$root/etc/profile.d/vgpu-cuda.sh" || return 1
    echo half >"$root/usr/lib/vgpu/libvgpu-nvml.so.new"
    touch "$root/usr/libexec/vgpu-old"
    echo /usr/libexec/vgpu-old >>"$root/etc/vgpu-guest.files"
    if [ "$1" = again ]; then setup && loader_has_ours || return 1; fi
    leaves_nothing
}

# ---- refusing ---------------------------------------------------------------

refuses_real_driver() {
    with_product
    put_real_driver
    mkdir -p "$root/proc/driver/nvidia"
    refuses 'libcuda.so.1 is there already' || return 1
    rm "$root/usr/lib/x86_64-linux-gnu/libcuda.so.1"
    inside ldconfig
    touch "$root/proc/driver/nvidia/version"
    refuses "kernel driver is loaded"
}

refuses_package() {
    printf '#!/bin/sh\n[ "$*" = "-q vgpu-guest" ]\n' >"$root/bin/rpm"
    chmod +x "$root/bin/rpm"
    rm "$root/proc/driver/nvidia/version"
    refuses 'vgpu-guest (rpm) is installed' && rm "$root/bin/rpm"
}

refuses_others() {
    refuses 'no option' --frob && refuses 'no absolute path' --prefix usr &&
        refuses 'root directory' --prefix / && refuses 'only letters' --prefix '/a b' &&
        refuses 'are not here' --from /tmp && refuses 'lacks its value' --prefix &&
        refuses 'lacks its value' --from
}

refuses_loader() {
    echo /lib >"$root/etc/ld.so.conf"
    setup 2>&1 | grep -q 'does not look into /usr/lib/vgpu'
}

# A file that wants a newer glibc, an older processor, a place that takes no files.
on_i686() {
    local enter=(setarch i686 "${enter[@]}")
    "$@"
}
refuses_misfits() {
    with_product
    on_i686 refuses 'only for Linux on x86-64' || return 1
    touch "$root/etc/udev"
    refuses '/etc/udev cannot be written to: nothing was changed' || return 1
    rm "$root/etc/udev"
    sed -i 's/GLIBC_2[.]34/GLIBC_9.99/g' "$root/product/lib/libvgpu-nvml.so"
    refuses 'libvgpu-nvml.so does not fit this system: .*GLIBC_9.99'
}

# ---- checking ---------------------------------------------------------------

check_fails_before() {
    with_product
    chmod 600 "$root$device"/resource*
    echo 'nouveau 1 0 - Live 0' >"$root/proc/modules"
    mkdir -p "$root/sys/kernel/security"
    echo 'none [integrity] confidentiality' >"$root/sys/kernel/security/lockdown"
    fails_line lockdown 'all users may open' 'memory decoding' 'no other driver' nouveau nvidiactl \
        vgpu-cuda.sh 'runs at boot' 'finds libcuda.so.1' 'finds libnvidia-ml.so.1' warden cuInit NVML
}

check_without_host() {
    : >"$root/proc/modules"
    echo '[none] integrity confidentiality' >"$root/sys/kernel/security/lockdown"
    setup >/dev/null && touch "$root/dev/nvidiactl" && rm -r "$root$device/driver" || return 1
    fails_line cuInit 'a kernel runs' && [ "$(grep -c ^FAIL "$work/said")" -le 4 ]
}

# The libraries reach a mediator by a socket here, as no device can be in a chroot.
check_passes() {
    "${enter[@]}" "$root" /bin/env -i PATH=/bin:/sbin VGPU_SOCKET=/var/vgpu/mediator.sock \
        /bin/sh /product/install.sh --check >"$work/said" || { cat "$work/said"; return 1; }
    grep -q 'pass  cuInit finds the GPU: vGPU software device' "$work/said" &&
        grep -q 'pass  a kernel runs' "$work/said" &&
        grep -q 'all is well' "$work/said" && ! grep -q FAIL "$work/said"
}

# ---- Ollama -----------------------------------------------------------------

# as_ollama VARIABLE...: what Ollama does before it uses a GPU.
as_ollama() {
    "${enter[@]}" "$root" /bin/env -i PATH=/bin VGPU_SOCKET=/var/vgpu/mediator.sock "$@" >"$work/said" 2>&1
    local rc=$?
    cat "$work/said"
    return $rc
}

# Its unit has the path from us; its old versions need that, others do not.
ollama_finds() {
    with_product
    cp "$build/client/ollama" "$root/bin/"
    put_libraries "$build/client/ollama"
    mediator_stop
    mediator_start --socket "$root/var/vgpu/mediator.sock" || return 1
    setup --with-ollama "$@" || return 1
    local unit
    unit=$(sed -n 's/^Environment="\(.*\)"/\1/p' "$root/etc/systemd/system/ollama.service.d/vgpu.conf")
    as_ollama "$unit" /bin/ollama --all && as_ollama /bin/ollama && ! as_ollama /bin/ollama --all &&
        as_ollama /bin/sh -c '. /etc/profile.d/vgpu-cuda.sh; ollama --all'
}

# It is started anew once, so that it finds the GPU; and when the path goes.
ollama_restarts() {
    with_product
    touch "$root/ollama"
    setup --with-ollama && grep -q 'restart ollama' "$root/systemctl.log" || return 1
    : >"$root/systemctl.log"
    setup --uninstall && grep -q 'restart ollama' "$root/systemctl.log" || return 1
    : >"$root/systemctl.log"
    setup && ! grep -q 'restart ollama' "$root/systemctl.log"
}
ollama_line() {
    fails_line "Ollama's unit finds" || return 1
    setup --with-ollama >/dev/null && setup --check | grep -q "^pass  Ollama's unit finds"
}

check 'installs' installs
check 'the loader takes it' loader_has_ours
check 'all users may use the device' device_is_open
check 'a second run changes nothing' again_is_the_same
check 'uninstalling leaves nothing' leaves_nothing
check 'half installed, and then removed' half_installed no
check 'half installed, and then again' half_installed again
check 'another prefix' with_prefix
check 'a system without systemd' without_systemd
check 'a VM without the device, or with a real card' without_device
check 'refuses beside a real driver' refuses_real_driver
check 'refuses beside the package' refuses_package
check 'refuses wrong usage' refuses_others
check 'refuses if the loader would not look' refuses_loader
check 'refuses where it does not fit' refuses_misfits
check '--check before' check_fails_before
check '--check without a host' check_without_host
mediator_start --socket "$root/var/vgpu/mediator.sock"
check '--check with all in place' check_passes
check 'Ollama, in its unit and in a shell' ollama_finds
check 'Ollama, with another prefix' ollama_finds --prefix /opt/gpu
check "Ollama's server is started anew" ollama_restarts
check '--check of its unit' ollama_line
[ "$failures" = 0 ]
