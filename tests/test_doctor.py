import pytest
from processes import d2l_autorec

from d2l_autorec import compat, doctor, stack
from d2l_autorec.errors import InputError

INSTALL = "Run: d2l-autorec install-mxnet"


def has(monkeypatch, **versions):
    monkeypatch.setattr(stack, "installed", lambda name: versions.get(name.replace("-", "_")))


@pytest.mark.parametrize(
    "version, fits",
    [((3, 8, 18), False), ((3, 9, 0), True), ((3, 14, 2), True), ((3, 15, 0), True)],
)
def test_python(version, fits):
    check = doctor.check_python(version)
    assert (not check.remedy) is fits and ".".join(map(str, version)) in check.found


@pytest.mark.parametrize(
    "check, package, good, bad",
    [
        (doctor.check_mxnet, "mxnet", "1.9.1", "1.6.0"),
        (doctor.check_d2l, "d2l", "1.0.3", "0.17.6"),
    ],
)
def test_versions(monkeypatch, check, package, good, bad):
    monkeypatch.setattr(compat, "mxnet_remedy", lambda: INSTALL)
    has(monkeypatch, **{package: good})
    assert not check().remedy
    has(monkeypatch, **{package: bad})
    assert INSTALL in check().remedy and bad in check().found
    has(monkeypatch)
    assert INSTALL in check().remedy and check().found == "not installed"


def test_a_cuda_wheel_counts_as_mxnet(monkeypatch):
    has(monkeypatch, mxnet_cu112="1.9.1")
    assert doctor.check_mxnet() == doctor.Check("MXNet", "mxnet-cu112 1.9.1")


def test_where_mxnet_cannot_be_the_remedy_is_that_of_the_platform(monkeypatch):
    monkeypatch.setattr("platform.system", lambda: "Windows")
    has(monkeypatch)
    for check in (doctor.check_mxnet(), doctor.check_d2l()):
        assert "WSL 2" in check.remedy and "install-mxnet" not in check.remedy


def test_libraries_are_loaded(monkeypatch, tmp_path):
    assert not doctor.check_libraries().remedy
    (tmp_path / "damaged_one.py").write_text("raise ImportError('Numba needs NumPy 2.4')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    check = doctor.check_libraries(("numpy", "damaged_one", "absent_one"))
    assert check.found == "damaged_one: Numba needs NumPy 2.4"
    assert check.remedy.startswith("Run: ") and check.remedy.endswith(" damaged_one absent_one")
    assert doctor.check_libraries(("absent_one",)).found == "absent_one is not installed"


def test_a_library_that_kills_python_is_a_failure(monkeypatch, tmp_path):
    (tmp_path / "deadly_one.py").write_text("import os; os._exit(3)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert doctor.check_libraries(("numpy", "deadly_one")).found == "exit code 3"


def test_a_missing_system_library_is_named(monkeypatch):
    said = "libgomp.so.1: cannot open shared object file: No such file or directory"
    monkeypatch.setattr("platform.machine", lambda: "x86_64")
    monkeypatch.setattr(stack, "load_error", lambda folder: said)
    assert doctor.check_load() == doctor.Check("MXNet's C library", said, INSTALL)


def test_preflight_names_the_first_fault(monkeypatch):
    doctor.preflight()
    monkeypatch.setattr(compat, "mxnet_remedy", lambda: INSTALL)
    has(monkeypatch, d2l="0.17.6", mxnet="1.9.1")
    with pytest.raises(InputError, match=rf"d2l: 0\.17\.6\. 1\.0\.3 is needed. {INSTALL}"):
        doctor.preflight()


def test_doctor_ends_with_the_command_to_run_next(monkeypatch, tmp_path):
    run = d2l_autorec("doctor")
    *lines, last = run.stdout.splitlines()
    assert (run.returncode, run.stderr, last) == (0, "", "Next: d2l-autorec reproduce")
    assert [line for line in lines if not line.startswith("ok ")] == [
        "The package, without MXNet (a saved model, its questions, reports):",
        "The chapter and training, with MXNet:",
    ]
    # d2l's name is found first in a folder where it cannot be imported
    (tmp_path / "d2l.py").write_text("raise RuntimeError('no such book')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    run = d2l_autorec("doctor")
    assert run.returncode == 2 and "RuntimeError: no such book" in run.stdout
    assert run.stdout.splitlines()[-1] == "Next: d2l-autorec install-mxnet"
