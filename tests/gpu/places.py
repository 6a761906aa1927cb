# SPDX-License-Identifier: MIT
"""Where the programs of this folder and of tests/bench find the product and CUDA's libraries."""
import os
import shutil
import sys

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def find_product(named, needs):
    """The folder with bin/, lib/, client/; needs: a program that it must have."""
    for place in (named, os.environ.get("VG_PRODUCT"), os.path.join(TOP, ".gpu"), TOP,
                  os.environ.get("VG_BUILD"), os.path.join(TOP, "build", "release")):
        if place and os.access(os.path.join(place, needs), os.X_OK):
            return os.path.abspath(place)
    sys.exit(f"{sys.argv[0]}: no {needs} found: give --product DIR, or build the tree")


def toolkit_libraries():
    """Where libcudart.so and cuBLAS are: programs carry the path of the toolkit that built them."""
    nvcc = shutil.which("nvcc")
    homes = ["/usr/local/cuda"] + ([os.path.dirname(os.path.dirname(os.path.realpath(nvcc)))]
                                   if nvcc else [])
    wheels = [os.path.join(folder, "nvidia", "cu13", "lib") for folder in sys.path if folder]
    return [os.path.join(home, "lib64") for home in homes] + [w for w in wheels if os.path.isdir(w)]
