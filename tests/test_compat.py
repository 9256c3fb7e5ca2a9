"""What MXNet misses on current Python and NumPy, given back to it alone."""

import ast
import sys
from pathlib import Path
from types import ModuleType

import numpy
import pytest
from processes import python

from d2l_autorec import compat
from d2l_autorec.errors import InputError

# The names that some supported NumPy lacks, and what each gives.
GIVEN = {
    "PZERO": 0.0,
    "NZERO": -0.0,
    "PINF": numpy.inf,
    "NINF": -numpy.inf,
    "NAN": numpy.nan,
    "NaN": numpy.nan,
    "Inf": numpy.inf,
    "bool": bool,
    "int": int,
}


@pytest.mark.parametrize(
    "system, machine, version, fragments",
    [
        ("Linux", "x86_64", (3, 9), ["Run: d2l-autorec install-mxnet"]),
        ("Linux", "aarch64", (3, 14), ["Run: d2l-autorec install-mxnet"]),
        ("Darwin", "x86_64", (3, 11, 2), ["Run: d2l-autorec install-mxnet"]),
        ("Linux", "x86_64", (3, 15), ["Python 3.9 to 3.14", "uv venv --python 3.13"]),
        ("Darwin", "x86_64", (3, 8), ["Python 3.9 to 3.14", "uv venv --python 3.13"]),
        (
            "Darwin",
            "arm64",
            (3, 13),
            ["conda create", "py-mxnet=1.9.1", "python=3.10", "container"],
        ),
        ("Windows", "AMD64", (3, 13), ["WSL 2", "container"]),
        ("Windows", "ARM64", (3, 15), ["WSL 2", "container"]),
        ("Linux", "riscv64", (3, 13), ["Linux riscv64", "x86_64 or aarch64"]),
        ("FreeBSD", "amd64", (3, 11), ["FreeBSD amd64"]),
    ],
)
def test_the_remedy_fits_the_platform(system, machine, version, fragments):
    remedy = compat.mxnet_remedy(system, machine, version)
    assert all(fragment in remedy for fragment in fragments)
    assert ("install-mxnet" in remedy) == (fragments[0].startswith("Run:"))
    assert "\n" not in remedy


def test_what_is_lent_means_what_it_meant():
    lent = compat.lent_names()
    assert not any(name in dir(numpy) for name in lent)
    for name in GIVEN.keys() & lent.keys():
        assert repr(lent[name]) == repr(GIVEN[name])
    calls = {
        "alltrue": (([1, 0],), False),
        "sometrue": (([1, 0],), True),
        "product": (([2, 3],), 6),
        "round_": ((2.567, 1), 2.6),
        "in1d": (([[1, 2], [3, 4]], [2, 3]), [False, True, True, False]),
        "trapz": (([1, 2, 4],), 4.5),
        "msort": (([[3, 1], [2, 5]],), [[2, 1], [3, 5]]),
    }
    for name in calls.keys() & lent.keys():
        arguments, result = calls[name]
        assert numpy.asarray(lent[name](*map(numpy.asarray, arguments))).tolist() == result
    for name in {"mirr", "npv", "pmt", "ppmt", "pv", "rate"} & lent.keys():
        with pytest.raises(RuntimeError, match=f"{name} .*numpy-financial"):
            lent[name]()
    known = {*GIVEN, *calls, "mirr", "npv", "pmt", "ppmt", "pv", "rate", "compat"}
    assert lent.keys() <= known
    if numpy.__version__.startswith("1.23."):
        assert not lent.keys() - {"bool", "int"}


def looked_up(path):
    """Yield the names that a file takes from NumPy, as attributes and in MXNet's own lists."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    imports = [a for node in ast.walk(tree) if isinstance(node, ast.Import) for a in node.names]
    aliases = {a.asname or a.name for a in imports if a.name == "numpy"}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and getattr(node.value, "id", None) in aliases:
            yield node.attr
        target = node.targets[0] if isinstance(node, ast.Assign) else None
        if getattr(target, "id", None) == "_NUMPY_ARRAY_FUNCTION_LIST":
            yield from (name for name in ast.literal_eval(node.value) if "." not in name)


@pytest.mark.filterwarnings("ignore")  # NumPy's, of names it is about to remove
def test_nothing_that_mxnet_looks_up_is_left_out():
    import d2l
    import mxnet

    folder = Path(mxnet.__file__).parent
    files = [*folder.rglob("*.py"), Path(d2l.__file__).with_name("mxnet.py")]
    apart = {folder / "tools", folder / "onnx"}  # scripts, and a package of their own
    names = {name for file in files if not apart & set(file.parents) for name in looked_up(file)}
    assert {"PZERO", "trapz", "sometrue", "ndarray"} <= names
    assert {name for name in names if not hasattr(numpy, name)} == set(compat.lent_names())


def test_a_user_s_numpy_stays_as_it_is():
    code = """
import sys
import numpy

def seen():
    names = {name for name, value in vars(numpy).items() if type(value) is not type(numpy)}
    return names, numpy.get_printoptions(), repr([numpy.float64(2)]), numpy.geterr()

before = seen()
import d2l_autorec
assert not {"mxnet", "d2l"} & set(sys.modules)
import mxnet
assert seen() == before
from d2l import mxnet as d2l
assert seen() == before
assert sum(type(finder) is d2l_autorec.compat._Finder for finder in sys.meta_path) == 1
print(mxnet.__version__)
"""
    pytest.importorskip("mxnet")
    done = python("-c", code)
    assert (done.stdout, done.stderr) == ("1.9.1\n", "")


def test_operators_take_numbers_of_numpy():
    """Their parameters are sent as text, and NumPy 2 writes ``np.int64(2)``."""
    import mxnet as mx
    from mxnet.gluon import nn

    mx.npx.set_np()
    two, four = numpy.int64(2), numpy.int32(4)
    parts = mx.np.split(mx.np.arange(6), (two, four))
    assert [part.asnumpy().tolist() for part in parts] == [[0, 1], [2, 3], [4, 5]]
    assert mx.nd.slice(mx.nd.ones((3, 4)), begin=(two, None), end=(None, two)).shape == (1, 2)
    symbol = mx.sym.var("x", shape=(two, four))
    assert symbol.attr("__shape__") == "(2, 4)"
    assert mx.sym.slice(symbol, begin=(two,), end=(None,)).infer_shape()[1] == [(0, 4)]
    net = nn.Dense(two, in_units=four)
    net.initialize()
    net.hybridize()
    assert net(mx.np.ones((3, 4))).shape == (3, 2)
    with pytest.raises(AssertionError):  # a type is asked for there, not a text
        symbol.optimize_for(3)


@pytest.mark.parametrize(
    "value, text",
    [
        ((numpy.int64(2), numpy.float32(0.1), None), "(2, 0.1, None)"),
        ([(numpy.bool_(True),)], "[(True,)]"),
        ((numpy.float64("inf"), numpy.str_("a")), "(inf, 'a')"),
        (numpy.int64(2), "2"),
        ("np.int64(2)", "np.int64(2)"),
        (None, "None"),
        ((1, "np.x"), "(1, 'np.x')"),
    ],
)
def test_a_parameter_as_text(value, text):
    assert compat.as_text(value) == text
    assert repr(numpy.float64(2)) in ("2.0", "np.float64(2.0)")
    assert numpy.get_printoptions()["legacy"] is False


def test_what_looks_a_name_up_when_it_is_called():
    import mxnet as mx
    from mxnet.gluon.contrib.estimator import EarlyStoppingHandler

    padded = mx.np.pad(mx.np.ones((1, 2)), ((1, 0), (0, 1)), mode="constant")
    assert padded.asnumpy().tolist() == [[0, 0, 0], [1, 1, 0]]
    handler = EarlyStoppingHandler(mx.metric.Loss(), mode="min")
    handler.train_begin(None)
    assert handler.best == numpy.inf


@pytest.mark.filterwarnings("ignore:.*(in1d|trapz):DeprecationWarning")
def test_what_mxnet_passes_on():
    from mxnet import np

    assert np.in1d(numpy.arange(3), [1]).tolist() == [False, True, False]
    assert np.trapz([1, 2, 4]) == 4.5 and not np.alltrue([1, 0])
    assert np.PZERO == 0 and np.PINF == numpy.inf == -np.NINF
    assert str(np.NZERO) == "-0.0" and np.NaN != np.NaN


def test_after_an_import_that_failed():
    """A notebook's first cell imports MXNet, fails, and the second imports this package."""
    pytest.importorskip("mxnet")
    code = """
try:
    import mxnet
except (ImportError, AttributeError):
    pass
import d2l_autorec, mxnet
print(int(mxnet.np.empty_like(mxnet.np.split(mxnet.np.ones(4), 2)[0]).size))
"""
    done = python("-c", code)
    assert done.stdout == "2\n", done.stderr


def test_mxnet_that_does_not_load(tmp_path):
    (tmp_path / "mxnet").mkdir()
    (tmp_path / "mxnet" / "__init__.py").write_text(
        "raise OSError('libgomp.so.1: cannot open shared object file')"
    )
    code = """
import sys
sys.path.insert(0, sys.argv[1])
import numpy
from d2l_autorec.errors import InputError
before = set(vars(numpy))
try:
    import mxnet
except ImportError as error:
    assert isinstance(error, InputError) and error.name == "mxnet"
    print(error)
assert set(vars(numpy)) == before and "distutils.version" not in sys.modules
"""
    done = python("-c", code, tmp_path)
    first, _, rest = done.stdout.partition(" (libgomp.so.1: cannot open shared object file). ")
    assert first == "MXNet is installed and does not load", done.stderr
    assert rest.strip() == compat.mxnet_remedy()


def test_versions_as_mxnet_compares_them(monkeypatch):
    for name in ("distutils", "distutils.version"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with compat._modules():
        from distutils.version import LooseVersion, StrictVersion

        for version in (LooseVersion, StrictVersion):
            assert version is compat._Version
            assert version("2.5.5") >= version("1.17")
            assert version("1.17") >= version("1.17")
            assert not version("1.6.0") >= version("1.17")
    assert not {"distutils", "distutils.version"} & set(sys.modules)


def test_stand_ins_are_taken_back_and_load_when_they_are_used():
    code = """
import sys, d2l_autorec, mxnet
assert not {"scipy.stats", "distutils", "setuptools"} & set(sys.modules)
stats = mxnet.contrib.quantization.stats
assert not hasattr(stats, "__file__") and "scipy.stats" not in sys.modules
print(stats.entropy([0.5, 0.5]), stats.entropy is sys.modules["scipy.stats"].entropy)
"""
    pytest.importorskip("mxnet")
    done = python("-c", code)
    assert done.stdout == "0.6931471805599453 True\n", done.stderr


def test_what_is_loaded_already_is_not_replaced(monkeypatch):
    own = ModuleType("scipy.stats")
    monkeypatch.setitem(sys.modules, "scipy.stats", own)
    with compat._modules():
        assert sys.modules["scipy.stats"] is own
    assert sys.modules["scipy.stats"] is own


def test_a_stand_in_may_be_used_while_mxnet_loads(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[:2] == ["scipy", "stats"]]:
        monkeypatch.delitem(sys.modules, name)
    with compat._modules():
        assert sys.modules["scipy.stats"].norm.cdf(0.0) == 0.5
        loaded = sys.modules["scipy.stats"]
        assert type(loaded) is ModuleType
    assert sys.modules["scipy.stats"] is loaded


def test_what_is_missing_is_both_kinds_of_error():
    error = compat.MissingMXNet("A sentence.", name="mxnet")
    assert isinstance(error, InputError) and isinstance(error, ModuleNotFoundError)
    assert (str(error), error.name) == ("A sentence.", "mxnet")
