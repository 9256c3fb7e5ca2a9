import functools
import importlib.util
import inspect
import sys

import click.testing
import pytest
from hypothesis import settings

from d2l_autorec import compat  # installs the import hook, before a test imports MXNet

MISSING = [name for name in ("mxnet", "d2l") if importlib.util.find_spec(name) is None]


# Property tests draw the same examples in each run, so that a failure comes from a change of the
# code. `pytest -m hypothesis --hypothesis-profile=default` draws new ones.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")


if "mix_stderr" in inspect.signature(click.testing.CliRunner).parameters:
    # click before 8.2, as on Python 3.9, mixes the two streams unless told not to.
    click.testing.CliRunner.__init__ = functools.partialmethod(
        click.testing.CliRunner.__init__, mix_stderr=False
    )
    click.testing.Result.output = property(lambda result: result.stdout + result.stderr)


class Skip:
    """Where MXNet or d2l is not installed, importing it skips the test, or the module, that does.

    Where both are installed this is not in use, and an import that fails is a failure.
    """

    def find_spec(self, name, path=None, target=None):
        if name in MISSING and compat._is_import():
            pytest.skip(f"{name} is not installed", allow_module_level=True)


if MISSING:
    sys.meta_path.insert(0, Skip())


def pytest_collection_modifyitems(items):
    """Mark the tests that make file systems or networks of their own."""
    for item in items:
        if {"mounted", "full_disk", "machines"} & set(getattr(item, "fixturenames", ())):
            item.add_marker("root")


def pytest_report_header():
    return [f"{name} is not installed: tests that need it are skipped" for name in MISSING]


@pytest.fixture(scope="session")
def ml100k():
    """MovieLens 100K, from the cache or fetched."""
    from d2l_autorec.data.sources import load_ml100k

    return load_ml100k(quiet=True)
