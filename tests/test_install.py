"""One list of dependencies, read by pip, make and conda alike, and one lock for every Python."""

import configparser
import hashlib
import os
import re
import sys
import zipfile
from pathlib import Path

import pytest
import yaml
from processes import python

from d2l_autorec import packages, stack
from d2l_autorec.errors import InputError

TOP = Path(__file__).parents[1]
LOCK = TOP / "requirements.lock"
PYTHONS = ("3.9.0", "3.10.0", "3.11.0", "3.12.0", "3.13.0", "3.14.0")
DEBIAN_11 = "x86_64-manylinux_2_31"
ELSEWHERE = (
    "aarch64-manylinux_2_31",
    "x86_64-apple-darwin",
    "aarch64-apple-darwin",
    "x86_64-pc-windows-msvc",
)


def setup():
    parser = configparser.ConfigParser()
    parser.read(TOP / "setup.cfg", encoding="utf-8")
    return parser


def names(text):
    lines = (line.strip() for line in text.splitlines())
    found = {re.split(r"[=<>!~\[ ;]", line)[0].lower() for line in lines if line}
    return {name for name in found if name[0] not in "#%"}


def test_conda_reads_the_same_files():
    environment = yaml.safe_load((TOP / "environment.yml").read_text(encoding="utf-8"))
    assert environment["name"] == setup()["metadata"]["name"]
    *conda, section = environment["dependencies"]
    assert conda == ["python=3.13", "pip"]
    # everything else comes through pip, from the two files and not from a list of its own
    assert section["pip"] == ["-c requirements.lock", "-e .[dev]"]
    assert "dev" in setup()["options.extras_require"]


def test_lock_covers_what_is_asked_for_and_names_no_place():
    text = LOCK.read_text(encoding="utf-8")
    asked = names(setup()["options"]["install_requires"])
    extras = ("notebook", "onnx", "safetensors", "parquet", "tensorboard", "test", "dev", "docs")
    for extra in (*extras, "jupyter", "grading"):
        asked |= names(setup()["options.extras_require"][extra])
    assert {"numpy", "onnxruntime", "hypothesis", "ruff", "uv"} <= asked <= names(text)
    pin = r"[a-z0-9.-]+==[\w.]+( ; [\w .<>=!'()*-]+)?"
    assert [line for line in text.splitlines() if not re.fullmatch(pin, line)] == []


def test_no_resolver_meets_the_metadata_of_mxnet_and_d2l():
    options = setup()["options"]
    assert options["python_requires"] == ">=3.9"
    for text in (options["install_requires"], LOCK.read_text(encoding="utf-8")):
        assert {"numpy", "pandas"} <= names(text) and not {"mxnet", "d2l"} & names(text)


@pytest.mark.index
@pytest.mark.parametrize(
    "version, platform",
    [(version, DEBIAN_11) for version in PYTHONS] + [("3.12.0", name) for name in ELSEWHERE],
)
def test_lock_holds_for_the_first_release_of_each_python(version, platform):
    """Wheels only: nobody needs a compiler."""
    extras = [setup()["options.extras_require"][name] for name in ("dev", "docs")]
    if platform != "x86_64-apple-darwin":  # no wheel there of argon2, which Jupyter's server needs
        extras += [setup()["options.extras_require"][name] for name in ("jupyter", "grading")]
    choice = f"--python-version={version} --python-platform={platform} --only-binary=:all:"
    choice += " --constraint=requirements.lock --no-header --no-annotate --quiet -"
    asked = "\n".join([setup()["options"]["install_requires"], *extras])
    environment = {**os.environ, "MACOSX_DEPLOYMENT_TARGET": "14.0"}
    uv = ("-m", "uv", "pip", "compile", *choice.split())
    run = python(*uv, input=asked, cwd=TOP, env=environment)
    if packages._UNREACHABLE.search(run.stderr):
        pytest.skip(f"no index can be reached: {run.stderr.splitlines()[-1]}")
    assert run.returncode == 0, run.stderr
    pins = {line.partition(" ")[0] for line in LOCK.read_text(encoding="utf-8").splitlines()}
    assert {"numpy", "pandas", "pytest"} <= names(run.stdout)
    assert set(run.stdout.split()) <= pins


def test_versions_agree():
    import d2l_autorec

    assert d2l_autorec.__version__ == setup()["metadata"]["version"]


# --- install-mxnet


def wheel(folder, name, member, content):
    """Write a wheel with one file, for no index but a folder; return its digest."""
    path = folder / f"{name}-1.0-cp311-cp311-manylinux2014_x86_64.whl"
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, content)
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: false\n")
        archive.writestr(f"{info}/RECORD", "")
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """Give pip a folder, its name with a space, and no index."""
    folder = tmp_path / "a shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    monkeypatch.setenv("PIP_REQUIRE_HASHES", "1")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    return folder


CONTENT = b"not really a library"
DIGEST = hashlib.sha256(CONTENT).hexdigest()


def test_a_library_is_taken_out_of_its_wheel(shelf, tmp_path):
    digest = wheel(shelf, "carrier", "carrier.libs/libx-1.so", CONTENT)
    library = stack.Library("carrier==1.0", digest, "carrier.libs/libx-1.so", DIGEST)
    (tmp_path / "mx net").mkdir()
    stack._copy(library, tmp_path / "mx net" / "libx.so.1")
    assert [path.name for path in (tmp_path / "mx net").iterdir()] == ["libx.so.1"]
    assert (tmp_path / "mx net" / "libx.so.1").read_bytes() == CONTENT


@pytest.mark.parametrize("wrong", ["wheel", "library"])
def test_a_wrong_digest_leaves_nothing(shelf, tmp_path, wrong):
    digest = wheel(shelf, "carrier", "carrier.libs/libx-1.so", CONTENT)
    zeros = "0" * 64
    library = stack.Library(
        "carrier==1.0",
        zeros if wrong == "wheel" else digest,
        "carrier.libs/libx-1.so",
        zeros if wrong == "library" else DIGEST,
    )
    with pytest.raises(InputError, match=r"carrier|hash|HASH"):
        stack._copy(library, tmp_path / "libx.so.1")
    assert not (tmp_path / "libx.so.1").exists()


def test_libraries_are_added_until_mxnet_loads(monkeypatch, tmp_path):
    """As on a stock Debian: the loader names one missing library at a time."""
    copied = []

    def load_error(folder):
        assert folder == tmp_path
        missing = [name for name in ("libgomp.so.1", "libquadmath.so.0") if name not in copied]
        tail = ": cannot open shared object file: No such file or directory"
        return missing[0] + tail if missing else ""

    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(stack, "_install_packages", list)
    monkeypatch.setattr(stack, "mxnet_folder", lambda: tmp_path)
    monkeypatch.setattr(stack, "load_error", load_error)
    monkeypatch.setattr(stack, "_copy", lambda library, path: copied.append(path.name))
    added = stack.install()
    assert copied == ["libgomp.so.1", "libquadmath.so.0"]
    assert added == [
        "libgomp.so.1 (from pykdtree==1.4.3)",
        "libquadmath.so.0 (from pymsis==0.13.0)",
    ]
    assert stack.install() == []


def test_a_library_that_nobody_carries_is_named(monkeypatch, tmp_path):
    said = "libstdc++.so.6: cannot open shared object file: No such file or directory"
    monkeypatch.setattr(stack, "_install_packages", list)
    monkeypatch.setattr(stack, "mxnet_folder", lambda: tmp_path)
    monkeypatch.setattr(stack, "load_error", lambda folder: said)
    with pytest.raises(InputError, match=r"does not load: libstdc\+\+\.so\.6.*system package"):
        stack.install()


def no_pip(*arguments, **settings):
    raise AssertionError("pip was called")


@pytest.mark.parametrize(
    "system, machine, advice",
    [("Darwin", "arm64", "conda create"), ("Windows", "AMD64", "WSL 2"), ("Linux", "riscv64", "")],
)
def test_without_a_wheel_for_the_platform_pip_is_not_asked(monkeypatch, system, machine, advice):
    monkeypatch.setattr("platform.system", lambda: system)
    monkeypatch.setattr("platform.machine", lambda: machine)
    monkeypatch.setattr(stack, "find_mxnet", lambda: None)
    monkeypatch.setattr(packages, "pip", no_pip)
    with pytest.raises(InputError, match=advice or machine):
        stack.install()


def test_pip_gets_names_with_digests_and_no_dependencies(monkeypatch):
    calls = []

    def pip(*arguments):
        calls.append((arguments, Path(arguments[-1]).read_text(encoding="utf-8").splitlines()))

    monkeypatch.setattr("platform.system", lambda: "Linux")
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(stack, "installed", {"mxnet": "2.0.0b1"}.get)
    monkeypatch.setattr(packages, "pip", pip)
    assert stack._install_packages() == ["mxnet==1.9.1", "d2l==1.0.3"]
    [(arguments, lines)] = calls
    assert arguments[0] == "install" and {"--no-deps", "--require-hashes"} <= set(arguments)
    assert re.fullmatch(r"mxnet==1\.9\.1( --hash=sha256:[0-9a-f]{64}){3}", lines[0])
    assert re.fullmatch(r"d2l==1\.0\.3 --hash=sha256:[0-9a-f]{64}", lines[1])


@pytest.mark.parametrize("wheel", ["mxnet", "mxnet-cu112"])
def test_what_is_there_is_left_alone(monkeypatch, wheel):
    monkeypatch.setattr(stack, "installed", {wheel: "1.9.1", "d2l": "1.0.3"}.get)
    monkeypatch.setattr(packages, "pip", no_pip)
    assert stack._install_packages() == []


def test_the_loader_is_asked(tmp_path):
    (tmp_path / "libmxnet.so").write_bytes(b"no library")
    assert "libmxnet.so" in stack.load_error(tmp_path)
    assert stack.load_error(stack.mxnet_folder()) == ""


MISSING = "libgomp.so.1: cannot open shared object file: No such file or directory"


@pytest.mark.parametrize(
    "error, machine, remedy",
    [
        (MISSING, "x86_64", "Run: d2l-autorec install-mxnet"),
        (MISSING, "aarch64", "Run: d2l-autorec install-mxnet"),
        (MISSING, "ppc64le", "Install the system package that has libgomp.so.1."),
        (MISSING.replace("gomp.so.1", "quadmath.so.0"), "x86_64", "Run: d2l-autorec"),
        (MISSING.replace("libgomp.so.1", "libarmpl_lp64_mp.so"), "aarch64", "Run: d2l-autorec"),
        (MISSING.replace("libgomp.so.1", "libamath.so"), "aarch64", "Run: d2l-autorec"),
        ("/x/libmxnet.so: file too short", "x86_64", "new environment"),
    ],
)
def test_remedies_for_what_the_loader_says(error, machine, remedy):
    assert remedy in stack.load_remedy(error, machine)


# --- the package index


def test_an_index_that_does_not_answer_is_not_a_missing_distribution(monkeypatch):
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_INDEX_URL", "http://127.0.0.1:9/simple")
    monkeypatch.delenv("PIP_NO_INDEX", raising=False)
    with pytest.raises(InputError, match=r"index cannot be reached \(.*refused.*PIP_INDEX_URL"):
        packages.pip("download", "--no-deps", "d2l==1.0.3")


RETRY = "WARNING: Retrying (Retry(total=0)) after connection broken by "


@pytest.mark.parametrize(
    "said, told",
    [
        (
            RETRY + "'NewConnectionError('<pip._vendor.X object at 0x7f>: Failed to establish a "
            "new connection: [Errno -2] Name or service not known')': /simple/mxnet/\n"
            "ERROR: No matching distribution found for mxnet==1.9.1",
            "cannot be reached (Failed to establish a new connection: [Errno -2] Name or service "
            "not known)",
        ),
        (
            "error: Request failed\n  cause: Failed to fetch: https://a/simple/pip/\n  cause: dns",
            "cannot be reached (https://a/simple/pip/)",
        ),
        ("ERROR: HTTP error 503 while getting x", "cannot be reached (HTTP error 503 while"),
        (
            "ERROR: Could not find a version\nERROR: No matching distribution found for mxnet",
            "pip said: ERROR: No matching distribution found for mxnet",
        ),
        ("error: externally-managed-environment\n\nhint: See PEP 668", "python3 -m venv FOLDER"),
        ("", "pip said: nothing"),
    ],
)
def test_why_pip_failed(said, told):
    assert told in packages._reason(said)


def test_where_there_is_no_pip_uv_runs_it_for_this_environment(monkeypatch):
    packages._pip.cache_clear()
    try:
        monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
        monkeypatch.setattr(packages, "_has_pip", lambda: False)
        monkeypatch.setattr("shutil.which", lambda name: "/bin/uv")
        assert packages._pip() == ("/bin/uv", "tool", "run", "pip", "--python", sys.executable)
        packages._pip.cache_clear()
        monkeypatch.setattr("shutil.which", lambda name: None)
        with pytest.raises(InputError, match=r"neither pip nor uv.*ensurepip"):
            packages._pip()
    finally:
        packages._pip.cache_clear()


def test_help_install_and_doctor_load_nothing_heavy():
    code = (
        "import sys, d2l_autorec.cli, d2l_autorec.stack, d2l_autorec.doctor;"
        "print(*{'mxnet', 'd2l', 'pandas', 'matplotlib', 'numpy', 'numba'} & set(sys.modules))"
    )
    run = python("-c", code)
    assert (run.stdout.strip(), run.stderr) == ("", "")


def test_to_name_a_command_of_pip_leaves_setuptools_as_it_is():
    """Asked for pip, its import hook gives up `distutils`, and setuptools itself then fails."""
    pytest.importorskip("setuptools")
    code = (
        "from d2l_autorec.packages import _has_pip, install_command; print(install_command())"
        "; import setuptools, importlib.util"
        "; assert _has_pip() == bool(importlib.util.find_spec('pip'))"
    )
    done = python("-c", code)
    assert done.returncode == 0, done.stderr
    assert done.stdout in ("python -m pip install\n", "uv pip install\n")
