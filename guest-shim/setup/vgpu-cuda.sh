# SPDX-License-Identifier: MIT
# shellcheck shell=sh
# The loader finds libcuda.so.1 without this. Programs that search for it themselves, as Ollama
# and Numba do, look into LD_LIBRARY_PATH.
case ":${LD_LIBRARY_PATH:-}:" in
    *:/usr/lib/vgpu:*) ;;
    *) export LD_LIBRARY_PATH="/usr/lib/vgpu${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" ;;
esac
