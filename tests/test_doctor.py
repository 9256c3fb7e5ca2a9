import ctypes
from importlib import metadata

import pytest

from d2l_autorec import doctor
from d2l_autorec.errors import InputError


def has(monkeypatch, **installed):
    def version(name):
        if installed.get(name.replace("-", "_")) is None:
            raise metadata.PackageNotFoundError(name)
        return installed[name.replace("-", "_")]

    monkeypatch.setattr(metadata, "version", version)


@pytest.mark.parametrize(
    "version, fits",
    [((3, 8, 18), False), ((3, 9, 0), True), ((3, 11, 9), True), ((3, 12, 0), False)],
)
def test_python(version, fits):
    assert (not doctor.check_python(version).remedy) is fits


@pytest.mark.parametrize(
    "system, machine, advice",
    [
        ("Linux", "x86_64", ""),
        ("Linux", "aarch64", ""),
        ("Darwin", "x86_64", ""),
        ("Darwin", "arm64", "container"),
        ("Windows", "AMD64", "WSL"),
        ("Linux", "riscv64", "x86_64"),
    ],
)
def test_platform(system, machine, advice):
    remedy = doctor.check_platform(system, machine).remedy
    assert advice in remedy and bool(advice) == bool(remedy)


def test_missing_libraries_are_named_as_packages(monkeypatch):
    def load(name):
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", load)
    assert "apt-get install libgomp1" in doctor.check_libraries("Linux").remedy
    assert not doctor.check_libraries("Darwin").remedy


@pytest.mark.parametrize(
    "check, package, good, bad",
    [
        (doctor.check_numpy, "numpy", "1.23.5", "1.24.0"),
        (doctor.check_ipython, "ipython", "8.39.0", "9.0.0"),
        (doctor.check_mxnet, "mxnet", "1.9.1", "1.6.0"),
        (doctor.check_d2l, "d2l", "1.0.3", "0.17.6"),
    ],
)
def test_versions(monkeypatch, check, package, good, bad):
    has(monkeypatch, **{package: good})
    assert not check().remedy
    has(monkeypatch, **{package: bad})
    assert "pip install" in check().remedy and bad in check().found
    has(monkeypatch)
    assert "pip install" in check().remedy and check().found == "not installed"


def test_a_cuda_wheel_counts_as_mxnet(monkeypatch):
    has(monkeypatch, mxnet_cu112="1.9.1")
    assert doctor.check_mxnet().found == "mxnet-cu112 1.9.1" and not doctor.check_mxnet().remedy


def test_preflight_names_the_first_fault(monkeypatch):
    doctor.preflight()
    has(monkeypatch, numpy="1.26.4", mxnet="1.9.1", d2l="1.0.3", ipython="9.1.0")
    with pytest.raises(InputError, match=r"NumPy: 1\.26\.4.*pip install numpy==1\.23\.5"):
        doctor.preflight()
