# SPDX-License-Identifier: MIT
#
# The demo's programs for the guest: $(B)/demo/<name>.  Plain C; their kernels
# are PTX text in the tree (make-ptx.sh), so no toolkit is needed.

demo-names  := devicequery vectoradd matmul reduce histogram mandelbrot
demo-common := $(addprefix $(OBJ)/tests/,demo/vg_demo.o demo/vg_picture.o client/vg_drv.o)

$(B)/demo/%: $(OBJ)/tests/demo/%.o $(demo-common)
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $^ -ldl -lm

$(OBJ)/tests/demo/vg_demo.o: tests/demo/kernels.ptx
$(OBJ)/tests/demo/%.o: CPPFLAGS += -Itests/client

objects     += $(demo-names:%=$(OBJ)/tests/demo/%.o) $(demo-common)
extra-files += $(demo-names:%=$(B)/demo/%)
.SECONDARY: $(demo-names:%=$(OBJ)/tests/demo/%.o) $(demo-common)
