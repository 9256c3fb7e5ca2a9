"""Arrays from npz files are read only where they are what was expected, and no larger."""

import io
import struct
import zipfile

import numpy as np
import pytest

from d2l_autorec.data.npz import read_npz_of
from d2l_autorec.errors import InputError

FORMS = {"a": ((3,), "<f4")}
ARRAY = np.float32([1, 2, 3])


def written(path, header_size):
    """Write an npz whose one array has a header of this many bytes, blanks included."""
    said = b"{'descr': '<f4', 'fortran_order': False, 'shape': (3,), }"
    header = said.ljust(header_size - 11) + b"\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + ARRAY.tobytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", content)
    return path


@pytest.mark.parametrize("header_size, is_read", [(128, True), (1024, True), (1025, False)])
def test_a_header_may_be_as_long_as_numpy_s_and_some_more(tmp_path, header_size, is_read):
    with written(tmp_path / "a.npz", header_size).open("rb") as file:
        if is_read:
            np.testing.assert_array_equal(read_npz_of(file, FORMS, "copy it again")["a"], ARRAY)
        else:
            with pytest.raises(InputError, match=r"array, a \(.*header says\); copy it again"):
                read_npz_of(file, FORMS, "copy it again")


@pytest.mark.parametrize(
    "array", [ARRAY[:2], ARRAY.astype("f8"), ARRAY[None], ARRAY.astype(">f4")]
)
def test_other_shapes_and_types_are_refused(tmp_path, array):
    buffer = io.BytesIO()
    np.savez(buffer, a=array)
    path = tmp_path / "a.npz"
    path.write_bytes(buffer.getvalue())
    with path.open("rb") as file, pytest.raises(InputError, match="a is not the 3 array expected"):
        read_npz_of(file, FORMS, "copy it again")
