# SPDX-License-Identifier: MIT
"""Two GPUs in PyTorch: copies between them, DataParallel, NCCL in one process and between two."""
import os
import sys
import tempfile

from vg import expect, info, main, put
from torch_setup import torch

PAIR = (0, 1)


def on(device, *shape, seed=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator).to(dtype).to(f"cuda:{device}")


def sync():
    for i in PAIR:
        torch.cuda.synchronize(i)


def devices():
    """What a process sees: how many, which, and who reaches whom."""
    put("devices.count", torch.cuda.device_count())
    for i in PAIR:
        p = torch.cuda.get_device_properties(i)
        put(f"devices.{i}", (p.name, p.total_memory, p.major, p.multi_processor_count))
        info("uuid", p.uuid, "bus", p.pci_bus_id)
        put(f"devices.reaches.{i}", torch.cuda.can_device_access_peer(i, 1 - i))
    uuids = {str(torch.cuda.get_device_properties(i).uuid) for i in PAIR}
    expect("devices.differ", len(uuids) == 2)


def copies():
    """Between devices, ordinary and on streams, both ways, all sizes."""
    for count in (1, 1000, 1 << 20, 16 << 20):
        there = torch.arange(count, dtype=torch.int32, device="cuda:0")
        other = there.to("cuda:1")
        back = (other + 1).to("cuda:0")
        expect(f"copies.{count}", bool(torch.equal(back, there + 1)))
    streams = [torch.cuda.Stream(i) for i in PAIR]
    with torch.cuda.stream(streams[0]):
        x = on(0, 1000, 1000)
        y = x @ x
        ready = streams[0].record_event()
    with torch.cuda.stream(streams[1]):
        streams[1].wait_event(ready)
        z = y.to("cuda:1", non_blocking=True) * 2
    sync()
    put("copies.streams", z)


def events():
    """One device's stream waits for the other's, a hundred times in a row."""
    value = torch.zeros(1, device="cuda:0")
    streams = [torch.cuda.Stream(i) for i in PAIR]
    sync()
    for i in range(100):
        with torch.cuda.stream(streams[i % 2]):
            value = value.to(f"cuda:{i % 2}", non_blocking=True) * 1.01 + i
            value.record_stream(streams[i % 2])
            streams[(i + 1) % 2].wait_event(streams[i % 2].record_event())
    sync()
    put("events", value)


def data_parallel():
    """Replicas on both, scatter and gather, and NCCL's broadcast and reduction underneath."""
    torch.manual_seed(5)
    net = torch.nn.Sequential(torch.nn.Linear(64, 128), torch.nn.ReLU(), torch.nn.Linear(128, 8)).to("cuda:0")
    both = torch.nn.DataParallel(net, device_ids=list(PAIR))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    for step in range(5):
        loss = both(on(0, 32, 64, seed=step)).square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        put(f"data_parallel.loss{step}", loss.detach())
    put("data_parallel.net", *net.parameters())


def nccl_one_process():
    """Both ranks are threads of this process: direct pointers."""
    from torch.cuda import nccl
    put("nccl.version", nccl.version())
    for count in (1, 1000, 4 << 20):
        pair = [on(i, count, seed=i + 1) for i in PAIR]
        nccl.all_reduce(pair)
        sync()
        put(f"nccl.all_reduce.{count}", *pair)
        expect(f"nccl.same.{count}", torch.equal(pair[0].cpu(), pair[1].cpu()))
    pair = [on(i, 5000, seed=i + 1) for i in PAIR]
    nccl.broadcast(pair, root=0)
    gathered = [torch.empty(10000, device=f"cuda:{i}") for i in PAIR]
    nccl.all_gather(pair, gathered)
    sync()
    put("nccl.others", *pair, *gathered)


def rank(number, folder, visible):
    """One of two processes; prints nothing, leaves what it has in a file."""
    if visible:
        os.environ["CUDA_VISIBLE_DEVICES"] = str(number)
    import torch.distributed as dist
    device = torch.device("cuda", 0 if visible else number)
    torch.cuda.set_device(device)
    dist.init_process_group("nccl", init_method=f"file://{folder}/meet", rank=number, world_size=2,
                            device_id=device)
    results = []
    for count in (1, 1000, 4 << 20):
        x = on(device.index, count, seed=number + 1)
        dist.all_reduce(x)
        results.append(x.cpu())
    x = on(device.index, 3000, seed=number + 1)
    everybody = [torch.empty_like(x) for _ in range(2)]
    dist.all_gather(everybody, x)
    results += [e.cpu() for e in everybody]
    if number == 0:
        dist.send(x * 3, 1)
    else:
        dist.recv(x, 0)
        results.append(x.cpu())
    graphed(dist, device, number, results)
    dist.barrier()
    torch.save(results, f"{folder}/rank{number}")
    dist.destroy_process_group()


def graphed(dist, device, number, results):
    """A training step's all-reduce, captured and replayed."""
    x = on(device.index, 10000, seed=number + 3)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        dist.all_reduce(x)
    for _ in range(3):
        graph.replay()
    torch.cuda.synchronize()
    results.append(x.cpu())


def two_processes(name, visible):
    context = torch.multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        children = [context.Process(target=rank, args=(i, folder, visible)) for i in PAIR]
        for child in children:
            child.start()
        for child in children:
            child.join(100)
            if child.is_alive():
                child.kill()
        put(f"{name}.codes", tuple(child.exitcode for child in children))
        for i in PAIR:
            put(f"{name}.rank{i}", *torch.load(f"{folder}/rank{i}"))


def nccl_two_processes():
    """Each process uses one of the two devices that both see: memory goes across by handles."""
    two_processes("nccl2", False)


def nccl_visible():
    """Each process sees one device only (CUDA_VISIBLE_DEVICES)."""
    two_processes("nccl_visible", True)


def opener(inbox, outbox):
    """Takes a tensor of the first device, and works on it on the second."""
    theirs = inbox.get()
    there = theirs.to("cuda:1") * 2
    torch.cuda.synchronize(1)
    outbox.put((theirs.device.index, there.double().sum().item()))
    del theirs
    inbox.get()


def ipc():
    """Memory of one device, opened by a process that works on the other."""
    context = torch.multiprocessing.get_context("spawn")
    inbox, outbox = context.Queue(), context.Queue()
    child = context.Process(target=opener, args=(inbox, outbox))
    child.start()
    x = on(0, 1 << 20)
    inbox.put(x)
    put("ipc", outbox.get(timeout=80))
    inbox.put(None)
    child.join(30)
    put("ipc.child", child.exitcode)


if __name__ == "__main__":
    if torch.cuda.device_count() < 2:
        print("one device only")
        sys.exit(77)
    main([devices, copies, events, data_parallel, nccl_one_process, nccl_two_processes, nccl_visible, ipc])
