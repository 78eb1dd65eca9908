import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from dltemplates.datasets.source import Dataset
from dltemplates.tasks.task import Task
from dltemplates.template import Template, load_template

TOOLS = Path(__file__).parents[1] / "tools"
SMALL = {  # trains for seconds, on real digits at their own size
    "model.name": "convnet",
    "model.filters": [8, 16],
    "dataset.images.size": (8, 8),
    "dataset.validation": 0.2,
    "train.epochs": 6,
    "train.batch_size": 64,
    "train.learning_rate": {"name": "cosine", "peak": 0.01, "warmup_epochs": 1},
    "train.optimizer": "adam",
    "train.weight_decay": 1e-4,
    "train.augment": {"crop_padding": 1},
    "export.calibration": 64,
}


def small_template(**settings) -> Template:
    """Return the template of most tests: a tiny convolutional network on scikit-learn's digits."""
    overrides = {key.replace("__", "."): value for key, value in settings.items()}
    defaults = {key: value for key, value in SMALL.items() if key.partition(".")[0] not in overrides}
    return load_template("resnet8_digits", defaults | overrides)


def run_dlt(*arguments, cwd=None, timeout=240, **environment) -> subprocess.CompletedProcess:
    """Run `dlt` in a process of its own, for at most `timeout` seconds; None sets no limit."""
    return subprocess.run(
        [sys.executable, "-m", "dltemplates", *map(str, arguments)],
        capture_output=True, text=True, check=False, cwd=cwd, timeout=timeout, env=os.environ | environment,
    )  # fmt: skip


def load_tool(name):
    """Return the script `tools/NAME.py` as a module."""
    spec = importlib.util.spec_from_file_location(name, TOOLS / f"{name}.py")
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session", autouse=True)
def quick_baselines():
    """Fit baselines in this process, which has loaded scikit-learn already; tests of the worker start it again."""
    from threadpoolctl import threadpool_limits

    from dltemplates.tasks.scoring import baseline_worker, baselines

    def fit(folder, end):
        with threadpool_limits(1):
            baseline_worker.main(folder)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(baselines, "run_worker", fit)
        yield


@pytest.fixture(scope="session")
def small_run(tmp_path_factory):
    """Train one run; tests read it and never write it."""
    from dltemplates.training.train import train

    return train(small_template(), output=tmp_path_factory.mktemp("runs") / "small")


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Return the folder of real data; tests that use it are marked `data`."""
    folder = os.environ.get("DLT_DATA")
    if not folder:
        pytest.skip("DLT_DATA is not set")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def digit_folder(tmp_path_factory) -> Path:
    """Write forty real digits of two classes as PNG files in class folders."""
    from PIL import Image
    from sklearn.datasets import load_digits

    folder = tmp_path_factory.mktemp("digit_folder")
    digits = load_digits()
    for name, digit in (("one", 1), ("zero", 0)):
        (folder / name).mkdir()
        for number, image in enumerate(digits.images[digits.target == digit][:20]):
            Image.fromarray(np.uint8(image * 15.9)).save(folder / name / f"{number}.png")
    return folder


def in_process_converter():
    """Return a converter that works in this process, which has loaded TensorFlow already."""
    from dltemplates.deploy import worker
    from dltemplates.deploy.converters import convert

    class InProcess(convert.Converter):
        def start(self):
            pass

        def ask(self, **request):
            reply = worker.answer(request)
            if "error" in reply:
                raise convert.ConversionError(reply["error"])
            return reply

    return InProcess


@pytest.fixture
def in_process(monkeypatch):
    """Convert in this process, without a child process."""
    monkeypatch.setattr("dltemplates.deploy.export.Converter", in_process_converter())


class AnyTarget(Task):
    """A task with a target of any kind."""

    name = "conftest:AnyTarget"
    kind = "any"
    target_kinds = ()

    def __init__(self, spec):
        self.inputs, (self.target, *_) = spec.inputs, spec.targets

    def check_splits(self, dataset):
        """Accept all splits."""

    def stages(self, model, template):
        raise NotImplementedError

    def serve(self, model, spec, template, *, name):
        raise NotImplementedError

    def model_sizes(self, spec):
        raise NotImplementedError

    def compare(self, targets, outputs):
        raise NotImplementedError


def load_data(settings, task=AnyTarget.name, *, reference=None, whole=False):
    """Load data split and fitted; `reference` is the spec of a trained network that reads other data."""
    from dltemplates.settings import DatasetSettings, Named
    from dltemplates.tasks.load_for import load_for
    from dltemplates.tasks.serving.contract import Contract
    from dltemplates.template import Template

    settings = DatasetSettings(name=settings) if isinstance(settings, str) else settings
    named = Named(name=task) if isinstance(task, str) else task
    if reference is None:
        return load_for(Template(task=named, dataset=settings, model="mlp"), whole=whole)[1]
    known = {"inputs": reference.inputs, "targets": reference.targets, "reading_rules": reference.reading_rules}
    known["encoding"] = reference.encoding
    contract = Contract(name="network", task=named.name, task_options=named.options, outputs=(), **known)
    return load_for(contract, settings=settings, whole=whole, from_file=False)[1]


def series_data(table, settings):
    """Return a table as windows of a series, split by time and fitted."""
    from dltemplates.datasets.fit import fit
    from dltemplates.datasets.series.csv_series import series_dataset
    from dltemplates.datasets.splitting.hashes import hash_examples
    from dltemplates.datasets.whole import add_missing_splits

    dataset = series_dataset(table, settings)
    return fit(add_missing_splits(dataset, hash_examples(dataset.split("train"), dataset.spec), settings))


def adapt_data(named, dataset):
    """Return a task, and a split dataset adapted, prepared for training and fitted for it."""
    from dltemplates.datasets.fit import fit
    from dltemplates.tasks.check_data import check_data
    from dltemplates.tasks.task import make_task, task_class

    check_data(named.name, task_class(named), dataset.spec)
    task = make_task(named, dataset.spec)
    adapted = task.adapt(dataset)
    splits = adapted.splits | {"train": task.prepare_train(adapted.split("train"))}
    fitted = fit(Dataset(adapted.spec, splits))
    return make_task(named, fitted.spec), fitted


def spec_of(*targets, inputs=()):
    """Return the spec of data with these inputs and targets."""
    from dltemplates.datasets.spec import DatasetSpec

    return DatasetSpec(inputs=tuple(inputs), targets=targets, sizes={}, fingerprint="")


def batch_of(encode=lambda target: target):
    """Return `Task.batch` for images with a label."""
    return lambda example, *, training: (example["image"], encode(example["label"]), None)
