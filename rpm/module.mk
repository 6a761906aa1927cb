# SPDX-License-Identifier: MIT
# Packages of what make has built, and the archive from which others build theirs.
.PHONY: rpm deb dist
VERSION := $(shell sed -n 's/^\#define VG_VERSION "\(.*\)"/\1/p' xapi-plugin/version.h)

rpm: build
	@rpm/make-rpm.sh $(B) $(O)/packages $(if $(DIST),'dist $(DIST)')

deb: build
	@rpm/make-deb.sh $(B) $(O)/packages

# rpmbuild -ta takes it: the spec lies where rpmbuild looks.
dist:
	@mkdir -p $(O)/packages
	@git archive --prefix=vgpu-$(VERSION)/ HEAD | gzip -9n >$(O)/packages/vgpu-$(VERSION).tar.gz
	@echo $(O)/packages/vgpu-$(VERSION).tar.gz
