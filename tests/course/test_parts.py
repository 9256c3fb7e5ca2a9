"""Messages between the processes, and what the kernel is asked for."""

import io
import json
import struct

import numpy as np
import pytest

from d2l_autorec.course import kernel, wire


def bytes_of(header, body=b""):
    text = json.dumps(header).encode()
    return struct.pack(">I", len(text)) + text + body


def test_a_message_comes_back_as_it_was_sent():
    file = io.BytesIO()
    arrays = {
        "a": np.arange(6.0).reshape(2, 3),
        "b": np.float64(0.1),
        "c": np.arange(3, dtype="i8"),
    }
    wire.send(file, {"do": "x", "n": 3}, arrays)
    file.seek(0)
    fields, back = wire.receive(file)
    assert fields == {"do": "x", "n": 3}
    assert back["a"].tolist() == [[0, 1, 2], [3, 4, 5]] and back["b"] == 0.1
    assert back["c"].dtype == "float32"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00",
        b'{"passed": true}',
        struct.pack(">I", 2**32 - 1) + b"x",
        bytes_of([]),
        bytes_of({"fields": 1, "arrays": []}),
        bytes_of({"fields": {}, "arrays": [["a", "object", [1]]]}, b"x" * 8),
        bytes_of({"fields": {}, "arrays": [["a", "float32", [2**40]]]}),
        bytes_of({"fields": {}, "arrays": [["a", "float32", [-1]]]}),
        bytes_of({"fields": {}, "arrays": [["a", "float32", [2]]]}, b"x" * 7),
        bytes_of({"fields": {}, "arrays": [["a", "float32", ["x"]]]}),
        bytes_of({"fields": {}, "arrays": [["a", "float32", [1] * 9]]}, b"x" * 4),
        bytes_of(
            {"fields": {}, "arrays": [["a", "float32", [2**24]], ["b", "float32", [1]]]},
            b"x" * 2**26,
        ),
        struct.pack(">I", 3) + b"\xff\xff\xff",
        struct.pack(">I", 60000) + b"[" * 60000,
    ],
)
def test_what_is_no_message_is_refused(content):
    with pytest.raises(wire.BrokenChannel):
        wire.receive(io.BytesIO(content))


def test_a_hidden_folder_is_left_out_of_a_readable_one(tmp_path):
    hidden = tmp_path / "packages" / "ours"
    for path in (hidden / "chapter", tmp_path / "packages" / "numpy", tmp_path / "lib"):
        path.mkdir(parents=True)
    (tmp_path / "packages" / "ourselves").mkdir()
    (tmp_path / "packages64").symlink_to("packages")  # as lib64 in an environment
    (tmp_path / "packages" / "up").symlink_to("..")
    (tmp_path / "packages" / "same").symlink_to("ours")
    found = dict(kernel._without(str(tmp_path), str(hidden)))
    assert found == {
        str(tmp_path): False,  # listed, not read
        str(tmp_path / "lib"): True,
        str(tmp_path / "packages"): False,
        str(tmp_path / "packages" / "numpy"): True,
        str(tmp_path / "packages" / "ourselves"): True,
    }
    assert list(kernel._without(str(hidden / "chapter"), str(hidden))) == []


def run(program, number, argument=0, architecture=0xC000003E):
    """Interpret a seccomp filter."""
    data = struct.pack("IIQQ", number, architecture, 0, argument)
    at, value = 0, 0
    while True:
        code, then, otherwise, k = struct.unpack_from("HBBI", program, 8 * at)
        at += 1
        if code == 0x20:
            (value,) = struct.unpack_from("I", data, k)
        elif code == 0x06:
            return k
        else:
            tests = {0x15: value == k, 0x35: value >= k, 0x45: bool(value & k)}
            at += then if tests[code] else otherwise


def test_the_filter_refuses_what_it_should_and_nothing_else():
    allow, refuse, missing = 0x7FFF0000, 0x00050001, 0x00050026
    program = kernel.filter_calls(0, 0xC000003E, 77)
    for name, (number, _) in kernel._REFUSED.items():
        assert run(program, number) == refuse, name
    for number in (0, 1, 2, 9, 202, 257):  # read, write, open, mmap, futex, openat
        assert run(program, number) == allow
    assert run(program, 435) == missing  # clone3
    assert run(program, 56, 0x10000) == allow and run(program, 56, 17) == refuse  # clone
    for number in (62, 234):  # kill, tgkill
        assert run(program, number, 77) == allow and run(program, number, 78) == refuse
    assert run(program, 0x40000000 | 2) == refuse
    assert run(program, 0, architecture=0x40000003) == refuse
    arm = kernel.filter_calls(1, 0xC00000B7, 77)
    assert run(arm, 198, architecture=0xC00000B7) == refuse  # socket
    assert run(arm, 220, 17, 0xC00000B7) == refuse and run(arm, 63, 0, 0xC00000B7) == allow
