# SPDX-License-Identifier: MIT
"""What PyTorch asks of the CUDA runtime: copies, streams, events, graphs, allocators, profiler."""
import threading

from vg import expect, info, main, put
from torch_setup import filled, gpu, sync, torch


def copies():
    """Pageable and pinned, both ways, all sizes, with and without waiting."""
    for count in (1, 7, 1000, 65536, 1 << 20, 5 << 20):
        host = torch.arange(count, dtype=torch.float32)
        pinned = host.pin_memory()
        there, fast = host.to(gpu), pinned.to(gpu, non_blocking=True)
        back = torch.empty(count, pin_memory=True)
        back.copy_(fast, non_blocking=True)
        sync()
        expect(f"copies.{count}", torch.equal(there.cpu(), host) and torch.equal(back, host))
    rows = filled(300, 500)
    put("copies.strided", rows[::2, 1::3].cpu(), rows.t().cpu())
    mixed = torch.zeros(64, device=gpu)
    mixed[5:9] = torch.arange(4.0)
    put("copies.part", mixed)
    big = torch.arange(64 << 20, dtype=torch.int32)
    expect("copies.256MiB", torch.equal(big.to(gpu).cpu(), big))


def pinned():
    """Pinned memory of every size; the runtime's own registration of ordinary memory."""
    held = [torch.full((size,), i, dtype=torch.uint8, pin_memory=True)
            for i, size in enumerate((1, 4096, 1 << 20, 100 << 20))]
    put("pinned.sums", *[h.to(gpu, non_blocking=True).sum() for h in held])
    ordinary = torch.arange(1 << 20, dtype=torch.int32)
    rt = torch.cuda.cudart()
    put("pinned.register", int(rt.cudaHostRegister(ordinary.data_ptr(), ordinary.numel() * 4, 0)))
    put("pinned.registered", ordinary.is_pinned(), ordinary.to(gpu, non_blocking=True).sum())
    put("pinned.unregister", int(rt.cudaHostUnregister(ordinary.data_ptr())))


def streams():
    """Work on many streams, ordered by events only."""
    base = filled(1 << 20)
    pool = [torch.cuda.Stream(priority=-(i % 2)) for i in range(6)]
    events = [torch.cuda.Event() for _ in pool]
    value = base.clone()
    sync()
    for i, (stream, event) in enumerate(zip(pool, events)):
        with torch.cuda.stream(stream):
            if i:
                stream.wait_event(events[i - 1])
            for _ in range(10):
                value.mul_(1.01).add_(i)
            event.record()
    events[-1].synchronize()
    put("streams.value", value)
    expect("streams.query", all(s.query() for s in pool[:1]) and events[-1].query())
    external = torch.cuda.ExternalStream(pool[0].cuda_stream)
    with torch.cuda.stream(external):
        put("streams.external", (base * 2))
    start, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    start.record()
    torch.cuda._sleep(200_000_000)
    end.record()
    expect("streams.not_ready", not end.query())
    sync()
    expect("streams.elapsed", 50 < start.elapsed_time(end) < 10000, start.elapsed_time(end))


def threads():
    """Eight threads with streams of their own."""
    results = [None] * 8

    def work(i):
        with torch.cuda.stream(torch.cuda.Stream()):
            x = filled(256, 256, seed=i)
            for _ in range(20):
                x = (x @ x).tanh()
            results[i] = x.cpu()

    running = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    put("threads", *results)


def graphs():
    """Capture and replay: forward, a whole training step, a pool shared by two graphs."""
    weight, x = filled(256, 256), filled(64, 256, seed=2)
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            (x @ weight).relu().softmax(-1)
    torch.cuda.current_stream().wait_stream(side)
    graph, second = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = (x @ weight).relu().softmax(-1)
    with torch.cuda.graph(second, pool=graph.pool()):
        more = out.cumsum(-1) + torch.randn_like(out)
    torch.manual_seed(11)
    for i in range(5):
        x.copy_(filled(64, 256, seed=10 + i))
        graph.replay()
        second.replay()
        put(f"graphs.replay{i}", out, more)
    graphed_training()


def graphed_training():
    torch.manual_seed(12)
    net = torch.nn.Sequential(torch.nn.Linear(128, 256), torch.nn.GELU(),
                              torch.nn.Linear(256, 8)).to(gpu)
    optimizer = torch.optim.Adam(net.parameters(), capturable=True)
    x, target = filled(32, 128), torch.arange(32, device=gpu) % 8

    def step():
        optimizer.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(net(x), target)
        loss.backward()
        optimizer.step()
        return loss

    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            step()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        loss = step()
    for _ in range(10):
        graph.replay()
    put("graphs.training", loss, *net.parameters())


def graphed_callables():
    net = torch.nn.Linear(64, 64).to(gpu)
    with torch.no_grad():
        net.weight.copy_(filled(64, 64))
        net.bias.zero_()
    graphed = torch.cuda.make_graphed_callables(net, (filled(16, 64).requires_grad_(),))
    out = graphed(filled(16, 64, seed=5).requires_grad_())
    out.sum().backward()
    put("graphs.callable", out, net.weight.grad)


def memory():
    """The caching allocator and what it tells."""
    before = torch.cuda.memory_allocated()
    held = [torch.empty(1 << (10 + i % 14), device=gpu) for i in range(200)]
    put("memory.allocated", torch.cuda.memory_allocated() - before)
    put("memory.peak", torch.cuda.max_memory_allocated() >= torch.cuda.memory_allocated())
    del held[::2]
    torch.cuda.empty_cache()
    put("memory.reserved", torch.cuda.memory_reserved())
    put("memory.summary", len(torch.cuda.memory_summary().splitlines()))
    put("memory.stats", len(torch.cuda.memory_stats()))
    torch.cuda.memory._record_memory_history(max_entries=1000)
    torch.empty(1 << 20, device=gpu).zero_()
    put("memory.snapshot", len(torch.cuda.memory_snapshot()) > 0)
    free, total = torch.cuda.mem_get_info()
    info("free", free, "total", total)
    expect("memory.info", 0 < free <= total and total > 1 << 30)
    fraction()


def fraction():
    torch.cuda.set_per_process_memory_fraction(0.01)
    try:
        torch.empty(8 << 30, dtype=torch.uint8, device=gpu)
        put("memory.fraction", "allocated")
    except torch.OutOfMemoryError:
        put("memory.fraction", "OutOfMemoryError")
    torch.cuda.set_per_process_memory_fraction(1.0)


def oom():
    """More than there is: PyTorch's own exception, and life goes on."""
    for size in (1 << 42, 1 << 45):
        try:
            torch.empty(size, dtype=torch.uint8, device=gpu)
            put(f"oom.{size}", "allocated")
        except torch.OutOfMemoryError as problem:
            info(str(problem)[:300])
            put(f"oom.{size}", "OutOfMemoryError")
    put("oom.after", filled(1000).sum())


def expandable():
    """Segments made of mapped physical memory (run with expandable_segments:True)."""
    held = [torch.full((1 << 20,), i, dtype=torch.float32, device=gpu) for i in range(60)]
    del held[::3]
    big = torch.full((100 << 20,), 3, dtype=torch.uint8, device=gpu)
    put("expandable", big.long().sum(), *[h.sum() for h in held])
    del big, held
    torch.cuda.empty_cache()
    put("expandable.reserved", torch.cuda.memory_reserved())
    put("expandable.again", filled(4096, 4096).sum())


def async_allocator():
    """cudaMallocAsync instead of PyTorch's own (run with backend:cudaMallocAsync)."""
    put("async_allocator.backend", torch.cuda.get_allocator_backend())
    held = [torch.full((1 << 18,), i, dtype=torch.float32, device=gpu) for i in range(50)]
    del held[::2]
    put("async_allocator", *[h.sum() for h in held], filled(512, 512) @ filled(512, 512, seed=2))
    torch.cuda.empty_cache()


def pools():
    """torch.cuda.MemPool: an allocator's private pool."""
    pool = torch.cuda.MemPool()
    with torch.cuda.use_mem_pool(pool):
        x = filled(1000, 1000)
        y = x @ x
    put("pools", y)


def profiler():
    from torch.profiler import ProfilerActivity, profile
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as seen:
        x = filled(512, 512)
        for _ in range(3):
            x = (x @ x).softmax(-1)
        sync()
    put("profiler.result", x)
    info(seen.key_averages().table(row_limit=3).splitlines()[:3])
    expect("profiler.names", any(e.key == "aten::mm" for e in seen.key_averages()))
    # Kernel times need the driver's own profiling interface.
    info("profiler.gpu_time", sum(e.device_time_total for e in seen.key_averages()) > 0)
    torch.cuda.nvtx.range_push("vg")
    torch.cuda.nvtx.range_pop()
    torch.cuda.profiler.start()
    torch.cuda.profiler.stop()


def properties():
    """What programs ask about the device."""
    p = torch.cuda.get_device_properties(0)
    for name in ("name", "major", "minor", "total_memory", "multi_processor_count", "L2_cache_size",
                 "warp_size", "max_threads_per_multi_processor", "regs_per_multiprocessor",
                 "shared_memory_per_block", "shared_memory_per_block_optin",
                 "shared_memory_per_multiprocessor", "is_integrated", "gcnArchName"):
        put(f"properties.{name}", getattr(p, name, None))
    info("uuid", p.uuid)
    put("properties.count", torch.cuda.device_count())
    put("properties.capability", torch.cuda.get_device_capability())
    put("properties.arch", tuple(torch.cuda.get_arch_list()))
    put("properties.bf16", torch.cuda.is_bf16_supported())
    put("properties.versions", (torch.version.cuda, torch.backends.cudnn.version()))


def nvml():
    """PyTorch's uses of NVML: utilisation, temperature, power, memory, processes."""
    for name in ("utilization", "memory_usage", "temperature", "power_draw", "clock_rate"):
        value = getattr(torch.cuda, name)()
        info(name, value)
        expect(f"nvml.{name}", value >= 0)
    listed = torch.cuda.list_gpu_processes()
    info("processes", listed.splitlines()[:3])
    put("nvml.processes", listed.splitlines()[0])


def device_assert():
    """An index out of range is a device assertion: the message, and that it stays."""
    x = torch.zeros(10, device=gpu)
    try:
        x[torch.tensor([100], device=gpu)].cpu()
        put("device_assert", "no error")
    except RuntimeError as problem:
        put("device_assert", str(problem).splitlines()[0])
    try:
        torch.zeros(1, device=gpu).cpu()
        put("device_assert.after", "no error")
    except RuntimeError as problem:
        put("device_assert.after", str(problem).splitlines()[0])


def unusual():
    """Tensors of unusual shapes and sizes."""
    put("unusual.empty", torch.empty(0, device=gpu).sum())
    put("unusual.zero_dim", torch.zeros((), device=gpu) + 1)
    put("unusual.bool", torch.ones(1000, dtype=torch.bool, device=gpu).sum())
    put("unusual.huge", torch.ones(3 << 30, dtype=torch.uint8, device=gpu)[(3 << 30) - 5:])


if __name__ == "__main__":
    main([copies, pinned, streams, threads, graphs, graphed_callables, memory, oom, expandable,
          async_allocator, pools, profiler, properties, nvml, unusual, device_assert])
