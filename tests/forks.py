"""A Python that has imported what takes long, and nothing of ours: each command runs in a fork of it."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

SERVER = """
import gc, json, os, runpy, sys, traceback
import hypothesis.extra.numpy, matplotlib.pyplot, ml_dtypes, pytest, safetensors.torch, scipy.optimize, scipy.stats
import torch, torchvision, tqdm, typer

gc.freeze()  # a fork needn't look through all that again
for line in sys.stdin:
    root, folder, module, arguments, environment, logs = json.loads(line)
    child = os.fork()
    if child == 0:
        os.chdir(folder)
        os.environ.update(environment)
        for number in (1, 2):
            os.dup2(os.open(logs[number - 1], os.O_CREAT | os.O_WRONLY | os.O_APPEND), number)
        sys.path.insert(0, root)
        sys.argv[1:] = arguments
        status = 1
        try:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
            status = 0
        except SystemExit as end:
            status = end.code or 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextmanager
def warm_python():
    """A function that runs `python -m module arguments` in a folder, with the modules of a root first."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-B", "-W", "ignore::DeprecationWarning", "-c", SERVER]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with (
        TemporaryDirectory() as logs,
        subprocess.Popen(command, env=environment, text=True, bufsize=1, **pipes) as server,
    ):

        def run(root, folder, module, *arguments, **environment) -> subprocess.CompletedProcess:
            said = [Path(logs) / name for name in ("out", "err")]
            for path in said:
                path.unlink(missing_ok=True)
            order = [str(root), str(folder), module, arguments, environment, list(map(str, said))]
            server.stdin.write(json.dumps(order) + "\n")
            status = int(server.stdout.readline())
            return subprocess.CompletedProcess(arguments, status, *(path.read_text("utf-8") for path in said))

        yield run
        server.stdin.close()
