# SPDX-License-Identifier: MIT
# shellcheck shell=bash
# shellcheck disable=SC2154,SC2034,SC2120,SC2119 # lib.sh's names, and those of who sources this
#
# Sourced: a small system of its own below $root (busybox, glibc, a systemctl that writes
# down what it is asked), to install things into. Wants tests/e2e/lib.sh.

root=$work/root
device=/sys/bus/pci/devices/0000:00:1e.0
if [ "$(id -u)" = 0 ]; then enter=(chroot) as_root=(); else enter=(unshare -r chroot) as_root=(unshare -r); fi
[ -x /bin/busybox ] || { echo 'busybox-static is not installed'; exit 77; }
"${enter[@]}" / true 2>/dev/null || { echo 'chroot is not allowed here'; exit 77; }

# put_libraries PROGRAM...: what the loader needs for them.
put_libraries() {
    ldd "$@" | sed -n 's/.*[[:space:]]\(\/[^ ]*\) (.*/\1/p' | sort -u | while read -r lib; do
        mkdir -p "$root$(dirname "$lib")"
        cp -L "$lib" "$root$lib"
    done
}

# make_device [SUBSYSTEM-VENDOR]: as sysfs shows it, with a driver bound.
make_device() {
    local d=$root$device
    mkdir -p "$d/driver"
    echo 0x10de >"$d/vendor"
    echo 0x2331 >"$d/device"
    echo "${1:-0x5647}" >"$d/subsystem_vendor"
    echo 0 >"$d/enable"
    touch "$d"/driver_override "$d"/resource{0,1,1_wc} "$d/driver/unbind"
    chmod 600 "$d"/resource*
}

make_root() {
    rm -rf "$root"
    mkdir -p "$root"/{bin,sbin,etc,tmp,proc,dev,run/systemd/system,var/{vgpu,log,lib,cache},usr/{lib,share}} \
        "$root"/etc/ld.so.conf.d "$root/sys/bus/pci/devices"
    cp /bin/busybox "$root/bin/"
    for name in $("$root/bin/busybox" --list); do ln -s busybox "$root/bin/$name" 2>/dev/null; done
    rm -f "$root"/bin/{rpm,dpkg,dpkg-deb,modprobe}
    cp /sbin/ldconfig "$root/sbin/"
    echo 'include /etc/ld.so.conf.d/*.conf' >"$root/etc/ld.so.conf"
    printf '%s\n' /lib/x86_64-linux-gnu /usr/lib/x86_64-linux-gnu >"$root/etc/ld.so.conf.d/x86.conf"
    : >"$root/proc/modules"
    : >"$root/dev/null"
    chmod 666 "$root/dev/null"
    put_libraries "$build"/lib/libvgpu-{cuda,nvml}.so "$build"/bin/vgpu-{warden,guest-probe}
    cat >"$root/bin/systemctl" <<'END'
#!/bin/sh
echo "$*" >>/systemctl.log
case "$*" in
    *is-enabled*) grep -q 'enable vgpu' /systemctl.log ;;
    *'cat ollama'*) cat /etc/systemd/system/ollama.service.d/vgpu.conf 2>/dev/null || [ -e /ollama ] ;;
    *is-active*) [ -e /ollama ] ;;
esac
END
    chmod +x "$root/bin/systemctl"
    make_device
}

inside() { "${enter[@]}" "$root" /bin/env -i PATH=/bin:/sbin:/usr/bin:/usr/sbin "$@"; }
# What is in it, but for the logs and caches that programs leave.
files() {
    (cd "$root" && find . ! -path './tmp*' ! -path './systemctl.log' ! -path './etc/ld.so.cache' \
        ! -path './var/cache*' ! -path './var/lib/rpm*' ! -path './var/lib/dpkg*' \
        ! -path './var/log/dpkg*' | sort)
}
has_file() { for f; do [ -e "$root$f" ] || [ -L "$root$f" ] || { echo "no $f"; return 1; }; done; }

# put_real_driver: a libcuda.so.1 that is not ours, known to the loader.
put_real_driver() {
    mkdir -p "$root/usr/lib/x86_64-linux-gnu"
    echo 'int cuInit(void); int cuInit(void) { return 0; }' |
        cc -shared -xc - -Wl,-soname,libcuda.so.1 -o "$root/usr/lib/x86_64-linux-gnu/libcuda.so.1"
    inside ldconfig
}

loader_has_ours() {
    local dir=${1:-/usr/lib/vgpu}
    inside ldconfig -p | grep -q "libcuda.so.1 .*=> $dir/libcuda.so.1" &&
        inside ldconfig -p | grep -q "libnvidia-ml.so.1 .*=> $dir/libnvidia-ml.so.1"
}
