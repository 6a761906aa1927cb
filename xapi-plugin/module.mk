# SPDX-License-Identifier: MIT
# The plugin of XAPI. Its program is called what it is called in /etc/xapi.d/plugins.
libs += libvgxapi.a
libvgxapi.a-src  := $(addprefix xapi-plugin/,failure.c keys.c machine.c text.c xapi.c xmlrpc.c xs.c)
libvgxapi.a-pkgs := json-c libxml-2.0 libcurl

progs += vgpu
vgpu-src    := $(addprefix xapi-plugin/,main.c auth.c deadline.c edit.c edit_live.c edit_xapi.c \
               functions.c show.c) mediator/admin/ask.c
vgpu-libs   := libvgxapi.a libvgdaemon.a libvgbase.a libvgproto.a
vgpu-pkgs   := json-c libxml-2.0 libcurl
vgpu-ldlibs := -ldl
