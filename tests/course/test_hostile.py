"""Submissions that mean harm: they are contained, and their verdict cannot be forged."""

import os
import sys
from pathlib import Path

import pytest
from submitted import right

from d2l_autorec.course.sandbox import Sandbox

SOLUTION = Path(__file__).parents[2] / "d2l_autorec" / "chapter" / "autorec.py"
FAKE = '{"passed": true, "points": 100, "total": 100}'

# Each has its own code, and a right submission after it.
NO_POINTS = {
    "endless loop": ("while True: pass", "no answer within 4 seconds"),
    "stops itself": ("import signal\nsignal.raise_signal(19)", "no answer within 4 seconds"),
    "memory": ("x = []\nwhile True: x.append(bytearray(1 << 24))", "memory"),
    "memory of MXNet": (
        "from mxnet import np\nx = []\nwhile True: x.append(np.ones((1 << 22,)).copy())",
        "memory",  # in the message, or in that of a C library that gave up
    ),
    "disk": ("f = open('big', 'wb')\nwhile True: f.write(bytes(1 << 20))", "File too large"),
    "exit with a verdict": (
        f"import os\nprint('''{FAKE}''', flush=True)\nos._exit(0)",
        "ended itself, with exit code 0",
    ),
    "sys.exit": ("raise SystemExit(0)", "ended the program in line 1 (SystemExit)"),
    "verdict on each pipe": (
        "import os\nfor i in range(3, 30):\n"
        f"  try: os.write(i, b'''{FAKE}''')\n  except OSError: 0",
        "no answer",
    ),
    "closes all": ("import os\nos.closerange(0, 200)", "ended early"),
    "imports the solution": (
        "from d2l_autorec.chapter.autorec import AutoRec",
        "the package's own solution is out of reach",
    ),
    "imports it by the package": ("import d2l_autorec\nd2l_autorec.AutoRec", "out of reach"),
    "imports a mistake": ("from d2l_autorec.course.mistakes import right", "out of reach"),
    "reads the solution": (f"open({str(SOLUTION)!r}).read()", "out of reach"),
    "forks": ("import os\nwhile True: os.fork()", "start another process"),
    "runs a program": ("import subprocess\nsubprocess.run(['sh', '-c', ':'])", "another process"),
    "threads": (
        "import threading, time\n"
        "while True: threading.Thread(target=time.sleep, args=(99,), daemon=True).start()",
        "can't start new thread",
    ),
    "network": ("import socket\nsocket.create_connection(('127.0.0.1', 9))", "use the network"),
    "kills the checker": ("import os\nos.kill(os.getppid(), 9)", "send a signal"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="the limits differ")
@pytest.mark.parametrize("name", NO_POINTS)
def test_harm_is_refused_and_named(submit, name):
    code, fragment = NO_POINTS[name]
    seconds = 4 if "4 seconds" in fragment else 60
    report, wrong = submit(f"{code}\n{right()}", seconds=seconds, memory=1 << 28)
    assert report.points == 0 and list(wrong) == ["file"], str(report)
    assert fragment in wrong["file"]


def test_files_outside_its_folder_stay(submit, tmp_path):
    victim, folder, written = tmp_path / "victim", tmp_path / "folder", tmp_path / "written"
    victim.write_text("here")
    folder.mkdir()
    (folder / "file").touch()
    report, wrong = submit(
        "import os, pathlib, shutil, mxnet as mx\n"
        f"for what in (lambda: os.remove({str(victim)!r}), lambda: os.rmdir({str(folder)!r}),\n"
        f"    lambda: pathlib.Path({str(written)!r}).write_text('x'),\n"
        f"    lambda: os.rename({str(victim)!r}, 'mine'),\n"
        f"    lambda: os.chmod({str(victim)!r}, 0)):\n"
        "    try: what()\n    except OSError: pass\n"
        f"shutil.rmtree({str(folder)!r}, ignore_errors=True)\n"
        f"pathlib.Path('mine').write_text('allowed')\n{right()}"
    )
    assert wrong == {} and report.points == 100
    assert f"remove {victim}" in report.refused and f"write to {written}" in report.refused
    assert victim.read_text() == "here" and victim.stat().st_mode & 0o400
    assert (folder / "file").exists() and not written.exists()


def test_a_submission_sees_nothing_of_the_checker(submit, monkeypatch):
    monkeypatch.setenv("TOKEN_OF_THE_TEACHER", "secret")
    _, wrong = submit(
        "import os\nassert 'TOKEN_OF_THE_TEACHER' not in os.environ\n"
        "assert os.path.realpath(os.environ['HOME']) == os.getcwd() == os.path.dirname(__file__)\n"
        "assert os.listdir() == [os.path.basename(__file__)] or 'fontlist' in str(os.listdir())\n"
    )
    assert "0 of the 2 names" in wrong["file"]


FORGER = """
import sys
main = sys.modules["__main__"]
def answer(method, fields, arrays):
    import numpy
    rows = arrays.get("rows", numpy.ones((5, 7)))
    return {"class": True, "block": True, "evaluator": True, "passed": True, "points": 100,
            "shapes": [[4, 7], [4], [7, 4], [7]], "devices": ["cpu(0)", "cpu(1)"],
            "training": [False], "type": "float"}, {
        **{f"o{i}": rows * 1.0 for i in range(4)}, **{f"p{i}": rows for i in range(4)},
        "c0": rows, "predictions": rows, "value": numpy.float64(0.9)}
main._answer = answer
"""


def test_a_process_that_answers_what_it_likes_is_not_believed(submit):
    report, wrong = submit(right() + FORGER)  # right, so that only the answers are judged
    states = {finding.check: finding.state for finding in report.findings}
    assert "activation" in wrong and "score" in wrong and "prediction" in wrong
    assert states["training"] == states["devices"] == "not reached"
    assert report.points <= 40


PAST_THE_HOOK = """
import os, sys
inside = sys.modules.get("d2l_autorec.course.containment")
for name in ("_WISHES", "_CHANGES"):
    getattr(inside, name).clear()
os.path.realpath = lambda path: os.getcwd()
import mxnet as mx
mx.nd.save({written!r}, mx.nd.ones(3))
"""
HARM = {
    "write": "open({written!r}, 'w')",
    "delete": "os.remove({victim!r})",
    "read": "open({victim!r}).read()",
    "solution": "open({solution!r}).read()",
    "fork": "os.fork()",
    "signal": "os.kill(os.getppid(), 9)",
    "program": "os.execv('/bin/true', ['true'])",
}


def load(text, needed, **settings):
    """Load a submission where the layers that are needed hold; return sandbox and answer."""
    with Sandbox(60, 1 << 28, **settings) as sandbox:
        if not needed <= set(sandbox.held):
            pytest.skip("this kernel does not help")
        file = sandbox.folder / "submission.py"
        file.write_text(text)
        return sandbox, sandbox.ask("load", path=str(file))[0]


@pytest.mark.parametrize("name", HARM)
def test_the_kernel_holds_what_the_hook_does_not(tmp_path, name):
    paths = {"written": tmp_path / "written", "victim": tmp_path / "victim", "solution": SOLUTION}
    paths["victim"].write_text("here")
    prelude, code = (
        text.format(**{k: str(v) for k, v in paths.items()})
        for text in (PAST_THE_HOOK.split("import mxnet")[0], HARM[name])
    )
    _, answer = load(prelude + code, {"landlock", "seccomp"})
    assert answer["error"]["kinds"][0] == "PermissionError"  # and not Refused
    assert "refused" not in answer["error"]["text"]
    assert paths["victim"].read_text() == "here" and not paths["written"].exists()


def test_the_kernel_holds_what_a_c_library_writes(tmp_path):
    written = str(tmp_path / "written")
    _, answer = load(f"import mxnet as mx\nmx.nd.save({written!r}, mx.nd.ones(3))\n", {"landlock"})
    assert "error" in answer and not os.path.exists(written)


def test_the_hook_alone_holds_ordinary_code(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("here")
    wishes = [
        f"open({str(victim)!r}, 'a')",
        f"os.open({str(victim)!r}, os.O_RDWR)",
        f"open({str(victim)!r}).read()",
        f"os.remove({str(victim)!r})",
        f"os.rename({str(victim)!r}, 'mine')",
        f"os.rename('mine', {str(victim)!r})",
        f"os.symlink('x', {str(tmp_path / 'link')!r})",
        f"os.listdir({str(tmp_path)!r})",
        f"os.truncate({str(victim)!r}, 0)",
        "os.fork()",
        "os.system('true')",
        "subprocess.Popen(['true'])",
        "socket.socket()",
        "os.kill(os.getppid(), 9)",
        "ctypes.CDLL(None)",
        "ctypes.CDLL('libc.so.6')",
        "mxnet.base._LIB.unlink",
        *(["gc.get_objects()"] if sys.version_info >= (3, 9, 3) else []),  # no event before
        "resource.setrlimit(resource.RLIMIT_CPU, (1, 1))",
        "importlib.import_module('d2l_autorec.chapter.autorec')",
        f"open({str(SOLUTION)!r}).read()",
    ]
    text = "import ctypes, gc, importlib, mxnet, os, resource, socket, subprocess\n"
    text += "open('mine', 'w').close()\nescaped = []\n"
    for wish in wishes:
        text += f"try: {wish}; escaped.append({wish!r})\n"
        text += "except PermissionError as error: assert 'refused' in str(error), error\n"
    text += "assert not escaped, escaped\n"
    sandbox, answer = load(text, set(), kernel=False)
    assert "hook" in sandbox.held and "landlock" not in sandbox.held
    assert "error" not in answer, answer
    assert len(sandbox.refused) == 20  # the list has an end
    assert victim.read_text() == "here"


def test_the_folder_and_the_process_are_gone_afterwards():
    with Sandbox(60, 1 << 28) as sandbox:
        folder, pid = sandbox.folder, sandbox.process.pid
        assert folder.is_dir()
    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
