# SPDX-License-Identifier: MIT
"""PyTorch with every choice that could differ between two runs taken away."""
import os

os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import torch

torch.use_deterministic_algorithms(True, warn_only=True)
torch.utils.deterministic.fill_uninitialized_memory = False
torch.backends.cudnn.benchmark = False
torch.backends.cudnn.deterministic = True
torch.backends.cuda.matmul.allow_tf32 = False
torch.backends.cudnn.allow_tf32 = False

# VG_DEVICE=cpu tries what a workload says in Python on a machine without a GPU.
gpu = torch.device(os.environ.get("VG_DEVICE", "cuda"))
sync = torch.cuda.synchronize if gpu.type == "cuda" else lambda: None


def filled(*shape, dtype=torch.float32, seed=1):
    """Normal numbers from the CPU's generator: the same in every process."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).to(dtype).to(gpu)
