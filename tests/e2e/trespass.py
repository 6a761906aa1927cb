#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Becomes a user and tries what a taken-over process of its would try on another one.

    trespass.py USER PID

Prints a line for each, "refused" or what it got. Exit status: 0 if all was refused, 1 if not.
"""
import ctypes
import errno
import os
import sys

user, pid = int(sys.argv[1]), int(sys.argv[2])
libc = ctypes.CDLL(None, use_errno=True)
PTRACE_SEIZE = 0x4206
PIDFD_OPEN, PIDFD_GETFD = 434, 438      # the same on all machines


def call(number, *args):
    rc = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(a) for a in args])
    if rc < 0:
        raise OSError(ctypes.get_errno(), "")
    return rc


def ptrace():
    if libc.ptrace(ctypes.c_long(PTRACE_SEIZE), pid, None, None) < 0:
        raise OSError(ctypes.get_errno(), "")


def read_memory():
    class Part(ctypes.Structure):
        _fields_ = [("base", ctypes.c_void_p), ("len", ctypes.c_size_t)]
    here = ctypes.create_string_buffer(8)
    mine = Part(ctypes.cast(here, ctypes.c_void_p), 8)
    theirs = Part(text, 8)
    if libc.process_vm_readv(pid, ctypes.byref(mine), 1, ctypes.byref(theirs), 1, 0) < 0:
        raise OSError(ctypes.get_errno(), "")


def descriptor():
    fd = call(PIDFD_OPEN, pid, 0)
    try:
        call(PIDFD_GETFD, fd, 0, 0)
    finally:
        os.close(fd)


def memory_file():
    for fd in range(256):
        try:
            os.close(os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR))
            return
        except FileNotFoundError:
            continue


tries = {
    "a signal": lambda: os.kill(pid, 0),
    "a signal to a thread": lambda: call(234, pid, pid, 0),
    "ptrace": ptrace,
    "reading its memory": read_memory,
    "its memory as a file": lambda: os.close(os.open(f"/proc/{pid}/mem", os.O_RDWR)),
    "the list of its files": lambda: os.listdir(f"/proc/{pid}/fd"),
    "a file of its": memory_file,
    "a descriptor of its": descriptor,
    "where its memory is": lambda: os.listdir(f"/proc/{pid}/map_files"),
    "its environment": lambda: open(f"/proc/{pid}/environ", "rb").read(),
    "its limits": lambda: call(302, pid, 7, 0, 0),
    "its time on processors": lambda: os.sched_setaffinity(pid, os.sched_getaffinity(pid)),
    "its priority": lambda: os.setpriority(os.PRIO_PROCESS, pid, 10),
}

with open(f"/proc/{pid}/maps") as maps:
    text = int(maps.readline().split("-")[0], 16)
if user:
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
bad = 0
for what, attempt in tries.items():
    try:
        attempt()
        bad += 1
        print(f"{what}: got it")
    except OSError as e:
        refused = e.errno in (errno.EPERM, errno.EACCES)
        if not refused:
            bad += 1
        print(f"{what}: {'refused' if refused else os.strerror(e.errno)}")
sys.exit(1 if bad else 0)
