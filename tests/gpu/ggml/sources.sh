# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Sourced: what llama.cpp's CUDA backend is built from and with, into $dir.
# shellcheck disable=SC2154
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
version=0.3.36
cublas=13.0.2.14

# needs PROGRAM...
needs() {
    for program; do
        command -v "$program" >/dev/null || { echo "build: needs $program" >&2; exit 1; }
    done
}

# Compiler and cuBLAS: NVIDIA's wheels.
toolkit() {
    [ -e "$dir/cuda/lib/libcublas.so" ] && return
    cp -a "$("$top/tools/cuda-toolkit.sh")" "$dir/cuda"
    python3 -m pip download -q --no-deps -d "$dir" "nvidia-cublas==$cublas"
    (cd "$dir/cuda" && python3 -m zipfile -e "$dir"/nvidia_cublas-*.whl x &&
        cp x/nvidia/cu13/include/* include/ && cp x/nvidia/cu13/lib/*.so.13 lib/ && rm -r x &&
        ln -sf libcublas.so.13 lib/libcublas.so && ln -sf libcublasLt.so.13 lib/libcublasLt.so &&
        mkdir -p targets/x86_64-linux lib/stubs && ln -sfn ../../lib targets/x86_64-linux/lib &&
        ln -sfn ../../include targets/x86_64-linux/include)
    # Only to link against: any library with libcuda's symbols does.
    cp "${VG_BUILD:-$top/build/release}/lib/libvgpu-cuda.so" "$dir/cuda/lib/stubs/libcuda.so"
}

# llama.cpp, as it comes with llama-cpp-python.
sources() {
    [ -e "$dir/llama/CMakeLists.txt" ] && return
    python3 -m pip download -q --no-deps --no-binary :all: -d "$dir" \
        "llama-cpp-python==$version"
    tar xzf "$dir/llama_cpp_python-$version.tar.gz" -C "$dir"
    mv "$dir/llama_cpp_python-$version/vendor/llama.cpp" "$dir/llama"
}
