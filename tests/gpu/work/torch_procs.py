# SPDX-License-Identifier: MIT
"""PyTorch in several processes: data loaders, CUDA IPC, work beside each other."""
import os
import queue
import warnings

from vg import expect, main, put
from torch_setup import filled, gpu, sync, torch

warnings.filterwarnings("ignore", category=DeprecationWarning)


class Numbers(torch.utils.data.Dataset):
    def __len__(self):
        return 256

    def __getitem__(self, i):
        return torch.full((64, 64), float(i)), i


def load_all(context, pin):
    """Every sample through worker processes, copied to the GPU and added up there."""
    total = torch.zeros(64, 64, device=gpu)
    seen = 0
    loader = torch.utils.data.DataLoader(Numbers(), batch_size=16, num_workers=3, pin_memory=pin,
                                         multiprocessing_context=context, persistent_workers=True)
    for _ in range(2):
        for sample, index in loader:
            total += sample.to(gpu, non_blocking=True).sum(0)
            seen += index.to(gpu, non_blocking=True).sum().item()
    return total, seen


def loader_fork():
    filled(10)          # the GPU is in use before the fork
    put("loader.fork", *load_all("fork", pin=True))


def loader_spawn():
    put("loader.spawn", *load_all("spawn", pin=True))
    put("loader.unpinned", *load_all("spawn", pin=False))


def forked_without_gpu():
    """A child of fork() cannot use the GPU; the parent must not suffer."""
    x = filled(1000)
    pid = os.fork()
    if pid == 0:
        os._exit(3)
    put("fork.status", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    put("fork.parent", x.sum())


def take(outbox, *children):
    """What a child sends; an error if it ends without."""
    for _ in range(80):
        try:
            return outbox.get(timeout=1)
        except queue.Empty:
            if any(child.exitcode for child in children):
                raise RuntimeError("a child process failed") from None
    raise TimeoutError("no answer of a child process")


def receiver(inbox, outbox):
    """Takes tensors of another process, changes one in place, sends one of its own."""
    first, second = inbox.get()
    outbox.put((first.sum().item(), second.sum().item()))
    second.add_(5)
    sync()
    mine = torch.full((512,), 7.0, device=gpu)
    outbox.put(mine)
    inbox.get()         # the other one is done with mine


def ipc():
    """Two processes exchange tensors by CUDA IPC handles."""
    context = torch.multiprocessing.get_context("spawn")
    inbox, outbox = context.Queue(), context.Queue()
    child = context.Process(target=receiver, args=(inbox, outbox))
    child.start()
    first, second = filled(3 << 20), torch.ones(1000, device=gpu)
    inbox.put((first, second))
    sums = take(outbox, child)
    theirs = take(outbox, child)
    expect("ipc.sums", sums == (first.sum().item(), 1000.0), sums)
    put("ipc.theirs", theirs)
    put("ipc.changed_in_place", second)
    del theirs
    inbox.put("done")
    child.join(30)
    put("ipc.child", child.exitcode)


def event_waiter(handle, shared, outbox):
    event = torch.cuda.Event.from_ipc_handle(0, handle)
    event.wait()
    outbox.put(shared.sum().item())


def ipc_event():
    """An event of one process orders work of another."""
    context = torch.multiprocessing.get_context("spawn")
    outbox = context.Queue()
    shared = torch.zeros(1 << 20, device=gpu)
    event = torch.cuda.Event(interprocess=True)
    shared.add_(2)
    event.record()
    handle = event.ipc_handle()
    child = context.Process(target=event_waiter, args=(handle, shared, outbox))
    child.start()
    put("ipc_event", take(outbox, child))
    child.join(30)
    put("ipc_event.child", child.exitcode)


def square(seed, outbox):
    x = filled(400, 400, seed=seed)
    for _ in range(10):
        x = (x @ x).tanh()
    outbox.put((seed, x.double().sum().item()))


def four_at_once():
    context = torch.multiprocessing.get_context("spawn")
    outbox = context.Queue()
    children = [context.Process(target=square, args=(seed, outbox)) for seed in range(4)]
    for child in children:
        child.start()
    put("four_at_once", tuple(sorted(take(outbox, *children) for _ in children)))
    for child in children:
        child.join(30)
    put("four_at_once.codes", tuple(child.exitcode for child in children))


if __name__ == "__main__":
    main([loader_fork, loader_spawn, forked_without_gpu, ipc, ipc_event, four_at_once])
