"""A file that is changed while it is read is refused: its digest would belong to other ratings."""

import hashlib
import os
import zipfile

import pytest

from d2l_autorec.data import delimited, formats
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.errors import InputError

ONE = "user,item,rating\n1,2,3\n2,2,4\n"
OTHER = "user,item,rating\n1,2,5\n2,3,4\n"
ODD = "user,item,rating\n1,2\n"


def rename_over(path, content):
    path.with_name("new").write_bytes(content)
    os.replace(path.with_name("new"), path)


def write_over(path, content):
    path.write_bytes(content)
    os.utime(path, ns=(1, 1))


def packed(path, text):
    if path.suffix != ".zip":
        return text.encode()
    made = path.with_name("made")
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("ratings.csv", text)
    content = made.read_bytes()
    made.unlink()
    return content


@pytest.mark.parametrize("change", [rename_over, write_over])
@pytest.mark.parametrize("name", ["a.csv", "a.zip"])
@pytest.mark.parametrize("text", [OTHER, ODD])
def test_between_the_digest_and_the_parsing(tmp_path, monkeypatch, change, name, text):
    path, honest = tmp_path / name, delimited._read_frame
    path.write_bytes(packed(path, ONE))

    def late(blob, form):
        change(path, packed(path, text))
        return honest(blob, form)

    monkeypatch.setattr(delimited, "_read_frame", late)
    with pytest.raises(InputError, match=r"was changed while it was read; read it again\."):
        read_ratings(path)


def test_after_the_parsing(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    path.write_text(ONE)
    monkeypatch.setattr(
        formats, "suspicions", lambda *given: rename_over(path, OTHER.encode()) or ()
    )
    with pytest.raises(InputError, match="was changed while it was read"):
        read_ratings(path)


def test_a_file_that_stays_has_its_own_digest(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text(ONE)
    assert read_ratings(path).digest == hashlib.sha256(ONE.encode()).hexdigest()
