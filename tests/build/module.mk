# SPDX-License-Identifier: MIT
test-scripts += tests/build/tree.sh tests/build/old.sh tests/build/variants.sh tests/build/fuzz.sh
