"""An interpreter for the many runs that tests let make start: one process imports torch, then forks for each of them.

A run of two steps takes 0.1 s; to import torch takes 3 s of a core, and 1 s to tear it down again in a fork, which has
to copy all that it touches: forks end without. The stand-in is called as Python is. It hands the scripts that need
torch to the process that has it, with its arguments, environment, folder, open files and the largest size of a file
(ulimit -f), passes signals on to the fork and ends as that does. Anything else it leaves to Python itself.

    python = forking.interpreter(Path("/tmp/x"))  # the stand-in, a file; the process that forks ends with this one
"""
import array
import atexit
import contextlib
import gc
import json
import os
import resource
import runpy
import select
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NEED_TORCH = ("train.py", "experiments/report.py", "experiments/bench.py")

STAND_IN = r"""#!{python} -IS
import array, json, os, resource, signal, socket, sys

if sys.argv[1:2] == [] or sys.argv[1] not in {scripts!r}:
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
server = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
server.connect({address!r})
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: server.send(str(number).encode()))
os.umask(mask := os.umask(0))
files = [int(name) for name in os.listdir("/proc/self/fd")]
files = [file for file in files if file != server.fileno() and os.path.exists("/proc/self/fd/%d" % file)]
largest = resource.getrlimit(resource.RLIMIT_FSIZE)
job = json.dumps([sys.argv[1:], dict(os.environ), os.getcwd(), mask, largest, files]).encode()
server.sendmsg([job], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))])
code = int(server.recv(99))
if code < 0:
    signal.signal(-code, signal.SIG_DFL)
    os.kill(os.getpid(), -code)
sys.exit(code)
"""


def interpreter(folder):
    """Starts the process that forks, and returns the stand-in, a file that it writes into a folder."""
    address, script = folder / "socket", folder / "python"
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listener:
        listener.bind(str(address))
        listener.listen(100)
        words = [sys.executable, __file__, str(listener.fileno()), str(os.getpid())]
        subprocess.Popen(words, stdin=subprocess.DEVNULL, start_new_session=True, pass_fds=[listener.fileno()])
    scripts = (*NEED_TORCH, *(str(ROOT / name) for name in NEED_TORCH))
    script.write_text(STAND_IN.format(python=sys.executable, scripts=scripts, address=str(address)))
    script.chmod(0o755)
    return script


def serve(listener, parent):
    """Forks for each caller, until the process `parent` has ended. In a fork it returns the command line, a list.

    listener: a socket, as the number of its file.
    """
    listener, parent = socket.socket(fileno=listener), os.pidfd_open(parent)
    callers, ends = {}, {}  # {caller: process}, {the file that tells of a process's end: (process, caller)}
    while True:
        ready, _, _ = select.select([listener, parent, *callers, *ends], [], [])
        if parent in ready:
            for process in callers.values():
                os.kill(process, signal.SIGKILL)
            sys.exit()
        for file in ready:
            if file is listener:
                caller, _ = listener.accept()
                message, control, _, _ = caller.recvmsg(1 << 20, socket.CMSG_SPACE(4 * 250))
                files = array.array("i", b"".join(content for _, _, content in control))
                process = os.fork()
                if process == 0:
                    for other in (listener, caller, *callers):
                        other.close()
                    for other in (parent, *ends):
                        os.close(other)
                    return become(json.loads(message), files)
                for theirs in files:
                    os.close(theirs)
                callers[caller] = process
                ends[os.pidfd_open(process)] = process, caller
            elif file in ends:
                process, caller = ends.pop(file)
                os.close(file)
                code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
                if callers.pop(caller, None):
                    with caller, contextlib.suppress(OSError):  # it was killed meanwhile
                        caller.send(str(code).encode())
            elif file in callers:
                number = b""
                with contextlib.suppress(OSError):
                    number = file.recv(99)
                os.kill(callers[file], int(number or signal.SIGKILL))
                if not number:  # the caller has been killed
                    del callers[file]
                    file.close()


def become(job, files):
    """Gives this process the caller's environment, folder, umask, limit and open files. Returns its command line."""
    words, environment, folder, mask, largest, numbers = job
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.umask(mask)
    resource.setrlimit(resource.RLIMIT_FSIZE, largest)
    highest = max([*numbers, *files]) + 1
    moved = [(number, os.dup2(file, highest + place)) for place, (number, file) in enumerate(zip(numbers, files))]
    for file in files:
        os.close(file)
    for number, file in moved:
        os.dup2(file, number)
        os.close(file)
    return words


def run(script):
    """Runs a script as Python does. Returns the exit code."""
    try:
        runpy.run_path(script, run_name="__main__")
    except SystemExit as e:
        if e.code is None or isinstance(e.code, int):
            return e.code or 0
        print(e.code, file=sys.stderr)
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    return 0


def end(code):
    """Ends this process as Python does, but for freeing each object."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            code = code or 120  # what Python says of a stream that cannot be written
    os._exit(code)


if __name__ == "__main__":
    import matplotlib.pyplot  # noqa: F401
    import PIL.Image  # noqa: F401
    import torch

    torch.set_num_threads(1)
    gc.freeze()  # a fork need not look through, and so copy, what it has from here
    sys.argv = serve(*map(int, sys.argv[1:]))
    sys.path[0] = str(Path(sys.argv[0]).resolve().parent)
    end(run(sys.argv[0]))
