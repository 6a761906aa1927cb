# SPDX-License-Identifier: MIT
# Times are for people (make bench); that they are measured at all is a test.
test-scripts += tests/bench/self.sh
