# SPDX-License-Identifier: MIT
# The plugin of XAPI. Its program is called what it is called in /etc/xapi.d/plugins.
libs += libvgxapi.a
libvgxapi.a-src  := $(addprefix xapi-plugin/,failure.c host.c keys.c machine.c text.c xapi.c xmlrpc.c xs.c)
libvgxapi.a-pkgs := json-c libxml-2.0 libcurl

progs += vgpu
vgpu-src    := $(addprefix xapi-plugin/,main.c auth.c deadline.c edit.c edit_live.c edit_xapi.c \
               functions.c show.c) mediator/admin/ask.c
vgpu-libs   := libvgxapi.a libvgdaemon.a libvgbase.a libvgproto.a
vgpu-pkgs   := json-c libxml-2.0 libcurl
vgpu-ldlibs := -ldl

# What xenopsd's hooks run, and what tells the pool of the host's GPU.
progs += vgpu-vm-hook vgpu-publish
vgpu-vm-hook-src    := $(addprefix xapi-plugin/hook/,main.c carry.c migrate.c)
vgpu-vm-hook-libs   := libvgxapi.a libvgdaemon.a libvgbase.a libvgproto.a
vgpu-vm-hook-pkgs   := json-c libxml-2.0 libcurl
vgpu-vm-hook-ldlibs := -ldl
vgpu-publish-src    := xapi-plugin/hook/publish.c mediator/admin/ask.c
vgpu-publish-libs   := libvgxapi.a libvgdaemon.a libvgbase.a libvgproto.a
vgpu-publish-pkgs   := json-c libxml-2.0 libcurl
vgpu-publish-ldlibs := -ldl

# What keeps CloudStack's host tags right.
progs += vgpu-cloudstack
vgpu-cloudstack-src    := $(addprefix xapi-plugin/cloudstack/,main.c cloud.c hosts.c settings.c sign.c \
                          tags.c)
vgpu-cloudstack-libs   := libvgxapi.a libvgdaemon.a libvgbase.a libvgproto.a
vgpu-cloudstack-pkgs   := json-c libxml-2.0 libcurl
vgpu-cloudstack-ldlibs := -ldl

# What xcp-rrdd reads.
progs += vgpu-rrdd
vgpu-rrdd-src  := $(addprefix xapi-plugin/rrdd/,main.c rrd_file.c) mediator/admin/ask.c
vgpu-rrdd-libs := libvgxapi.a libvgdaemon.a libvgbase.a libvgproto.a
vgpu-rrdd-pkgs := json-c libxml-2.0 libcurl
vgpu-rrdd-ldlibs := -ldl
