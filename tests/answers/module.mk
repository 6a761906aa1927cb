# SPDX-License-Identifier: MIT
# What a driver says to right and wrong calls: programs that run on any driver, and the answers of
# NVIDIA's.
answers-misuse := misuse memory copies arrays streams contexts captures graphs launches faults
answers-clients := $(addprefix $(B)/client/,answers states misuse waits)

$(B)/client/answers: $(OBJ)/tests/answers/answers.o $(OBJ)/tests/answers/ask.o
$(B)/client/states: $(OBJ)/tests/answers/states.o $(OBJ)/tests/answers/ask.o
$(B)/client/waits: $(OBJ)/tests/answers/waits.o $(OBJ)/tests/answers/ask.o
$(B)/client/misuse: $(addprefix $(OBJ)/tests/answers/,$(answers-misuse:%=%.o) ask.o)
$(answers-clients):
	$(call say,LD,$@)
	@mkdir -p $(@D)
	$(Q)$(CC) $(LDFLAGS) -pthread -o $@ $^ -ldl

objects          += $(addprefix $(OBJ)/tests/answers/,answers.o states.o waits.o ask.o $(answers-misuse:%=%.o))
extra-test-files += $(answers-clients)
test-scripts     += tests/answers/answers.sh tests/answers/misuse.sh
