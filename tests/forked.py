"""Commands that are forked from a process which has loaded everything.

A start of `charlm train` takes 0.5 s so, and 3 s as a process of its own, most of them PyTorch's.

`python tests/forked.py SOCKET MODULE ...` imports modules, then serves requests. A request names
a command, its directory, the environment of one or several processes, and their stdin, stdout and
stderr. Processes of one request run together; when one fails, the others are ended, as torchrun
does. Exit status and output are those of the command; only its start is not tested.
"""

import atexit
import contextlib
import gc
import importlib
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import traceback
import warnings

IS_POSSIBLE = sys.platform == "linux"
LENGTH_BYTES = 4


class ForkServer:
    """A process that forks commands; it starts with the first request."""

    def __init__(self, modules):
        self._modules, self._process, self._socket = modules, None, None
        self._environment = {}

    def serves(self, environment):
        """Return whether a fork would see the environment as a new process does.

        Python and libraries read variables when they are loaded, so that all but one must be the
        same.
        """
        self._start()
        ours, theirs = (
            {name: value for name, value in variables.items() if name not in CHANGING}
            for variables in (self._environment, environment)
        )
        return ours == theirs

    def run(self, command, environments, *, cwd, stdin=b"", timeout=120):
        """Run a command once for each environment, all at the same time.

        Returns a `CompletedProcess` with the status of the first that failed and the output of all.
        `command` is ["charlm", ...] or [a file of Python, ...]; `stdin` is bytes or a file.
        """
        self._start()
        with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
            reading, writer = pipe_of(stdin) if isinstance(stdin, bytes) else (stdin.fileno(), None)
            request = {"command": list(map(str, command)), "cwd": str(cwd)}
            files = [reading, stdout.fileno(), stderr.fileno()]
            send(self._socket, {**request, "environments": environments}, files)
            if writer is not None:
                os.close(reading)
                writer.start()
            self._socket.settimeout(timeout)
            try:
                statuses = receive(self._socket)[0]
            except TimeoutError:
                self.stop()
                raise subprocess.TimeoutExpired(command, timeout) from None
            finally:
                if writer is not None:
                    writer.join()
            output = []
            for file in (stdout, stderr):
                file.seek(0)
                output.append(file.read())
        status = next(filter(None, statuses), 0)
        return subprocess.CompletedProcess(command, status, *output)

    def stop(self):
        """End the server and whatever it has forked."""
        if self._process is not None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._socket.close()
            self._process = None

    def _start(self):
        if self._process is not None:
            return
        self._socket, theirs = socket.socketpair()
        self._environment = {**os.environ, **ALWAYS}
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno()), *self._modules],
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,
            )


# Variables that do not matter to a fork: charlm reads the first at each start, pytest sets the
# second, and loading PyTorch sets the others, in the process of the tests, too.
CHANGING = {
    "CHARLM_MODEL",
    "PYTEST_CURRENT_TEST",
    "GOMP_SPINCOUNT",
    "TORCHINDUCTOR_CACHE_DIR",
}
ALWAYS = {"COLUMNS": "100"}
LIGHT = [
    "charlm.cli",
    "charlm.cli.eval.figures",
    "charlm.cli.generate.printing",
    "charlm.corpus.reading",
    "charlm.display",
    "charlm.inference.model",
    "charlm.inference.scoring",
    "numpy.ma",
    "numpy.random",
]
# DistributedDataParallel loads the last one.
WITH_TORCH = [*LIGHT, "charlm.training.loop", "charlm.training.distributed", "torch._dynamo"]


def send(connection, message, files=()):
    data = json.dumps(message).encode()
    socket.send_fds(connection, [len(data).to_bytes(LENGTH_BYTES, "little")], files)
    connection.sendall(data)


def receive(connection):
    """Return a message and the files that came with it; None at the end."""
    length, files, _, _ = socket.recv_fds(connection, LENGTH_BYTES, 3)
    if not length:
        return None, files
    size, data = int.from_bytes(length, "little"), b""
    while len(data) < size:
        data += connection.recv(size - len(data))
    return json.loads(data), files


def pipe_of(data):
    """Return the end of a pipe from which data can be read, and the thread that writes it."""
    reading, writing = os.pipe()
    return reading, threading.Thread(target=write_all, args=(writing, data))


def write_all(descriptor, data):
    """Write to a pipe, which the reader may have closed."""
    with contextlib.suppress(BrokenPipeError), open(descriptor, "wb") as pipe:
        pipe.write(data)


def serve(connection):
    """Serve requests until there are no more; return in each forked process what it is to run."""
    while True:
        request, files = receive(connection)
        if request is None:
            return None
        running, statuses = set(), []  # in the order in which they end
        for environment in request["environments"]:
            child = os.fork()
            if child == 0:
                connection.close()
                become(request["cwd"], environment, files)
                return request["command"]
            running.add(child)
        for file in files:
            os.close(file)
        while running:
            child, status = os.wait()
            running.remove(child)
            statuses.append(os.waitstatus_to_exitcode(status))
            if status:
                for other in running:
                    os.kill(other, signal.SIGTERM)
        send(connection, statuses)


def become(cwd, environment, files):
    """Take directory, environment and standard streams of a command."""
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    if "PYTHONWARNINGS" in environment:
        sys.warnoptions.append(environment["PYTHONWARNINGS"])
        warnings.simplefilter(environment["PYTHONWARNINGS"])


def main():
    connection = socket.socket(fileno=int(sys.argv[1]))
    for module in sys.argv[2:]:
        importlib.import_module(module)
    gc.freeze()
    command = serve(connection)
    if command is not None:
        leave(run(command))


def run(command):
    """Run a command in this process; return its exit status as Python works it out."""
    sys.argv = command
    try:
        if command[0] == "charlm":
            importlib.import_module("charlm.__main__").main()
        else:
            runpy.run_path(command[0], run_name="__main__")
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        print(end.code, file=sys.stderr)
        return 1
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def leave(status):
    """End as Python does, but leave the memory to the system: to tidy it up takes a second."""
    threading._shutdown()
    atexit._run_exitfuncs()
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        status = 120
    sys.stderr.flush()
    os._exit(status)


if __name__ == "__main__":
    main()
