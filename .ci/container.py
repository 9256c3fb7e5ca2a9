"""Run the Dockerfile's own lines where there is no container engine: `make container-check`.

A bare Debian root stands for the base image; COPY, RUN, ENV, USER and WORKDIR act on it, then
ENTRYPOINT and CMD run. Needs root. It ends with what this does not show.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from roots import TOP, UID, USER, Root, bare_root, require_root

COMMANDS = (
    "train --save --out runs/mine",
    "recommend --model runs/mine --user 196 -n 3",
    "export --model runs/mine --onnx autorec.onnx",
)
PORT = 18765  # of this machine, whose network the root shares
SERVE = f"serve --host 0.0.0.0 --port {PORT} --model runs/mine"
# Stands for a client: it asks until it is answered, for a minute.
CLIENT = f"""python -c '
import time, urllib.request
for _ in range(120):
    try:
        with urllib.request.urlopen("http://127.0.0.1:{PORT}/recommend?user=196&n=1") as answer:
            raise SystemExit(print(answer.read().decode()))
    except OSError:
        time.sleep(0.5)
raise SystemExit(1)
'"""
KNOWN = {"FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR", "VOLUME", "ENTRYPOINT", "CMD"}
NOT_SHOWN = """\
Not shown by this: the base image itself (its Python is built from source, Debian's stands for it),
arm64, layers and their size, .dockerignore (a clone of HEAD is the context), and that VOLUME keeps
/data from one container to the next."""


def instructions(text: str) -> list[tuple[str, str]]:
    """Return a Dockerfile's instructions, each with its argument on one line."""
    text = re.sub(r"\\\n\s*", "", re.sub(r"^\s*#.*\n", "", text, flags=re.MULTILINE))
    lines = (line.split(None, 1) for line in text.splitlines() if line.strip())
    return [(word, argument.strip()) for word, argument in lines]


def run(root: Root, command: str, state: dict[str, str], env: dict[str, str]) -> None:
    """Run a command line as the container's state has it, and show what it says."""
    begun = time.monotonic()
    ran = root.run(command, folder=state["WORKDIR"], user=state["USER"], env=env)
    print(f"{ran.stdout}({time.monotonic() - begun:.0f} s)", flush=True)
    if ran.returncode:
        sys.exit(f"Exit code {ran.returncode}.")


def main() -> None:
    """Build and start."""
    require_root()
    state = {"USER": "0:0", "WORKDIR": "/"}
    env: dict[str, str] = {}
    start: dict[str, list[str]] = {}
    with bare_root("debian13-slim") as root, tempfile.TemporaryDirectory() as context:
        subprocess.run(["git", "clone", "--quiet", TOP, context], check=True)
        root.run("python3 -m venv /usr/local", user="0:0")  # as in the image: python and pip there
        text = Path(context, "Dockerfile").read_text(encoding="utf-8")
        for word, argument in instructions(text):
            print(f"{word} {argument}", flush=True)
            if word == "COPY":
                source, target = argument.split()
                shutil.copytree(Path(context, source), root.folder / target[1:])
            elif word == "RUN":
                run(root, argument, state, env)
            elif word == "ENV":
                env.update(pair.split("=", 1) for pair in shlex.split(argument))
            elif word == "USER":
                state[word] = {USER: f"{UID}:{UID}"}[argument]
            elif word == "WORKDIR":
                state[word] = argument
            elif word in ("ENTRYPOINT", "CMD"):
                start[word] = json.loads(argument)
            elif word not in KNOWN:
                sys.exit(f"This check does not know {word}.")
        for words in (start["CMD"], *map(str.split, COMMANDS)):
            command = shlex.join(start["ENTRYPOINT"] + words)
            print(f"$ {command}", flush=True)
            run(root, command, state, env)
        command = shlex.join(start["ENTRYPOINT"] + SERVE.split())
        print(f"$ {command}", flush=True)
        run(root, f"{command} & {CLIENT} && kill $! && wait $!", state, env)
    print(NOT_SHOWN)


if __name__ == "__main__":
    main()
