"""One thread of a process that stands still or hangs while the others go on, by ptrace. Skips where that is not permitted."""
import ctypes
import os
import platform
import unittest

PEEKTEXT, POKETEXT, GETREGS, DETACH, SEIZE, INTERRUPT = 1, 4, 12, 17, 0x4206, 0x4207
ALL_THREADS = 0x40000000                # __WALL
SYSTEM_CALL, RIP, N_REGS = 15, 16, 27   # of x86-64's struct user_regs_struct
EPOLL_WAIT = 232
LOOP = 0xfeeb                           # jmp to itself

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, tid, address=None, data=None):
    ctypes.set_errno(0)
    result = libc.ptrace(request, tid, address, data)
    if result == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result


def thread_of(pid, name):
    for tid in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{tid}/comm", encoding="ascii") as f:
            if f.read().strip() == name:
                return int(tid)
    raise LookupError(f"no thread {name} in {pid}")


class StoppedThread:
    """It stands still as long as the block lasts."""

    def __init__(self, pid, name):
        self.tid = thread_of(pid, name)

    def __enter__(self):
        try:
            ptrace(SEIZE, self.tid)
        except PermissionError as e:
            raise unittest.SkipTest(f"threads cannot be stopped here: {e}") from None
        ptrace(INTERRUPT, self.tid)
        os.waitpid(self.tid, ALL_THREADS)
        return self

    def is_dead(self):
        """Has its process been killed? Only whoever traces a thread can say that it may go."""
        return os.waitpid(self.tid, ALL_THREADS | os.WNOHANG)[0] != 0

    def __exit__(self, *_):
        try:
            ptrace(DETACH, self.tid)
        except ProcessLookupError:
            pass


def own_code(pid):
    """Addresses of the program's own instructions: a loop in those of libc would hang every thread."""
    program = os.readlink(f"/proc/{pid}/exe")
    with open(f"/proc/{pid}/maps", encoding="utf-8") as f:
        spans = [line.split()[0].split("-") for line in f if " r-xp " in line and line.rstrip().endswith(program)]
    return [(int(a, 16), int(b, 16) - 8) for a, b in spans]


def hang(pid, name):
    """An endless loop is written over the instruction that the thread is about to execute. It then hangs as a program does: it
    computes for ever, takes signals, and can tell its stack. False: it is just now where a loop would hang others too, that
    is not in the program's own code, nor does it wait as only the HTTP thread does."""
    if platform.machine() != "x86_64":
        raise unittest.SkipTest(f"no loop for {platform.machine()}")
    with StoppedThread(pid, name) as thread:
        regs = (ctypes.c_ulonglong * N_REGS)()
        ptrace(GETREGS, thread.tid, None, ctypes.addressof(regs))
        at = regs[RIP]
        inside = regs[SYSTEM_CALL] == EPOLL_WAIT or any(a <= at < b for a, b in own_code(pid))
        if inside:
            word = ptrace(PEEKTEXT, thread.tid, at) & (1 << 64) - 1
            ptrace(POKETEXT, thread.tid, at, word & ~0xffff | LOOP)
    return inside
