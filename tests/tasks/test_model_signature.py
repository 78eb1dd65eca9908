"""Which models fit which tasks: a model that fits trains and serves, any other is refused in one line."""

import keras
import pytest

from conftest import AnyTarget, run_dlt
from dltemplates.datasets.spec import DatasetSpec
from dltemplates.features import ClassId, Image
from dltemplates.settings import Named
from dltemplates.tasks.model_signature import Shapes, check_network
from dltemplates.tasks.task import make_task
from dltemplates.template import parse_template
from dltemplates.training.prepare import prepare

MODELS = {
    "mlp": {"units": [8]},
    "dbn": {"units": [8]},
    "googlenet": {"width": 0.05},
    "autoencoder": {"units": [8], "latent_dim": 4},
    "vae": {"units": [8], "latent_dim": 4},
    "gan": {"units": [8], "latent_dim": 4},
    "cgan": {"filters": [8], "latent_dim": 4},
    "rbm": {"units": 8},
}
TASKS = {  # on digits: the models that fit
    "classification": {"mlp", "dbn", "googlenet"},
    "reconstruction": {"autoencoder", "vae"},
    "anomaly": {"autoencoder", "vae"},
    "variational": {"vae"},
    "generation": {"gan", "cgan"},
    "representation": {"rbm"},
}
OPTIONS = {"anomaly": {"normal": "0", "anomalies": "drop"}}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("task", TASKS)
def test_a_model_fits_a_task_or_is_refused(task, model):
    side = 65 if model == "googlenet" else 8
    template = parse_template(
        {
            "task": {"name": task} | OPTIONS.get(task, {}),
            "dataset": {"name": "digits", "images": {"size": [side, side]}},
            "model": {"name": model} | MODELS[model],
            "train": {"batch_size": 16, "restore": "last"},
        },
        source="test",
    )
    if model not in TASKS[task]:
        rule = f"(needs the size `num_outputs`, which this task|does not fit task {task}, which needs a (network|part))"
        with pytest.raises(ValueError, match=rf"^Model `{model}` {rule} .* Received: .* Choose a model that fits"):
            prepare(template)
        return
    training = prepare(template)
    inputs, targets, weight = next(iter(training.stages[0].batches(0)))
    training.stages[-1].algorithm.train(inputs, targets, weight)
    spec = training.task.calibrate(training.model, training.dataset)
    task_of_spec = make_task(template.task, spec) if task == "anomaly" else training.task
    assert "" in task_of_spec.serve(training.model, spec, template, name="served")


def test_the_error_is_one_line_and_leaves_no_files(tmp_path):
    result = run_dlt(
        "train", "rbm_mnist", "--set", "task=reconstruction", "--set", "dataset.name=digits", "-o", "run", cwd=tmp_path
    )
    assert (result.returncode, result.stdout) == (2, "")
    (line,) = result.stderr.splitlines()
    assert "Model `rbm` does not fit task reconstruction" in line
    assert not list(tmp_path.iterdir())


IMAGE = Image(name="image", dtype="float32", shape=(8, 8, 1), range=(0, 255), resize="stretch")
LABEL = ClassId(name="label", dtype="int64", shape=(), classes=("no", "yes"))
SPEC = DatasetSpec(inputs=(IMAGE,), targets=(LABEL,), sizes={"train": 1}, fingerprint="")


def task_of(**options):
    return make_task(Named(name="classification", **options), SPEC)


def own(layers, shape=(8, 8, 1)):
    inputs = keras.Input(shape)
    return keras.Model(inputs, layers(keras.layers.Flatten()(inputs)), name="own")


def test_the_input_shape_of_a_network_is_checked():
    network = own(keras.layers.Dense(1), shape=(9, 9, 1))
    with pytest.raises(ValueError, match=r"\(8, 8, 1\).*Received: input shape \(9, 9, 1\)"):
        check_network(network, task_of(binary=True), SPEC)


def test_several_outputs_need_one_called_logits():
    def two(**names):
        return own(lambda x: {name: keras.layers.Dense(units)(x) for name, units in names.items()})

    check_network(two(logits=2, auxiliary=2), task_of(), SPEC)
    with pytest.raises(ValueError, match=r"\(2,\).*Received: output shape {'a': \(2,\), 'b': \(2,\)}"):
        check_network(two(a=2, b=2), task_of(), SPEC)
    with pytest.raises(ValueError, match=r"\(2,\).*Received: output shape \[\(2,\), \(2,\)\]"):
        check_network(own(lambda x: [keras.layers.Dense(2)(x) for _ in range(2)]), task_of(), SPEC)


def test_a_task_with_several_outputs_needs_each_by_name():
    class Detector(AnyTarget):
        def model_signature(self, spec):
            return {"": Shapes((8, 8, 1), {"boxes": (4,), "logits": (2,)})}

    def network(**names):
        return own(lambda x: {name: keras.layers.Dense(units)(x) for name, units in names.items()})

    task = Detector(SPEC)
    check_network(network(boxes=4, logits=2, auxiliary_1=2), task, SPEC)
    for names, received in (
        ({"logits": 2}, r"{'logits': \(2,\)}"),
        ({"boxes": 3, "logits": 2}, r"{'boxes': \(3,\), 'logits': \(2,\)}"),
    ):
        with pytest.raises(ValueError, match=rf"{{'boxes': \(4,\), .*Received: output shape {received}"):
            check_network(network(**names), task, SPEC)
    with pytest.raises(ValueError, match=r"'boxes'.*Received: output shape \(2,\)"):
        check_network(own(keras.layers.Dense(2)), task, SPEC)


def test_a_network_for_any_image_size_is_accepted():
    inputs = keras.Input((None, None, 1))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(inputs))
    check_network(keras.Model(inputs, x, name="own"), task_of(), SPEC)


def test_an_unbuilt_network_is_built():
    def sequential(units):
        return keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(units)], name="own")

    check_network(sequential(2), task_of(), SPEC)
    with pytest.raises(ValueError, match=r"\(2,\).*Received: output shape \(3,\)"):
        check_network(sequential(3), task_of(), SPEC)
