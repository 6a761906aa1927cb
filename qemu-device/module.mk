# SPDX-License-Identifier: GPL-2.0-or-later
# QEMU with the device, built outside the tree; a no-op when nothing changed.
# Asked for by itself, it says where the result is.
qemu-say = $(if $(filter-out qemu,$(MAKECMDGOALS)),, && \
	echo "QEMU with the device: $(O)/qemu-system-x86_64 -> $$bin")

.PHONY: qemu
qemu:
	@tools/bootstrap.sh qemu
	@mkdir -p $(O)
	@bin=$$(qemu-device/build-qemu.sh) && ln -sfn "$$bin" $(O)/qemu-system-x86_64$(qemu-say)
