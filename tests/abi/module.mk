# SPDX-License-Identifier: MIT
# The API table: against itself (check-api-table), and against a toolkit's headers (toolkit.sh).
tests += check-api-table
check-api-table-src  := tests/abi/check_table.c
check-api-table-libs := libvgproto.a
check-api-table-pkgs := check
test-scripts += tests/abi/toolkit.sh

.PHONY: api-doc
api-doc: $(B)/tests/check-api-table
	$(Q)$< --doc >tests/abi/API.txt
