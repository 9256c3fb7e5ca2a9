"""The service as a process of its own, and a client that shows what came back."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx

COMMAND = [sys.executable, "-m", "d2l_autorec", "serve"]


class Service:
    """A running service; its standard error goes to a file."""

    def __init__(self, folder, *options):
        self.log_file = tempfile.TemporaryFile()  # noqa: SIM115
        self.process = subprocess.Popen(
            [*COMMAND, "--model", str(folder), *map(str, options)],
            stdout=subprocess.PIPE,
            stderr=self.log_file,
            text=True,
            env={**os.environ, "OMP_NUM_THREADS": "2"},
        )
        line = self.process.stdout.readline()
        assert "http://" in line, self.log()
        self.host, _, port = line.split("http://")[1].split("/")[0].rpartition(":")
        self.port = int(port)
        self.client = httpx.Client(base_url=f"http://{self.host}:{port}", trust_env=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.client.close()
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self.log_file.close()

    def get(self, path, **query):
        return self.client.get(path, params=query)

    def post(self, path, **content):
        return self.client.post(path, json=content)

    def digest(self):
        return self.get("/health").json()["model"]

    def log(self):
        self.log_file.seek(0)
        return self.log_file.read().decode()

    def end(self, number=signal.SIGTERM):
        """Send a signal; return the exit code."""
        self.process.send_signal(number)
        return self.process.wait(20)


def wait_until(true, seconds=20.0):
    """Wait for something that happens soon."""
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def listed_digest(folder):
    """Return the digest that a model folder names itself."""
    return json.loads((Path(folder) / "model.json").read_text())["digest"]
