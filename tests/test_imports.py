"""Imports point one way, and TensorFlow is imported only where and when it is needed."""

from __future__ import annotations

import ast
import graphlib
import subprocess
import sys
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

import pytest

import dltemplates
from dltemplates import catalog

ROOT = Path(dltemplates.__file__).parent

RANKS = (  # a module imports from its own line or from those above
    {
        "upgrade",
        "template",
        "settings",
        "train_settings",
        "catalog",
        "catalog_models",
        "catalog_templates",
        "errors",
        "files",
        "compat",
    },
    {"features", "layers"},
    {"tasks", "models", "datasets", "figures", "runs", "run_json", "new_runs", "runtimes", "devices"},
    {"training", "deploy", "reports", "inference", "doctor", "main_job"},
    {"compression", "bundles"},
    {"cli", "__init__", "__main__"},
)
NEVER = {"models": {"datasets"}, "deploy": {"models", "training"}}  # although the ranks allow it
# The parts that may import TensorFlow; `doctor` and `devices` only list its devices.
TENSORFLOW = {
    "datasets",
    "tasks",
    "training",
    "deploy",
    "figures",
    "compression",
    "runtimes",
    "devices",
    "doctor",
    "compat",
}
HEAVY = {"tensorflow", "keras", "tf_keras", "jax", "torch", "tensorflow_model_optimization"}
LIGHT = (  # modules that list the catalog, or run, evaluate and report an exported file
    "dltemplates.cli.main",
    "dltemplates.cli.commands",
    "dltemplates.compat",
    "dltemplates.doctor",
    "dltemplates.template",
    "dltemplates.inference",
    "dltemplates.runtimes",
    "dltemplates.tasks.serving.contract",
    *(entry.target.partition(":")[0] for entry in catalog.TASKS.values()),
    *sorted({entry.target.partition(":")[0] for entry in catalog.FORMATS.values()}),
)
CONVERTERS = {
    "deploy.worker",
    *(
        f"deploy.converters.{name}"
        for name in ("conversion_job", "graph", "onnx", "recurrent_onnx", "saved_model", "tflite")
    ),
}


@dataclass
class Module:
    """Imports of one file.

    Attributes:
        part: The part of the package: the first name below `dltemplates`.
        internal: Imported modules of this package.
        external: Imported names of other packages.
    """

    part: str
    internal: set[str] = field(default_factory=set)
    external: set[str] = field(default_factory=set)


def read_modules(root: Path) -> dict[str, Module]:
    """Read every module below `root`, by dotted name. `__init__` stays in the name."""
    files = {".".join(path.relative_to(root).with_suffix("").parts): path for path in sorted(root.rglob("*.py"))}
    return {name: read_module(name, path, set(files)) for name, path in files.items()}


def read_module(name: str, path: Path, names: set[str]) -> Module:
    """Read the imports of a file, also those inside functions, but not those for type checking only."""
    module = Module(part=name.split(".")[0])
    tree = WithoutTypeChecking().visit(ast.parse(path.read_text(encoding="utf-8")))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported = [(alias.name, None) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{name} imports relatively"
            imported = [(node.module, alias.name) for alias in node.names]
        else:
            continue
        for source, attribute in imported:
            if source.split(".")[0] != "dltemplates":
                module.external.add(source)
            elif (source, attribute) == ("dltemplates", "__version__"):
                continue  # a constant, not the API
            elif (source, attribute) == ("dltemplates", None) and attributes(tree, "dltemplates") <= {"__version__"}:
                continue
            else:
                module.internal.add(resolve(source, attribute, names))
    return module


def resolve(source: str, attribute: str | None, names: set[str]) -> str:
    """Return the module that `from source import attribute` reads, named as in `read_modules`."""
    inner = source.removeprefix("dltemplates").lstrip(".")
    ends = ("", "__init__") if attribute is None else (attribute, f"{attribute}.__init__", "", "__init__")
    candidates = [".".join(filter(None, (inner, end))) for end in ends]
    return next(candidate for candidate in candidates if candidate in names)


def attributes(tree: ast.AST, name: str) -> set[str]:
    """Return the attributes that the code reads from the variable `name`."""
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == name
    }


class WithoutTypeChecking(ast.NodeTransformer):
    """Transformer that removes the bodies of `if TYPE_CHECKING:`."""

    def visit_If(self, node: ast.If):
        if isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            return None
        return self.generic_visit(node)


def rank(part: str) -> int:
    return next(index for index, parts in enumerate(RANKS) if part in parts)


def broken_rules(modules: dict[str, Module]) -> list[str]:
    """Return a message for each import that breaks a rule."""
    broken = []
    for name, module in modules.items():
        for target in sorted(module.internal):
            part = modules[target].part
            if rank(part) > rank(module.part):
                broken.append(f"{name} imports {target}, which lies above it")
            if part in NEVER.get(module.part, ()):
                broken.append(f"{name} imports {target}: {module.part} never imports {part}")
        if module.part not in TENSORFLOW and any(source.split(".")[0] == "tensorflow" for source in module.external):
            broken.append(f"{name} imports tensorflow")
    try:
        graphlib.TopologicalSorter({name: module.internal - {name} for name, module in modules.items()}).prepare()
    except graphlib.CycleError as error:
        broken.append(f"a circle: {' -> '.join(error.args[1])}")
    return broken


def test_every_part_has_a_rank():
    parts = {module.part for module in read_modules(ROOT).values()}
    assert parts <= set().union(*RANKS)


def test_imports_point_one_way():
    modules = read_modules(ROOT)
    assert sum(len(module.internal) for module in modules.values()) > 10
    assert broken_rules(modules) == []


def test_converters_import_only_the_contract_from_tasks():
    modules = read_modules(ROOT)
    formats = {name for name in modules if name.startswith("deploy.formats.")}
    assert len(formats) > 3
    for name in CONVERTERS | formats:
        imported = {target for target in modules[name].internal if target.startswith("tasks.")}
        assert imported <= {"tasks.serving.contract", "tasks.serving.file_digest"}, name


@pytest.mark.parametrize(
    ("files", "message"),
    [
        (
            {"catalog.py": "from dltemplates.models.mlp import mlp"},
            "catalog imports models.mlp, which lies above it",
        ),
        ({"catalog.py": "def f():\n    from dltemplates import runs"}, "catalog imports runs, which lies above it"),
        ({"models/mlp.py": "import dltemplates.datasets.spec"}, "models never imports datasets"),
        ({"deploy/check.py": "from dltemplates.models import mlp"}, "deploy never imports models"),
        ({"models/mlp.py": "import tensorflow as tf"}, "models.mlp imports tensorflow"),
        ({"cli.py": "from tensorflow.keras import layers"}, "cli imports tensorflow"),
        ({"runs.py": "from dltemplates import load_run"}, "runs imports __init__, which lies above it"),
        ({"runs.py": "import dltemplates\ndltemplates.load_run()"}, "runs imports __init__, which lies above it"),
        ({"runs.py": "import dltemplates.runtimes", "runtimes.py": "import dltemplates.runs"}, "a circle: "),
    ],
)
def test_a_forbidden_import_is_found(tmp_path, files, message):
    package = {"__init__.py": "", "catalog.py": "", "runs.py": "", "datasets/spec.py": "", "models/mlp.py": ""} | files
    for name, text in package.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (broken,) = broken_rules(read_modules(tmp_path))
    assert message in broken


@pytest.mark.parametrize(
    "text",
    [
        "import dltemplates\nprint(dltemplates.__version__)",
        "from dltemplates import __version__",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from dltemplates.cli import main",
        "from dltemplates import catalog, runtimes",
        "from dltemplates import tasks",
    ],
)
def test_an_allowed_import_passes(tmp_path, text):
    for name in ("__init__", "catalog", "cli", "runtimes"):
        (tmp_path / f"{name}.py").write_text("")
    (tmp_path / "runs.py").write_text(text)
    (tmp_path / "tasks").mkdir()
    (tmp_path / "tasks" / "__init__.py").write_text("")
    assert broken_rules(read_modules(tmp_path)) == []


@pytest.mark.parametrize("name", [name for name in LIGHT if find_spec(name)])
def test_light_modules_load_no_tensorflow(name):
    program = f"import sys, {name}; sys.exit(', '.join(sorted({HEAVY} & set(sys.modules))) or 0)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT.parent, check=False)
    assert done.returncode == 0, done.stderr


# Names with a leading underscore that Python documents, and so any module may use.
PYTHON_NAMES = {
    "__cause__",
    "__class__",
    "__doc__",
    "__file__",
    "__getitem__",
    "__init__",
    "__name__",
    "__signature__",
    "__version__",
}
INTERNAL = ("tensorflow.python", "keras.src")  # modules that are not public
UNIX = {
    *("resource", "fcntl", "termios", "pwd", "grp", "pty"),  # modules
    *("os.fork", "os.fsync", "os.getsid", "os.getuid", "os.kill", "os.killpg", "os.sched_getaffinity", "os.setsid"),
    *("signal.SIGHUP", "signal.SIGKILL", "signal.SIGALRM", "signal.SIGUSR1", "signal.Signals"),
    *("start_new_session", "preexec_fn", "pass_fds", "send_signal"),  # of `subprocess.Popen`
}


def foreign_uses(root: Path) -> list[str]:
    """Return every use of another library's private names, or of Unix-only names, outside `compat.py`.

    The syntax does not show an object's class. So a private name of `self`, `cls` or `super()` counts as ours if any
    module here defines it, and a private name of another object if the same module does. Access by `vars(...)`, and
    private names without an underscore, are not found.
    """
    trees = {path.relative_to(root).as_posix(): ast.parse(path.read_text()) for path in sorted(root.rglob("*.py"))}
    own = {name: defined_names(tree) for name, tree in trees.items()}
    everywhere = set().union(*own.values())
    return [
        f"{name}:{node.lineno} {found}"
        for name, tree in trees.items()
        if name != "compat.py"
        for node in ast.walk(tree)
        for found in foreign_names(node, own[name], everywhere)
    ]


def defined_names(tree: ast.AST) -> set[str]:
    """Return the names of a module's functions, classes, variables, and attributes of `self` or `cls`."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store) and is_own(node.value):
            names.add(node.attr)
    return names


def is_own(node: ast.AST) -> bool:
    """Check whether an expression is `self`, `cls` or `super()`."""
    return ast.unparse(node) in ("self", "cls", "super()")


def foreign_names(node: ast.AST, own: set[str], everywhere: set[str]) -> list[str]:
    """Return the names in one node of a syntax tree that belong in `compat.py`."""
    match node:
        case ast.Import():
            names = [alias.name for alias in node.names]
        case ast.ImportFrom():
            names = [f"{node.module}.{alias.name}" for alias in node.names if not node.module.startswith("__")]
        case ast.Attribute():
            names = [ast.unparse(node), node.attr]
            if node.attr in (everywhere if is_own(node.value) else own):
                return []
        case ast.Call(func=ast.Name(id="getattr" | "hasattr" | "setattr" | "delattr"), args=[_, ast.Constant(), *_]):
            names = [str(node.args[1].value)]
        case ast.keyword():
            names = [node.arg or ""]
        case _:
            return []
    return [
        name
        for name in names
        if {name, name.partition(".")[0]} & UNIX
        or name.startswith(INTERNAL)
        or (not isinstance(node, ast.keyword) and is_private(name.rpartition(".")[2]))
        or (isinstance(node, ast.Import | ast.ImportFrom) and any(map(is_private, name.split("."))))
    ]


def is_private(name: str) -> bool:
    return name.startswith("_") and name not in PYTHON_NAMES


def test_private_and_unix_only_names_are_used_in_compat_alone():
    assert foreign_uses(ROOT) == []


@pytest.mark.parametrize(
    "text",
    [
        "model._flatten_layers()",
        "import tensorflow.python.framework",
        "from tensorflow.python.framework import convert_to_constants",
        "from keras.src import tree",
        "from keras import _tf_keras",
        "import onnxruntime._pybind",
        "getattr(model, '_operations', None)",
        "layer._trainable = True",
        "class Own(Layer):\n    def call(self):\n        return self._dtype_policy",
        "class Own(Layer):\n    def call(self):\n        return super()._call()",
        "union.__args__",
        "import resource",
        "import os\nos.kill(1, 0)",
        "import os\nos.fsync(1)",
        "import signal\nsignal.SIGKILL",
        "from signal import SIGKILL",
        "subprocess.Popen([], start_new_session=True)",
        "process.send_signal(2)",
    ],
)
def test_a_private_or_unix_only_name_is_found(tmp_path, text):
    (tmp_path / "compat.py").write_text(text)
    assert foreign_uses(tmp_path) == []
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "mlp.py").write_text(text)
    assert foreign_uses(tmp_path)
    assert all(found.startswith("models/mlp.py:") for found in foreign_uses(tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "class Own(Base):\n    def call(self):\n        return self._base",
        "class Own:\n    def _inner(self): ...\n    def other(self, own):\n        own._inner()",
        "from dltemplates import __version__",
        "from __future__ import annotations",
        "type(model).__name__",
        "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_DFL)",
        "process.kill()",
        "import os\nos.replace('a', 'b')",
        "function(_unused=1)",
    ],
)
def test_the_packages_own_private_names_pass(tmp_path, text):
    (tmp_path / "base.py").write_text("class Base:\n    def __init__(self):\n        self._base = 1")
    (tmp_path / "own.py").write_text(text)
    assert foreign_uses(tmp_path) == []
