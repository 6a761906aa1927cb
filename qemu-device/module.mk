# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU with the device, built outside the tree; a no-op when nothing changed.
.PHONY: qemu
qemu:
	@tools/bootstrap.sh qemu
	@mkdir -p $(O)
	@bin=$$(qemu-device/build-qemu.sh) && ln -sfn "$$bin" $(O)/qemu-system-x86_64
