"""What keeps a submission within its own process and folder; runs in that process, and imports nothing of velodrome.

Three layers, each of which does what the system offers: limits of resources (POSIX), Landlock and seccomp (Linux on
x86-64 and AArch64), which hold for native code too, and an audit hook of Python, which says in words what was refused.
Without the second a submission by an expert can get round the third.
"""

import ctypes
import math
import os
import platform
import resource
import struct
import sys
import sysconfig
import time
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

SUBMISSION = "submission.py"
MOST_FILES_WRITTEN = 100
_MOST_OPEN_FILES = 256
# What the interpreter and numerical libraries look at outside of Python's folders.
_READABLE = (
    "/usr/lib", "/usr/lib64", "/usr/local/lib", "/usr/share", "/usr/local/share", "/lib", "/lib64",
    "/etc/ld.so.cache", "/etc/localtime", "/etc/fonts", "/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/proc/stat",
    "/sys/devices/system", "/dev/urandom", "/dev/zero", "/System/Library", "/Library/Fonts",
)  # fmt: skip
_WRITABLE = ("/dev/null",)


class RefusedError(PermissionError):
    """A submission may not do this; the grade says that it tried."""


def readable_folders() -> list[str]:
    """Python's own folders, its packages', and those of system libraries."""
    paths = sysconfig.get_paths()
    folders = [paths[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")]
    folders += [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    for prefix in (sys.prefix, sys.base_prefix, sys.exec_prefix):
        folders += [os.path.join(prefix, name) for name in ("lib", "lib64", "share")]
    found = {os.path.realpath(path) for path in (*folders, *_READABLE) if os.path.exists(path)}
    return sorted(found)


def limit_resources(seconds: float, memory: int, file_size: int) -> None:
    """Bound CPU time and memory beside what is used now, the size of files, and how many are open."""
    # Starting Python and NumPy took some.
    cpu = math.ceil(time.process_time() + seconds)
    bounds = [(resource.RLIMIT_CPU, cpu), (resource.RLIMIT_FSIZE, file_size), (resource.RLIMIT_CORE, 0)]
    bounds.append((resource.RLIMIT_NOFILE, _MOST_OPEN_FILES))
    try:
        with open("/proc/self/statm", "rb") as file:
            used = int(file.read().split()[0]) * resource.getpagesize()
        bounds.append((resource.RLIMIT_AS, used + memory))
    except OSError:
        pass
    for kind, most in bounds:
        hard = resource.getrlimit(kind)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # Of CPU time the kernel first sends a signal that says so.
        resource.setrlimit(kind, (most, most + 1 if kind == resource.RLIMIT_CPU and hard > most else most))


def confine_by_kernel(folder: str, readable: Iterable[str]) -> list[str]:
    """Let the kernel refuse other files, processes, sockets and signals; the names of what it offers."""
    if sys.platform != "linux":
        return []
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall.restype = ctypes.c_long
    # No program gives more rights from now on: what both of the following ask for.
    if libc.prctl(38, 1, 0, 0, 0) != 0:
        return []
    # Die with the grader.
    libc.prctl(1, 9, 0, 0, 0)
    offered = []
    if _landlock(libc, folder, readable):
        offered.append("landlock")
    _drop_capabilities(libc)
    if _seccomp(libc):
        offered.append("seccomp")
    return offered


def _landlock(libc: Any, folder: str, readable: Iterable[str]) -> bool:
    """Landlock: reading within the readable folders, everything within the own folder, nothing else."""
    create, add, restrict = 444, 445, 446
    version = libc.syscall(create, None, 0, 1)
    if version < 1:
        return False
    handled = (1 << 13) - 1
    for since, bit in ((2, 13), (3, 14), (5, 15)):
        handled |= (1 << bit) if version >= since else 0
    # Connecting and binding by TCP; abstract sockets and signals to processes outside.
    attributes = struct.pack("=QQQ", handled, 3, 3)[: 24 if version >= 6 else 16 if version >= 4 else 8]
    rules = libc.syscall(create, attributes, len(attributes), 0)
    if rules < 0:
        return False
    # Of files alone: execute, write, read, truncate.
    of_files, reading = (1 << 0 | 1 << 1 | 1 << 2 | 1 << 14) & handled, 1 << 0 | 1 << 2 | 1 << 3
    wanted = [(path, reading) for path in readable]
    wanted += [(path, of_files) for path in _WRITABLE] + [(folder, handled)]
    for path, rights in wanted:
        try:
            place = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:
            continue
        rights = rights if os.path.isdir(path) else rights & of_files
        libc.syscall(add, rules, 1, struct.pack("=Qi", rights, place), 0)
        os.close(place)
    done = bool(libc.syscall(restrict, rules, 0) == 0)
    os.close(rules)
    return done


def _drop_capabilities(libc: Any) -> None:
    """Give up what root may do beyond other users."""
    libc.capset(struct.pack("=Ii", 0x20080522, 0), bytes(24))


_SYSTEM_CALLS = {
    # Architecture by `uname`: its number for seccomp, then the numbers of what is refused.
    "x86_64": (0xC000003E, {
        "fork": 57, "vfork": 58, "execve": 59, "execveat": 322, "socket": 41, "socketpair": 53, "ptrace": 101,
        "process_vm_readv": 310, "process_vm_writev": 311, "tkill": 200, "pidfd_send_signal": 424, "pidfd_open": 434,
        "io_uring_setup": 425, "bpf": 321, "mount": 165, "umount2": 166, "unshare": 272, "setns": 308, "chroot": 161,
        "setrlimit": 160, "shmget": 29, "msgget": 68, "semget": 64, "mq_open": 240, "add_key": 248, "keyctl": 250,
        "setpriority": 141, "sched_setaffinity": 203,
        "clone": 56, "clone3": 435, "kill": 62, "tgkill": 234, "prlimit64": 302,
    }),
    "aarch64": (0xC00000B7, {
        "execve": 221, "execveat": 281, "socket": 198, "socketpair": 199, "ptrace": 117, "process_vm_readv": 270,
        "process_vm_writev": 271, "tkill": 130, "pidfd_send_signal": 424, "pidfd_open": 434, "io_uring_setup": 425,
        "bpf": 280, "mount": 40, "umount2": 39, "unshare": 97, "setns": 268, "chroot": 51, "setrlimit": 164,
        "shmget": 194, "msgget": 186, "semget": 190, "mq_open": 180, "add_key": 217, "keyctl": 219,
        "setpriority": 140, "sched_setaffinity": 122,
        "clone": 220, "clone3": 435, "kill": 129, "tgkill": 131, "prlimit64": 261,
    }),
}  # fmt: skip


def _seccomp(libc: Any) -> bool:
    """Seccomp: no new process, no program, no socket, no signal to another process, no higher limit."""
    known = _SYSTEM_CALLS.get(platform.machine())
    if known is None or sys.maxsize < 2**32:
        return False
    architecture, calls = known
    special = ("clone", "clone3", "kill", "tgkill", "prlimit64")
    load, equal, at_least, any_bit, give = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, refuse, lacking, kill = 0x7FFF0000, 0x00050001, 0x00050000 | 38, 0x80000000
    # Each line: what, lines to jump over if true, if false, value. The call is at 0, the architecture at 4, the lower
    # half of the first argument at 16 and both of the third at 32.
    lines: list[tuple[int, int, int, int]] = [
        (load, 0, 0, 4), (equal, 1, 0, architecture), (give, 0, 0, kill), (load, 0, 0, 0),
        # Calls of the x32 kind.
        (at_least, 0, 1, 0x40000000), (give, 0, 0, refuse),
    ]  # fmt: skip
    for name, number in calls.items():
        if name not in special:
            lines += [(equal, 0, 1, number), (give, 0, 0, refuse)]
    # So the C library falls back on `clone`, whose flags can be read.
    lines += [(equal, 0, 1, calls["clone3"]), (give, 0, 0, lacking)]
    # A thread.
    lines += [(equal, 0, 4, calls["clone"]), (load, 0, 0, 16), (any_bit, 0, 1, 0x10000), (give, 0, 0, allow)]
    lines += [(give, 0, 0, refuse)]
    for name in ("kill", "tgkill"):
        lines += [(equal, 0, 4, calls[name]), (load, 0, 0, 16), (equal, 0, 1, os.getpid()), (give, 0, 0, allow)]
        lines += [(give, 0, 0, refuse)]
    # Reading limits gives no new ones.
    lines += [(equal, 0, 6, calls["prlimit64"]), (load, 0, 0, 32), (equal, 0, 3, 0), (load, 0, 0, 36)]
    lines += [(equal, 0, 1, 0), (give, 0, 0, allow), (give, 0, 0, refuse), (give, 0, 0, allow)]
    program = b"".join(struct.pack("=HBBI", code, yes, no, value) for code, yes, no, value in lines)
    held = ctypes.create_string_buffer(program, len(program))
    described = struct.pack("@HP", len(lines), ctypes.addressof(held))
    return bool(libc.prctl(22, 2, described, 0, 0) == 0)


_PROCESSES = (
    "subprocess.Popen", "os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile",
    "pty.spawn",
)  # fmt: skip
_SIGNALS = ("os.kill", "os.killpg", "signal.pthread_kill")
# Number of paths that come first among what each changes.
_CHANGES = {
    "os.remove": 1, "os.rename": 2, "os.mkdir": 1, "os.rmdir": 1, "os.truncate": 1, "os.chmod": 1, "os.chown": 1,
    "os.utime": 1, "os.link": 2, "os.symlink": 2, "os.setxattr": 1, "os.removexattr": 1, "os.chflags": 1,
}  # fmt: skip
_READS = ("os.listdir", "os.scandir", "os.chdir", "os.listxattr", "os.getxattr")
_LIMITS = ("resource.setrlimit", "resource.prlimit")
# With which Python reaches past the hook.
_INNER_MODULES = ("_xxsubinterpreters", "_interpreters")
_INNER_CALLS = ("gc.get_objects", "gc.get_referrers", "gc.get_referents")


def install_hook(
    folder: str, readable: list[str], refused_modules: list[str], report: Callable[[str, str, int], None], *,
    is_alone: bool,
) -> None:  # fmt: skip
    """Refuse, in words, what a submission may not do.

    Args:
        folder: its own.
        readable: folders and files that it may read.
        refused_modules: with all that is in them.
        report: called with what was tried, with what, and the line of the submission, or 0.
        is_alone: whether the kernel refuses nothing, so that what reaches past the hook is refused, too.
    """
    real_path, get_frame = _own_realpath(), sys._getframe
    writing = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
    changes, reads, processes, signals = dict(_CHANGES), _READS, _PROCESSES, _SIGNALS
    inner, inner_calls = (_INNER_MODULES, _INNER_CALLS) if is_alone else ((), ())
    limits, refused_error = _LIMITS, RefusedError
    readable, writable, own = [*readable, "/proc/" + str(os.getpid())], _WRITABLE, SUBMISSION
    written: list[int] = []

    def is_in(path: str, places: Iterable[str]) -> bool:
        return any(path == place or path.startswith(place.rstrip("/") + "/") for place in places)

    def refuse(kind: str, what: str, says: str) -> None:
        frame, line, is_library = get_frame(2), 0, False
        while frame is not None:
            if frame.f_code.co_filename == own:
                line = frame.f_lineno
                break
            # What libraries look for while they are imported is no deed of the submission.
            is_library = is_library or frame.f_code.co_filename == "<frozen importlib._bootstrap>"
            frame = frame.f_back  # type: ignore[assignment]
        if kind == "module" or not is_library:
            report(kind, what, line)
        raise refused_error(f"the grader refuses {says}")

    def check_path(given: Any, writes: bool) -> None:
        if given is None:
            given = "."
        if isinstance(given, int):
            return
        path = real_path(given)
        if isinstance(path, bytes):
            path = path.decode(errors="surrogateescape")
        if is_in(path, (folder, *writable)) or (not writes and is_in(path, readable)):
            return
        if writes:
            refuse("write", path, f"to write to {path}: only the current folder may be written to")
        refuse("read", path, f"to read {path}")

    def hook(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open":
            path, mode, flags = arguments
            writes = bool(flags & writing) if isinstance(flags, int) else False
            writes = writes or (isinstance(mode, str) and any(letter in mode for letter in "wax+"))
            check_path(path, writes)
            if writes and not isinstance(path, int):
                written.append(1)
                if len(written) > MOST_FILES_WRITTEN:
                    refuse("many", str(MOST_FILES_WRITTEN), f"to write more than {MOST_FILES_WRITTEN} files")
        elif event == "import":
            name = arguments[0]
            if is_in(name.replace(".", "/"), [one.replace(".", "/") for one in refused_modules]) or name in inner:
                refuse("module", name, f"to import {name}")
        elif event in changes:
            for path in arguments[: changes[event]]:
                check_path(path, True)
        elif event in reads:
            check_path(arguments[0] if arguments else None, False)
        elif event in processes:
            refuse("process", event, "to start another process")
        elif event in signals:
            refuse("signal", event, "to send signals")
        elif event.startswith("socket."):
            refuse("network", event, "to use the network")
        elif event.startswith("ctypes.") or event in inner_calls:
            refuse("native", event, f"to call {event}")
        elif event in limits:
            refuse("limit", event, "to change limits")

    if is_alone:
        import _posixsubprocess

        # Of this one alone Python tells no hook.
        _posixsubprocess.fork_exec = lambda *_: refuse("process", "fork_exec", "to start another process")  # type: ignore[assignment]
    sys.addaudithook(hook)


def _own_realpath() -> Callable[[Any], Any]:
    """`os.path.realpath` of a copy of its module, which a submission that changes `os` leaves alone."""
    import importlib.util
    import posixpath

    spec = importlib.util.spec_from_file_location("_own_posixpath", posixpath.__file__)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.os = SimpleNamespace(**vars(os))  # type: ignore[attr-defined]
    found: Callable[[Any], Any] = module.realpath
    return found
