# SPDX-License-Identifier: MIT
# What docs/ and the READMEs tell people to type, and where they point.
test-scripts += tests/docs/commands.sh
