# SPDX-License-Identifier: MIT
# The guest's NVML. Depends on the C library only.
shlibs += libvgpu-nvml.so
libvgpu-nvml.so-src := $(wildcard guest-shim/nvml/*.c) guest-shim/pci.c
libvgpu-nvml.so-libs := libvgproto.a
libvgpu-nvml.so-map := $(B)/gen/libnvidia-ml.map
libvgpu-nvml.so-soname := libnvidia-ml.so.1
libvgpu-nvml.so-ldlibs := -Wl,-z,defs

$(B)/gen/libnvidia-ml.map: guest-shim/nvml/nvml.def
	$(call say,GEN,$@)
	@mkdir -p $(@D)
	$(Q){ echo '{'; echo '  global:'; sed -n 's/^NV_[A-Z]*(\(nvml[A-Za-z0-9_]*\))$$/    \1;/p' $<; \
	    echo '  local: *;'; echo '};'; } >$@

extra-files += $(B)/lib/guest/libnvidia-ml.so.1
$(B)/lib/guest/libnvidia-ml.so.1: $(B)/lib/libvgpu-nvml.so
	@mkdir -p $(@D)
	$(Q)ln -sfn ../libvgpu-nvml.so $@ && ln -sfn libnvidia-ml.so.1 $(@D)/libnvidia-ml.so
