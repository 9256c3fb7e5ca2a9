"""Damaged data and absent sources: one clear sentence each, and nothing half-written."""

import contextlib
import hashlib
import http.server
import os
import subprocess
import sys
import threading
import time
import zipfile

import pytest

from d2l_autorec.data import fetch, known, sources
from d2l_autorec.data.formats import read_ratings
from d2l_autorec.errors import InputError


@pytest.fixture
def u_data(ml100k):
    return (sources.cache_folder() / "ml-100k" / "u.data").read_bytes()


def refused(path, *fragments):
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(InputError) as caught:
        sources.load_ml100k(path, quiet=True)
    message = str(caught.value)
    assert "\n" not in message and path.name in message
    for fragment in fragments:
        assert fragment in message, message
    assert sorted(path.parent.rglob("*")) == before


def zipped(path, members):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize(
    "line, fragments",
    [
        (b"1\t2\tfive\t0", ("line 3", "five", "not a number")),
        (b"1\t2\t0\t0", ("line 3", "above zero")),
        (b"1\t2\t-1\t0", ("line 3", "above zero")),
        (b"1\t2\tnan\t0", ("line 3",)),
        (b"196\t242\t3\t881250949", ("line 3", "has rated item", "before")),
        (b"944\t2\t3\t0", ("line 3", "'944'", "943")),
        (b"1\t2", ("line 3", "fields")),
        (b"1\t2\t3\t" + b"9" * 2**20, ("line 3", "longer")),
        (b"1\t2\t3\t\xff", ("line 3", "UTF-8")),
        (b"1\t2\t3\0\t0", ("line 3", "zero byte")),
    ],
    ids=["letters", "zero", "negative", "nan", "twice", "id", "short", "long", "latin", "binary"],
)
def test_a_damaged_line_is_named(tmp_path, u_data, line, fragments):
    lines = u_data.split(b"\n")
    lines[2] = line
    (tmp_path / "u.data").write_bytes(b"\n".join(lines))
    refused(tmp_path / "u.data", *fragments)


def test_a_gap_in_the_ids(tmp_path, u_data):
    kept = [line for line in u_data.splitlines(True) if not line.startswith(b"405\t")]
    (tmp_path / "u.data").write_bytes(b"".join(kept))
    refused(tmp_path / "u.data", "no rating of user 405")


def test_a_wrong_digest_names_both(tmp_path, u_data):
    changed = u_data.replace(b"196\t242\t3\t", b"196\t242\t4\t", 1)
    (tmp_path / "u.data").write_bytes(changed)
    seen = hashlib.sha256(changed).hexdigest()
    refused(tmp_path / "u.data", known.DIGESTS["u.data"], seen)


def test_empty_missing_and_folder(tmp_path):
    (tmp_path / "u.data").touch()
    refused(tmp_path / "u.data", "empty")
    refused(tmp_path / "nothing", "does not exist")
    (tmp_path / "folder").mkdir()
    refused(tmp_path / "folder", "u.data")
    (tmp_path / "ml-100k" / "u.data").mkdir(parents=True)
    refused(tmp_path / "ml-100k")


def test_folder_and_zip_give_what_the_file_gives(tmp_path, u_data, ml100k):
    (tmp_path / "ml-100k").mkdir()
    (tmp_path / "ml-100k" / "u.data").write_bytes(u_data)
    path = zipped(tmp_path / "ml-100k.zip", {"ml-100k/u.data": u_data})
    for form in (path, tmp_path / "ml-100k", tmp_path / "ml-100k" / "u.data"):
        assert sources.load_ml100k(form).table.equals(ml100k.table)


def test_truncated_zip(tmp_path, u_data):
    path = zipped(tmp_path / "ml-100k.zip", {"ml-100k/u.data": u_data})
    path.write_bytes(path.read_bytes()[:-1000])
    refused(path, "damaged")


@pytest.mark.parametrize("name", ["../u.data", "/etc/u.data", "ml-100k/../../u.data", "C:u.data"])
def test_a_path_out_of_the_archive(tmp_path, u_data, name):
    path = zipped(tmp_path / "ml-100k.zip", {name: u_data})
    refused(path, "leads out of the archive")


def test_a_zip_bomb_is_refused_before_it_unpacks(tmp_path):
    path = zipped(tmp_path / "ml-100k.zip", {"ml-100k/u.data": b"0" * 2**25})
    refused(path, "times its packed size")


def test_a_read_only_cache(tmp_path, monkeypatch):
    (tmp_path / "cache").write_text("a file where the folder should be")
    monkeypatch.setenv("D2L_AUTOREC_DATA", str(tmp_path / "cache"))
    with pytest.raises(InputError, match=r"cache .* cannot be written .*--data"):
        sources.load_ml100k(quiet=True)
    assert [path.name for path in tmp_path.iterdir()] == ["cache"]


def unreachable(quiet):
    raise fetch.FetchError("no answer")


def test_all_sources_fail(tmp_path, monkeypatch):
    monkeypatch.setenv("D2L_AUTOREC_DATA", str(tmp_path))
    monkeypatch.setattr(fetch, "from_grouplens", unreachable)
    monkeypatch.setattr(fetch, "from_pypi", unreachable)
    with pytest.raises(InputError) as caught:
        sources.load_ml100k(quiet=True)
    message = str(caught.value)
    for fragment in ("cache", "GroupLens", "PyPI", "no answer", "--data ml-100k.zip"):
        assert fragment in message
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_fills_the_cache_where_only_the_wheel_answers(tmp_path, monkeypatch, ml100k, capsys):
    monkeypatch.setenv("D2L_AUTOREC_DATA", str(tmp_path))
    monkeypatch.setattr(fetch, "from_grouplens", unreachable)
    first = sources.load_ml100k()
    assert first.digest == ml100k.digest == known.DIGESTS["u.data"]
    assert "may not" in capsys.readouterr().err  # the licence, once
    monkeypatch.setattr(fetch, "from_pypi", unreachable)
    sources.load_ml100k()
    assert capsys.readouterr().err == ""
    files = {path.name for path in (tmp_path / "ml-100k").iterdir()}
    assert files == {"u.data", "ml-100k.item"}


def test_two_processes_fill_one_cache(tmp_path, monkeypatch, ml100k):
    code = "from d2l_autorec.data.sources import load_ml100k; print(load_ml100k().digest)"
    monkeypatch.setenv("D2L_AUTOREC_DATA", str(tmp_path))
    both = [
        subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert {process.communicate()[0].strip() for process in both} == {ml100k.digest}
    files = {path.name for path in (tmp_path / "ml-100k").iterdir()}
    assert files in ({"u.data", "ml-100k.item"}, {"u.data", "u.item"})


def test_a_damaged_cache_is_mended(tmp_path, monkeypatch, u_data, ml100k, capsys):
    (tmp_path / "ml-100k").mkdir()
    (tmp_path / "ml-100k" / "u.data").write_bytes(u_data[:-10])
    monkeypatch.setenv("D2L_AUTOREC_DATA", str(tmp_path))
    monkeypatch.setattr(fetch, "fetch_ml100k", lambda quiet: ({"u.data": u_data}, []))
    assert sources.load_ml100k().digest == ml100k.digest
    assert "damaged" in capsys.readouterr().err


def test_titles_years_and_genres(ml100k):
    first = ml100k.items.loc[0]
    assert first.tolist() == [1, "Toy Story", 1995, "Animation|Children's|Comedy"]
    assert len(ml100k.items) == 1682
    assert ml100k.items["title"].iloc[542] == "Misérables, Les"


def test_both_forms_of_the_titles_give_one_table(tmp_path):
    from d2l_autorec.data.blobs import file_blob
    from d2l_autorec.data.titles import GENRES, read_titles

    flags = "|".join("1" if genre in ("Drama", "Sci-Fi") else "0" for genre in GENRES)
    book = tmp_path / "u.item"
    book.write_bytes(f"7|Été, L' (1997)|01-Jan-1997||http://x|{flags}\n".encode("iso-8859-1"))
    wheel = tmp_path / "ml-100k.item"
    header = "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    wheel.write_text(f"{header}7\tÉté, L'\t1997\tDrama Sci-Fi\n", encoding="utf-8")
    tables = [read_titles(file_blob(path), [7]) for path in (book, wheel)]
    assert tables[0].equals(tables[1])
    assert tables[0].iloc[0].tolist() == [7, "Été, L'", 1997, "Drama|Sci-Fi"]


@pytest.mark.parametrize(
    "name, text",
    [
        ("a.csv", "user,item,rating,timestamp\nann,9,4.5,1\nbob,7,-1,2\nann,7,0,3\n"),
        ("b.tsv", "ann\t9\t4.5\t1\nbob\t7\t-1\t2\nann\t7\t0\t3\n"),
        ("ratings.dat", "ann::9::4.5::1\nbob::7::-1::2\nann::7::0::3\n"),
    ],
)
def test_other_ratings(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    ratings = read_ratings(tmp_path / name, allow_nonpositive=True)
    assert ratings.user_ids.tolist() == ["ann", "bob"] and ratings.item_ids.tolist() == [7, 9]
    assert ratings.table.to_numpy().tolist() == [[0, 1, 4.5, 1], [1, 0, -1, 2], [0, 0, 0, 3]]
    with pytest.raises(InputError, match="line"):
        read_ratings(tmp_path / name)


def test_ml_1m_zip(tmp_path):
    members = {
        "ml-1m/ratings.dat": "1::10::5::978300760\n2::30::3::978302109\n",
        "ml-1m/movies.dat": "10::Café (1995)::Drama\n".encode("iso-8859-1"),
    }
    ratings = read_ratings(zipped(tmp_path / "ml-1m.zip", members))
    assert ratings.name == "MovieLens 1M" and ratings.item_ids.tolist() == [10, 30]
    assert ratings.items.loc[0, "title"] == "Café" and ratings.items.loc[0, "year"] == 1995


def test_of_a_pair_rated_twice_the_last_is_kept_and_said(tmp_path):
    (tmp_path / "a.csv").write_text("user,item,rating\n1,1,5\n1,2,4\n1,1,2\n")
    with pytest.warns(UserWarning, match="line 4.*last rating was kept"):
        ratings = read_ratings(tmp_path / "a.csv")
    assert ratings.table["rating"].tolist() == [4, 2]


@contextlib.contextmanager
def serving(handler):
    """Run a server, and give its address."""
    handler.log_message = lambda *args: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@pytest.fixture
def trickle():
    """A server that sends what it has slowly; the headers too, if asked for ``/headers``."""
    left = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            length = "²" if self.path == "/odd" else "500"
            text = f"HTTP/1.0 200 OK\r\nContent-Length: {length}\r\n\r\n".encode("latin-1")
            if self.path == "/odd":
                self.wfile.write(text + b"content")
                return
            self.wfile.write(text if self.path == "/body" else b"")
            text = b"x" * 500 if self.path == "/body" else text
            with contextlib.suppress(OSError):
                for byte in text:
                    if left.wait(0.5):
                        return
                    self.wfile.write(bytes([byte]))

    with serving(Handler) as address:
        yield address
        left.set()


@pytest.mark.parametrize("slow", ["body", "headers"])
def test_a_slow_download_ends_at_its_limit(monkeypatch, trickle, slow):
    """Each byte comes within the time-out of one read; only the whole takes too long."""
    monkeypatch.setattr(fetch, "TOTAL_SECONDS", 2)
    with pytest.raises(fetch.FetchError, match="took longer than 2 s"):
        fetch._download(f"{trickle}/{slow}", lambda done, total: None)


def test_a_length_that_is_no_number(trickle):
    seen = []
    content = fetch._download(f"{trickle}/odd", lambda *reached: seen.append(reached))
    assert content == b"content"
    assert seen == [(7, None)]


def test_a_server_that_has_no_such_file_or_another(monkeypatch):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/other" else 404)
            self.end_headers()
            self.wfile.write(b"not a zip")

    with serving(Handler) as address:
        for path, reason in (("gone", "404"), ("other", known.GROUPLENS_SHA1)):
            monkeypatch.setattr(known, "GROUPLENS_URL", f"{address}/{path}")
            with pytest.raises(fetch.FetchError, match=reason):
                fetch.from_grouplens(quiet=True)
    with pytest.raises(fetch.FetchError, match="no answer"):  # nobody listens any more
        fetch.from_grouplens(quiet=True)


def test_an_index_that_cannot_be_reached_is_called_that(monkeypatch):
    for name in ("PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_NO_INDEX"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    with pytest.raises(fetch.FetchError, match=r"^The package index cannot be reached .*refused"):
        fetch.from_pypi(quiet=True)


@pytest.mark.parametrize("chosen", [None, "~no-such-user/data"])
def test_no_home_is_one_sentence(monkeypatch, chosen):
    monkeypatch.setattr("os.path.expanduser", lambda path: path)  # as without a home
    if chosen is None:
        monkeypatch.delenv("D2L_AUTOREC_DATA", raising=False)
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    else:
        monkeypatch.setenv("D2L_AUTOREC_DATA", chosen)
    with pytest.raises(InputError, match="no such home folder is known; set D2L_AUTOREC_DATA"):
        sources.cache_folder()


def test_a_killed_download_is_swept_after_an_hour(monkeypatch, tmp_path):
    monkeypatch.setenv("D2L_AUTOREC_DATA", str(tmp_path))
    folder = tmp_path / "ml-100k"
    folder.mkdir()
    for name, age in ((".u.data.0a1b2c3d", 7200), (".u.item.0a1b2c3d", 60)):
        (folder / name).write_text("x")
        os.utime(folder / name, (time.time() - age,) * 2)
    sources._check_writable(folder)
    assert [path.name for path in folder.iterdir()] == [".u.item.0a1b2c3d"]
