#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs the GPU's libraries in a virtual machine, or checks or removes them.
#
#   install.sh [--with-ollama] [--prefix DIR] [--from DIR]
#   install.sh --check
#   install.sh --uninstall
#
#   --with-ollama   configure Ollama's unit too
#   --prefix DIR    where libraries and helpers go (/usr)
#   --from DIR      what was built: with bin/ and lib/ (found beside this script or in the tree)
#   --check         what works and what does not, a line each, with the remedy
#   --uninstall     remove what was installed, and nothing else
#
# Asks nothing. May be run again: the result is the same. Exit status: 0, 1 something is
# wrong or was refused, 2 wrong usage.
set -u

here=$(cd "$(dirname "$0")" && pwd)
prefix=/usr
from=
ollama=
verb=install
# So it is called where it has been installed.
[ "$(basename "$0")" != vgpu-guest-check ] || verb=check

say() { printf '%s\n' "$*"; }
refuse() { printf 'install.sh: %s\n' "$*" >&2; exit 1; }
usage() { sed -n '5,20s/^# \{0,1\}//p' "$0"; exit "$1"; }
has() { command -v "$1" >/dev/null 2>&1; }

while [ $# -gt 0 ]; do
    case $1 in
        --with-ollama) ollama=yes ;;
        --check) verb=check ;;
        --uninstall) verb=uninstall ;;
        --prefix) prefix=${2:-}; shift ;;
        --prefix=*) prefix=${1#*=} ;;
        --from) from=${2:-}; shift ;;
        --from=*) from=${1#*=} ;;
        -h | --help) usage 0 ;;
        *) printf 'install.sh: there is no option %s\n' "$1" >&2; usage 2 >&2 ;;
    esac
    [ $# -gt 0 ] || { printf 'install.sh: an option lacks its value\n' >&2; exit 2; }
    shift
done
case $prefix in
    /) refuse "--prefix: not the root directory" ;;
    /*) prefix=${prefix%/} ;;
    *) refuse "--prefix: \"$prefix\" is no absolute path" ;;
esac
case $prefix in
    *[!A-Za-z0-9._/-]*) refuse "--prefix: \"$prefix\": only letters, digits and ._/-" ;;
esac

record=/etc/vgpu-guest.files      # what we installed, a path a line
# What is there is checked and removed where it is.
if [ $verb != install ] && [ -e $record ]; then
    prefix=$(sed -n 's|/lib/vgpu/libvgpu-cuda.so$||p' $record)
fi
loader=/lib64/ld-linux-x86-64.so.2
libs=$prefix/lib/vgpu
helpers=$prefix/libexec
unit_dir=/etc/systemd/system

# ---- what is here -----------------------------------------------------------

ours() {
    for device in /sys/bus/pci/devices/*; do
        [ "$(cat "$device/vendor" 2>/dev/null)" = 0x10de ] || continue
        [ "$(cat "$device/device" 2>/dev/null)" = 0x2331 ] || continue
        [ "$(cat "$device/subsystem_vendor" 2>/dev/null)" = 0x5647 ] || continue
        say "$device"
        return 0
    done
    return 1
}

# The file that the loader gives for a library, "" if none.
loader_finds() {
    ldconfig -p 2>/dev/null | sed -n "s|^[[:space:]]*$1 (libc6,x86-64.*) => ||p" | head -n 1
}

# Whether a library that the loader finds is one of ours: it has our symbol.
is_our_library() {
    grep -q 'vgpu-warden\|VGPU_LOG' "$1" 2>/dev/null
}

real_driver() {
    if [ -e /proc/driver/nvidia/version ]; then
        say "NVIDIA's kernel driver is loaded"
        return 0
    fi
    for name in libcuda.so.1 libnvidia-ml.so.1; do
        file=$(loader_finds $name)
        if [ -n "$file" ] && [ -e "$file" ] && ! is_our_library "$file"; then
            say "$name is there already: $file"
            return 0
        fi
    done
    return 1
}

package() {
    if has dpkg-query && dpkg-query -W -f '${db:Status-Status}' vgpu-guest 2>/dev/null |
        grep -q '^installed'; then
        say deb
    elif has rpm && rpm -q vgpu-guest >/dev/null 2>&1; then
        say rpm
    else
        return 1
    fi
}

systemd_runs() { has systemctl && [ -d /run/systemd/system ]; }

# ---- install ----------------------------------------------------------------

find_built() {
    for dir in "$from" "$here" "$here/.." "${VG_BUILD:-}" "$here/../build/release"; do
        if [ -n "$dir" ] && [ -f "$dir/lib/libvgpu-cuda.so" ] && [ -f "$dir/bin/vgpu-warden" ]; then
            (cd "$dir" && pwd)
            return 0
        fi
        [ -z "$from" ] || break
    done
    return 1
}

may_install() {
    [ "$(id -u)" = 0 ] || refuse "this needs root: sudo $0"
    [ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || refuse "only for Linux on x86-64"
    if ! has ldconfig || ! [ -e "$loader" ]; then refuse "there is no ldconfig, or no $loader: glibc is needed"; fi
    kind=$(package) && refuse "the package vgpu-guest ($kind) is installed; remove it first, or use it"
    why=$(real_driver) && refuse "$why. Nothing is overwritten: remove NVIDIA's driver from this VM first"
    built=$(find_built) || refuse "the built files are not here; run make first, or give --from DIR"
    [ -d "$setup" ] || refuse "$setup is missing: keep install.sh beside its folder setup/"
    if [ -e "$record" ] && ! grep -qx "$libs/libvgpu-cuda.so" "$record"; then
        refuse "installed already with another prefix; run $0 --uninstall first"
    fi
    for file in lib/libvgpu-cuda.so lib/libvgpu-nvml.so bin/vgpu-warden bin/vgpu-guest-probe; do
        why=$(misfit "$built/$file") && refuse "$file does not fit this system: $why." \
            "Build on a system as old as this one, or older"
    done
    for dir in "$libs" "$helpers" "$prefix/sbin" /etc/ld.so.conf.d /etc/udev/rules.d $unit_dir; do
        why=$(unwritable "$dir") && refuse "$why cannot be written to: nothing was changed"
    done
}

# What the loader lacks for a file: a newer glibc, mostly. It says so, and ends with status 0.
misfit() {
    why=$("$loader" --list "$1" 2>&1)
    case $?-$why in
        0-*'not found'*) printf '%s\n' "$why" | sed -n 's/ (required.*//; s/.*: \(.*not found\)/\1/p' | head -n 1 ;;
        0-*) return 1 ;;
        *) printf '%s\n' "$why" | head -n 1 ;;
    esac
}

# The place where a directory, or the first one above it that is there, takes no files.
unwritable() {
    place=$1
    while [ ! -e "$place" ]; do place=$(dirname "$place"); done
    if (: >"$place/.vgpu-try") 2>/dev/null; then rm -f "$place/.vgpu-try"; return 1; fi
    say "$place"
}

# put MODE SOURCE TARGET: a copy that replaces the old one at once. It is recorded first, so that
# --uninstall removes what an interrupted run has left. Files of ours name /usr; with another
# prefix they name that.
put() {
    make_dir "$(dirname "$3")"
    noted "$3"
    if ! { fill "$2" >"$3.new" && chmod "$1" "$3.new" && mv -f "$3.new" "$3"; }; then
        refuse "cannot write $3"
    fi
}

fill() {
    case $1 in
        "$setup"/*) sed "s|/usr/lib/vgpu|$libs|g; s|/usr/libexec|$helpers|g" "$1" ;;
        *) cat "$1" ;;
    esac
}

# With the directories above it; those that were not there are recorded, with a slash behind.
make_dir() {
    [ ! -d "$1" ] || return 0
    make_dir "$(dirname "$1")"
    noted "$1/"
    mkdir "$1" || refuse "cannot make $1"
}

put_link() {
    noted "$2"
    ln -sfn "$1" "$2" || refuse "cannot write $2"
}

noted() {
    grep -qx "$1" "$record" 2>/dev/null || say "$1" >>"$record" || refuse "cannot write $record"
}

put_libraries() {
    put 0755 "$built/lib/libvgpu-cuda.so" "$libs/libvgpu-cuda.so"
    put 0755 "$built/lib/libvgpu-nvml.so" "$libs/libvgpu-nvml.so"
    put_link libvgpu-cuda.so "$libs/libcuda.so.1"
    put_link libcuda.so.1 "$libs/libcuda.so"
    put_link libvgpu-nvml.so "$libs/libnvidia-ml.so.1"
    put_link libnvidia-ml.so.1 "$libs/libnvidia-ml.so"
    put 0755 "$built/bin/vgpu-warden" "$helpers/vgpu-warden"
    put 0755 "$built/bin/vgpu-guest-probe" "$helpers/vgpu-guest-probe"
    put 0755 "$setup/vgpu-device-setup" "$helpers/vgpu-device-setup"
    put 0755 "$here/install.sh" "$prefix/sbin/vgpu-guest-check"
}

put_settings() {
    put 0644 "$setup/ld-vgpu.conf" /etc/ld.so.conf.d/00-vgpu.conf
    put 0644 "$setup/70-vgpu.rules" /etc/udev/rules.d/70-vgpu.rules
    put 0644 "$setup/vgpu-guest.service" $unit_dir/vgpu-guest.service
    put 0644 "$setup/tmpfiles-vgpu.conf" /etc/tmpfiles.d/vgpu.conf
    put 0644 "$setup/modprobe-vgpu.conf" /etc/modprobe.d/vgpu.conf
    put 0644 "$setup/vgpu-cuda.sh" /etc/profile.d/vgpu-cuda.sh
    [ -z "$ollama" ] || put 0644 "$setup/ollama-vgpu.conf" $unit_dir/ollama.service.d/vgpu.conf
}

# Takes effect now, where there is something that can.
activate() {
    if has restorecon; then restorecon -F "$libs"/* "$helpers"/vgpu-* 2>/dev/null; fi
    ldconfig || refuse "ldconfig failed"
    from_cache libcuda.so.1 || refuse "the loader does not look into $libs: has /etc/ld.so.conf no line" \
        "\"include /etc/ld.so.conf.d/*.conf\"?"
    # Without a running one, too: who prepares a disk image wants it at that one's boot.
    if has systemctl; then systemctl -q enable vgpu-guest.service; fi
    if systemd_runs; then
        systemctl daemon-reload
        if has systemd-tmpfiles; then systemd-tmpfiles --create /etc/tmpfiles.d/vgpu.conf; fi
    elif [ ! -e /dev/nvidiactl ]; then
        : >/dev/nvidiactl && chmod 0666 /dev/nvidiactl
    fi
    if has udevadm && [ -d /run/udev ]; then udevadm control --reload; fi
    "$helpers/vgpu-device-setup" ||
        say "note: this VM has no vGPU device yet; see $0 --check once it has"
    if [ -n "$ollama" ] && systemd_runs; then
        if systemctl -q is-active ollama.service; then systemctl restart ollama.service; fi
    fi
    return 0
}

install_all() {
    may_install
    put_libraries
    put_settings
    activate
    say "installed: $libs, $helpers/vgpu-*, settings in /etc; $prefix/sbin/vgpu-guest-check says whether all works"
    if [ -n "$ollama" ] && ! has ollama; then
        say "note: Ollama is not installed; its unit is configured for when it is. Unpack its archive: its" \
            "installer, where there is no nvidia-smi, would install NVIDIA's driver over this"
    fi
}

# ---- uninstall --------------------------------------------------------------

uninstall_all() {
    [ "$(id -u)" = 0 ] || refuse "this needs root: sudo $0 --uninstall"
    kind=$(package) && refuse "vgpu-guest is installed as a package ($kind): remove that"
    if [ ! -e "$record" ]; then
        say "nothing is installed"
        return 0
    fi
    why=$(unwritable "$libs") && refuse "$why cannot be written to: nothing was changed"
    why=$(unwritable /etc) && refuse "$why cannot be written to: nothing was changed"
    restart=
    if has systemctl; then systemctl -q disable vgpu-guest.service 2>/dev/null; fi
    if systemd_runs; then
        systemctl -q stop vgpu-guest.service 2>/dev/null
        grep -q '/ollama.service.d/' "$record" && systemctl -q is-active ollama.service && restart=yes
    fi
    # What lies in a directory comes before it. One that others use by now stays.
    sort -r "$record" | while read -r file; do
        case $file in
            *..*) ;;
            /*/) rmdir "$file" 2>/dev/null ;;
            /*) rm -f "$file" "$file.new" ;;
        esac
    done
    left=$(grep -v '/$' "$record" | while read -r file; do if [ -e "$file" ]; then say "$file"; fi; done)
    [ -z "$left" ] || refuse "could not be removed: $left"
    rm -f "$record"
    if [ -f /dev/nvidiactl ]; then rm -f /dev/nvidiactl; fi
    ldconfig
    if systemd_runs; then systemctl daemon-reload; fi
    if has udevadm && [ -d /run/udev ]; then udevadm control --reload; fi
    if [ -n "$restart" ]; then systemctl restart ollama.service; fi
    say "removed"
}

# ---- check ------------------------------------------------------------------

bad=0

# line TEXT REMEDY COMMAND...: one line of the list.
line() {
    text=$1 remedy=$2
    shift 2
    if "$@" >/dev/null 2>&1; then
        printf 'pass  %s\n' "$text"
    else
        printf 'FAIL  %s\n      remedy: %s\n' "$text" "$remedy"
        bad=$((bad + 1))
    fi
}

shows() { case $probe in *"$1"*) ;; *) return 1 ;; esac; }
value() { printf '%s\n' "$probe" | sed -n "s/^$1 //p" | head -n 1; }
named() { if [ -n "$(value "$1")" ]; then say ": $(value "$1")${2:-}"; fi; }
mode_of() { stat -c %a "$1" 2>/dev/null; }
all_may_use() { [ "$(mode_of "$1/resource0")" = 666 ] && [ "$(mode_of "$1/resource1")" = 666 ]; }
no_lockdown() { ! grep -q '\[integrity\]\|\[confidentiality\]' /sys/kernel/security/lockdown 2>/dev/null; }
no_driver() { [ ! -e "$1/driver" ]; }
no_module() { ! grep -q "^$1 " /proc/modules; }
from_cache() { file=$(loader_finds "$1") && [ -n "$file" ] && is_our_library "$file"; }
unit_enabled() { systemctl -q is-enabled vgpu-guest.service; }
ollama_configured() { systemctl cat ollama.service | grep -q "LD_LIBRARY_PATH=.*/vgpu"; }
find_probe() {
    if [ -x "$helpers/vgpu-guest-probe" ]; then say "$helpers/vgpu-guest-probe"; else say true; fi
}

check_device() {
    device=$(ours) || device=
    line "PCI device 10de:2331 (subsystem 5647) is there${device:+: ${device##*/}}" \
        "on the host: xe vm-param-set uuid=VM platform:gpu_enabled=true, then shut the VM down and start it" \
        test -n "$device"
    [ -n "$device" ] || return 0
    line "memory decoding is enabled" "$helpers/vgpu-device-setup" \
        test "$(cat "$device/enable" 2>/dev/null)" != 0
    line "all users may open it" \
        "$helpers/vgpu-device-setup; then see whether the udev rule 70-vgpu.rules is there" \
        all_may_use "$device"
    line "the kernel lets programs map it (no lockdown)" \
        "switch the VM's Secure Boot off: xe vm-param-set uuid=VM platform:secureboot=false" no_lockdown
    line "no other driver has it" "$helpers/vgpu-device-setup; then rebuild the initramfs and reboot" \
        no_driver "$device"
}

check_system() {
    line "nouveau is not loaded" "modprobe -r nouveau; see whether vgpu.conf is in modprobe.d" \
        no_module nouveau
    line "NVIDIA's own driver is not loaded" "remove it from this VM: the GPU is the host's" \
        test ! -e /proc/driver/nvidia/version
    line "/dev/nvidiactl exists (JAX asks for it)" "systemd-tmpfiles --create; or: touch /dev/nvidiactl" \
        test -e /dev/nvidiactl
    line "profile /etc/profile.d/vgpu-cuda.sh is there" "install again" \
        test -r /etc/profile.d/vgpu-cuda.sh
    if systemd_runs; then
        line "vgpu-guest.service runs at boot" "systemctl enable --now vgpu-guest" unit_enabled
    fi
    if systemd_runs && systemctl cat ollama.service >/dev/null 2>&1; then
        line "Ollama's unit finds the libraries" "install.sh --with-ollama" ollama_configured
    fi
}

check_libraries() {
    for name in libcuda.so.1 libnvidia-ml.so.1; do
        line "the loader finds $name, ours" "ldconfig; then: ldconfig -p | grep $name" from_cache $name
    done
    line "vgpu-warden can run" "install again" test -x "$helpers/vgpu-warden"
    probe=$("$(find_probe)" 2>&1)
    line "cuInit finds the GPU$(named cuda-name)$(named cuda-memory-mib ' MiB')" "$(remedy_of_cuda)" \
        shows "cuda-uuid"
    line "a kernel runs, and its result is right" "$(remedy_of_kernel)" shows "cuda-kernel right"
    line "NVML finds it$(named nvml-uuid)" "$(remedy_of_nvml)" \
        shows "nvml-uuid"
    line "both libraries name the same GPU" "files of two versions: install again; else as for cuInit" \
        test "$(value cuda-uuid)" = "$(value nvml-uuid)" -a -n "$(value cuda-uuid)"
}

# What the codes of cuInit mean here.
remedy_of_cuda() {
    [ -n "$device" ] || { say "there is no device, see above"; return; }
    case $(value cuda-error) in
        "") say "install again" ;;
        *'(802)'*) say "the host does not answer (802): on it, systemctl status vgpu-mediator; vgpu-admin list" ;;
        *'(46)'*) say "the mediator refuses this VM (46): on the host, vgpu-admin list, vgpu-admin show-health" ;;
        *'(100)'*) say "the host has no usable GPU (100): on it, vgpu-admin show-health" ;;
        *'(803)'*) say "guest and host differ (803): install the same version here as on the host" ;;
        *) say "$(value cuda-error): VGPU_LOG=2 in the environment of a program shows more" ;;
    esac
}

remedy_of_kernel() {
    case $(value cuda-kernel-error) in
        "") say "the same as for cuInit" ;;
        *'(2)') say "no GPU memory is left for this VM: on the host, vgpu-admin show-vm, set-memory" ;;
        *) say "$(value cuda-kernel-error): on the host, vgpu-admin events; here, VGPU_LOG=2 shows more" ;;
    esac
}

remedy_of_nvml() {
    why=$(value nvml-error)
    say "${why:+$why: }the same as for cuInit"
}

check_all() {
    check_device
    check_system
    check_libraries
    if [ $bad = 0 ]; then say "all is well"; else say "$bad of these do not work"; fi
    [ $bad = 0 ]
}

setup=$here/setup
case $verb in
    install) install_all ;;
    uninstall) uninstall_all ;;
    check) check_all ;;
esac
