# SPDX-License-Identifier: MIT
"""The cases of tests/gpu/run, the most telling first.

Names are GROUP/CASE; a command line may name either. In commands, {py} is the
Python that runs us, {here} this folder, {work} that of the workloads, {product} the
product's.
"""
import os
from dataclasses import dataclass, field


@dataclass
class Case:
    name: str
    command: list
    limit: int = 90         # seconds
    alone: bool = False     # times count: nothing else runs beside it
    compare: str = "lines"  # lines: equal output; status: it checks itself; costs: NAME VALUE UNIT
    env: dict = field(default_factory=dict)
    plain: bool = False     # a script that runs both sides itself and judges
    skip: tuple = (77,)     # exit codes that say: not possible here
    cwd: str = ""           # default: an empty folder
    keep: bool = False      # its log is wanted even if all goes well
    rounds: int = 1         # alternating runs of a timing; medians count
    own: bool = False       # a mediator of its own: a wait for its turn would count against it
    reference: bool = False # compares with something of its own: natively only where ours fails


def python(group, script, pieces, **options):
    """One case, and so one process, for each piece of a workload."""
    return [Case(f"{group}/{piece}", ["{py}", f"{{work}}/{script}.py", piece], **options)
            for piece in pieces.split()]


def programs(group, folder, names, **options):
    return [Case(f"{group}/{name}", [f"{{product}}/{folder}/{name}"], compare="status", **options)
            for name in names.split()]


# Without a usable GPU JAX would quietly compute on the CPU. Its calls are few enough to log all.
JAX = {"JAX_PLATFORMS": "cuda,cpu", "VGPU_LOG": "3"}

def built(group, folder, product):
    """Every program of a folder; each tests itself."""
    place = os.path.join(product, folder)
    names = sorted(os.listdir(place)) if os.path.isdir(place) else []
    return programs(group, folder, " ".join(names))


BESIDE = [
    *python("pytorch", "torch_llama", "inference training", limit=150, env={"VG_SMALL": "1"}),
    *python("crossings", "torch_llama", "crossings", env={"VGPU_STATS": "crossings.txt"}, keep=True),
    *python("pytorch", "torch_math", "gemm conv linalg fft sparse attention gemm_small_types lstm "
            "random kernels norm_and_pool small_training"),
    *python("pytorch", "torch_runtime", "graphs copies streams memory pinned profiler oom "
            "graphed_callables threads pools properties nvml unusual device_assert"),
    *python("pytorch", "torch_runtime", "expandable",
            env={"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}),
    *python("pytorch", "torch_runtime", "async_allocator",
            env={"PYTORCH_CUDA_ALLOC_CONF": "backend:cudaMallocAsync"}),
    *python("pytorch", "torch_procs", "ipc loader_fork loader_spawn ipc_event four_at_once "
            "forked_without_gpu", limit=120),
    Case("pytorch/ipc_expandable", ["{py}", "{work}/torch_procs.py", "ipc"], limit=120,
         env={"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"}),
    *python("pytorch", "torch_compile", "compiled compiled_training reduced_overhead", limit=150,
            env={"TORCHINDUCTOR_COMPILE_THREADS": "2"}),
    *python("jax", "jax_work", "device jit grad command_buffers libraries random transforms "
            "callbacks transfers", env=JAX),
    *python("cupy", "cupy_work", "device raw_kernel elementwise libraries handles random sorts sparse memory "
            "streams graphs textures"),
    *python("triton", "triton_work", "add softmax matmul atomics descriptors"),
    *python("numba", "numba_work", "device vectors shared atomics matrices functions streams"),
    *python("cuda-python", "cudapy_work", "bindings bindings_runtime core core_linker "
            "compiled_twice compiled_for_this_gpu"),
    *python("peers", "torch_peers", "devices copies events data_parallel nccl_one_process nccl_two_processes "
            "nccl_visible ipc", limit=150, env={"NCCL_NVLS_ENABLE": "0"}),
    *python("peers", "peers_work", "jax_sharded cupy_pair", env={**JAX, "NCCL_NVLS_ENABLE": "0"}),
    Case("peers/driver", ["{product}/client/peers"]),
    *python("devices", "devices_work", "visible pairs links"),
    *python("nvml", "nvml_work", "identity measured"),
    Case("nvml/statuses", ["{product}/client/nvml-answers"], limit=30),
    Case("onnx/cuda", ["{py}", "{work}/onnx_work.py"]),
    Case("driver/answers", ["{product}/client/answers"]),
    *[Case(f"driver/fault-{kind}", ["{product}/client/fault", kind], compare="status")
      for kind in ("wild", "misaligned", "trap", "assert", "endless")],
    *programs("driver", "client", "quiet", own=True),
    *programs("driver", "client", "copies images link green batch legacy states tensormap "
              "vmm share crossings"),
    Case("driver/readback", ["{product}/client/readback", "4000"]),
    Case("driver/arrive", ["{product}/client/arrive", "100"], compare="status"),
    Case("driver/nvml", ["{product}/client/nvml"], compare="status"),
    *[Case("smi/" + name, ["nvidia-smi", *words.split()], compare="status", limit=30)
      for name, words in (("plain", ""), ("list", "-L"), ("all", "-q"), ("topology", "topo -m"),
                          ("query", "--query-gpu=name,driver_version,memory.total --format=csv"),
                          ("dmon", "dmon -c 1"), ("pmon", "pmon -c 1"))],
]

# Times, and what would disturb others; those that take long come last.
ALONE = [
    Case("speed/llama", ["{py}", "{work}/torch_llama.py"], alone=True, limit=150),
    Case("speed/pytorch", ["{py}", "{work}/torch_speed.py"], alone=True, limit=150),
    Case("speed/calls", ["{product}/client/costs"], alone=True, compare="costs", limit=60, rounds=3),
    *python("speed", "jax_work", "speed", alone=True, env={**JAX, "VGPU_LOG": "1"}),
    *python("speed-cupy", "cupy_work", "speed", alone=True),
    *python("speed-triton", "triton_work", "add", alone=True),
    *[Case("faults/" + name, ["{here}/" + name + ".sh", "{product}"], limit=150, alone=True, plain=True,
           compare="status") for name in ("faults", "nvml", "misuse")],
]


def samples(product):
    """NVIDIA's samples (tests/gpu/samples), each beside its data; 2 is how they waive."""
    place = os.path.join(product, "samples")
    names = sorted(os.listdir(place)) if os.path.isdir(place) else []
    return [Case(f"samples/{name}", [f"{place}/{name}/{name}"], compare="status", cwd=f"{place}/{name}",
                 skip=(2, 77))
            for name in names]


def ggml(product):
    """llama.cpp's CUDA backend, if tests/gpu/ggml/build has put it into the folder ggml."""
    place = os.path.join(product, "ggml")
    if not os.path.exists(f"{place}/llm"):
        return []
    ops = [f"{place}/test-backend-ops", "test", "-b", "CUDA0", "-j", "4", "-o"]
    model = f"{place}/model.gguf"
    # Each operation in one of them; it is found by a search in its name. Some 10350 cases, compared with
    # its own CPU backend, which takes most of the time: about 60 s of 16 processors for all
    # without flash attention, which only a build with FA=ON has.
    shares = (("flash", "^FLASH"), ("a-h", "^[A-EGH],^F[^L],^FLO"), ("i-l", "^[I-L]"),
              ("mul_mat_id", "^MUL_MAT_ID"), ("m", "^M[^U],^MUL$,^MUL_MAT$,^MUL_MAT_[^I]"),
              ("n-z", "^[N-Z]"))
    return [Case(f"ggml/ops-{name}", [*ops, which], compare="status", limit=400, reference=True)
            for name, which in shares] + \
        [Case("ggml/decode", ["sh", "-c", f"test -e {model} || ({place}/llm make {model}.new && "
                              f"mv {model}.new {model}) && exec {place}/llm run {model}"],
              alone=True, limit=200, rounds=3)]


def ollama(product):
    """Ollama's server and engine, if tests/gpu/ollama/build has put them into the folder ollama."""
    place = os.path.join(product, "ollama")
    if not os.path.exists(f"{place}/bin/ollama"):
        return []
    return [Case("ollama/serve", ["{py}", "{here}/ollama/serve.py", place], alone=True, limit=150, rounds=2)]


def cases_of(product):
    kinds = ("static", "shared", "ptds", "rdc", "sm80", "lz4", "raw")
    return BESIDE + [c for k in kinds for c in built("cuda-" + k, "cuda/" + k, product)] + \
        samples(product) + ggml(product) + ollama(product) + ALONE
