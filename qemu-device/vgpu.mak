# SPDX-License-Identifier: GPL-2.0-or-later
#
# The machines and devices of our QEMU, instead of QEMU's default set: what
# test VMs use (serial, 9p, virtio) and what xl gives a guest by default.
CONFIG_I440FX=y
CONFIG_Q35=y
CONFIG_SERIAL_ISA=y
CONFIG_VGA_PCI=y
CONFIG_VIRTIO_PCI=y
CONFIG_VIRTIO_9P=y
CONFIG_VIRTIO_SERIAL=y
CONFIG_VIRTIO_BLK=y
CONFIG_E1000_PCI=y
CONFIG_RTL8139_PCI=y
CONFIG_VGPU_STUB=y
