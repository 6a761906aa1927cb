# SPDX-License-Identifier: MIT
# The API table: against itself (check-api-table), and against a toolkit's headers (toolkit.sh).
tests += check-api-table
check-api-table-src  := tests/abi/check_table.c tests/abi/unserved.c
check-api-table-libs := libvgproto.a
check-api-table-pkgs := check
test-scripts += tests/abi/toolkit.sh

.PHONY: api-doc
api-doc: $(B)/tests/check-api-table
	$(Q)$< --doc >tests/abi/API.txt
	$(Q)$< --unserved >$(B)/unserved.md
	$(Q)sed -i -e '/^<!-- unserved: made by make api-doc -->/,/^<!-- end -->/{//!d}' \
	    -e '/^<!-- unserved: made by make api-doc -->/r $(B)/unserved.md' README.md
