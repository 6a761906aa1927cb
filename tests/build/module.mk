# SPDX-License-Identifier: MIT
test-scripts += tests/build/tree.sh tests/build/variants.sh tests/build/fuzz.sh
