"""The wheel and the sdist, away from any clone, and the notebooks opened alone: `make dist-check`.

Builds both from a clean clone of HEAD and checks their metadata. Then, on a bare Debian 13, in an
environment such as hosted notebooks have (NumPy, pandas, Matplotlib and Jupyter of today), runs
three lessons beside the wheel and nothing else; their first cells install all. Every command is
then asked for its help, `doctor` and `reproduce` run, and the sdist's tests of the chapter pass.
Needs root. Give it the Python that has uv.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

from roots import HOME, TOP, Root, bare_root, cache, require_root

# without MXNet, with it, and the last
LESSONS = ("01-ratings", "04-autorec", "10-your-own")
HOSTED = "pip numpy pandas matplotlib scipy ipykernel nbclient"
IN_SDIST = (
    "tests/chapter",
    "notebooks/04-autorec.ipynb",
    "docs/fidelity.md",
    "results/study/runs.csv",
    "examples/serve_onnx.py",
    "requirements.lock",
    "Makefile",
    "Dockerfile",
    "LICENSE",
)
# Runs a notebook and says how long its first cell took; an error in a cell ends it.
RUN_NOTEBOOK = """\
import sys, nbclient, nbformat
from datetime import datetime
notebook = nbformat.read(sys.argv[1], 4)
nbclient.NotebookClient(notebook, timeout=600, kernel_name="python3").execute()
times = next(c for c in notebook.cells if c.cell_type == "code").metadata["execution"]
begun, ended = (
    datetime.fromisoformat(times[name].replace("Z", "+00:00"))
    for name in ("iopub.execute_input", "shell.execute_reply")
)
print(f"{sys.argv[1]}: first cell {(ended - begun).total_seconds():.0f} s, all cells run")
"""
VERSIONS = """\
import importlib.metadata as m, sys
print("Python", sys.version.split()[0], *(f"{n} {m.version(n)}" for n in sys.argv[1:]))
"""
COMMANDS = """\
import typer.main
from d2l_autorec.cli import app
print(*typer.main.get_command(app).commands)
"""


def build(clone: Path) -> tuple[Path, Path]:
    """Build a wheel and an sdist, check what they say and hold, and return their paths."""
    subprocess.run(["git", "clone", "--quiet", TOP, clone], check=True)
    uv = [sys.executable, "-m", "uv"]
    subprocess.run([*uv, "build", "--quiet", "--out-dir", clone / "dist", clone], check=True)
    (wheel,), (sdist,) = (list((clone / "dist").glob(end)) for end in ("*.whl", "*.tar.gz"))
    check = ["tool", "run", "--quiet", "twine", "check", "--strict"]
    subprocess.run([*uv, *check, wheel, sdist], check=True)
    with tarfile.open(sdist) as packed:
        names = [name.partition("/")[2] for name in packed.getnames()]
    missing = [name for name in IN_SDIST if name not in names]
    if missing:
        sys.exit(f"The sdist lacks {', '.join(missing)}.")
    return wheel, sdist


def do(root: Root, command: str, folder: str = f"{HOME}/alone") -> str:
    """Run a command line in the root, and end with its output if it fails."""
    begun = time.monotonic()
    ran = root.run(command, folder=folder)
    if ran.returncode:
        sys.exit(f"{ran.stdout}\nFailed with exit code {ran.returncode}: {command}")
    print(f"{ran.stdout.rstrip()}\n({time.monotonic() - begun:.0f} s: {command})", flush=True)
    return ran.stdout


def main() -> None:
    """Build, install and run."""
    require_root()
    alone, python = f"{HOME}/alone", f"{HOME}/hosted/bin/python"
    with (
        tempfile.TemporaryDirectory() as name,
        bare_root("debian13", cache() / "downloads") as root,
    ):
        wheel, sdist = build(Path(name, "clone"))
        outside = root.folder / alone[1:]
        outside.mkdir()
        lessons = [Path(name, f"clone/notebooks/{lesson}.ipynb") for lesson in LESSONS]
        for file in (wheel, sdist, *lessons):
            shutil.copy(file, outside)
        (outside / "run_notebook.py").write_text(RUN_NOTEBOOK, encoding="utf-8")
        (outside / "versions.py").write_text(VERSIONS, encoding="utf-8")
        (outside / "commands.py").write_text(COMMANDS, encoding="utf-8")
        root.own(alone)
        do(root, "python3 -m venv ~/hosted", HOME)
        do(root, f"{python} -m pip install --quiet {HOSTED}")
        before = do(root, f"{python} versions.py numpy pandas matplotlib")
        for lesson in LESSONS:
            do(root, f"{python} run_notebook.py {lesson}.ipynb")
        if do(root, f"{python} versions.py numpy pandas matplotlib") != before:
            sys.exit("The first cell changed what was there.")
        command = f"{HOME}/hosted/bin/d2l-autorec"
        words = do(root, f"{python} commands.py").strip()
        each = f"for word in {words}; do {command} $word --help > help.txt || exit 1; done"
        do(root, each)
        do(root, f"{command} doctor")
        do(root, f"{command} reproduce")
        do(root, f"{python} -m pip install --quiet '{sdist.name}[test]'")
        unpacked = f"{alone}/{sdist.name[: -len('.tar.gz')]}"
        do(root, f"tar -xf {sdist.name}")
        do(root, f"{python} -m pytest -q -p no:cacheprovider tests/chapter", unpacked)


if __name__ == "__main__":
    main()
