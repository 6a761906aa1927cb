# SPDX-License-Identifier: MIT
# What runs on a GPU has its own script (run, pack); CI checks that script itself.
test-scripts += tests/gpu/self.sh tests/gpu/soft.sh
