# SPDX-License-Identifier: MIT
# What is installed in guests and hosts: by script, by packages.
test-scripts += tests/setup/guest.sh tests/setup/packages.sh
