# SPDX-License-Identifier: MIT
# The whole path, on the host and in virtual machines.
test-scripts += $(addprefix tests/e2e/,run.sh loss.sh restart.sh faults.sh window.sh vm.sh demo.sh limits.sh)
test-scripts += $(addprefix tests/e2e/,quarantine.sh hostile.sh)
test-scripts += $(addprefix tests/e2e/,turns.sh three-vms.sh validate.sh)
test-scripts += $(addprefix tests/e2e/,sick.sh users.sh)
test-scripts += tests/e2e/images.sh
