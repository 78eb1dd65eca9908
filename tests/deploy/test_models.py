"""Every model of the catalog, trained for seconds, in the formats that phones take."""

import pytest

from conftest import small_template
from dltemplates import catalog
from dltemplates.deploy.export_run import export
from dltemplates.training.train import train

# Of the builder; `image_size` is that of the digits, where 8x8 is too small, `epochs` where 4 are too few. `task` and
# `data` are those of networks that do not tell digits apart.
OPTIONS = {
    "perceptron": {
        "data": "gates:and",
        "task": {"name": "classification", "binary": True, "loss": "perceptron"},
        "batch_size": 1,
    },
    "linear_regression": {"data": "diabetes", "task": "regression", "epochs": 20},
    "logistic_regression": {"data": "breast_cancer", "task": {"name": "classification", "binary": True}},
    "softmax_regression": {"data": "iris", "epochs": 20},
    "mlp": {"units": [32]},
    "dfn": {"units": [32, 16]},
    "lenet5": {},
    "cnn_gap": {"filters": [16, 32]},
    "convnet": {"filters": [8, 16]},
    "alexnet": {"image_size": 67, "width": 0.1},
    "vgg11": {"image_size": 32, "width": 0.1},
    "vgg13": {"image_size": 32, "width": 0.1},
    "vgg16": {"image_size": 32, "width": 0.1},
    "vgg19": {"image_size": 32, "width": 0.1},
    "nin": {"image_size": 39, "width": 0.1},
    "nin_cifar": {"image_size": 8, "width": 0.1, "epochs": 16},  # after 4 it knows a third of them
    "googlenet": {"image_size": 65, "width": 0.1},
    "resnet8": {},
    "resnet20": {},
    "resnet32": {},
    "resnet44": {},
    "resnet56": {},
    "resnet110": {},
    "resnet_cifar": {"depth": 8, "residual": False},
    "resnet18": {"image_size": 32, "width": 0.1},
    "resnet34": {"image_size": 32, "width": 0.1},
    "resnet50": {"image_size": 32, "width": 0.1, "stride_on_3x3": True},
    "resnet101": {"image_size": 32, "width": 0.1},
    "resnet152": {"image_size": 32, "epochs": 10, "width": 0.1},
    "preact_resnet110": {},
    "preact_resnet164": {"epochs": 10},
    "preact_resnet_cifar": {"depth": 11},
    "preact_resnet50": {"image_size": 32, "width": 0.1},
    "preact_resnet101": {"image_size": 32, "width": 0.1},
    "preact_resnet152": {"image_size": 32, "epochs": 10, "width": 0.1},
    "densenet121": {"image_size": 32, "growth_rate": 8, "blocks": [2, 2, 2]},
    "mobilenet_v1": {"image_size": 17, "epochs": 20, "width": 0.25},
    "mobilenet_v1_025": {"image_size": 17, "epochs": 20},
    "mobilenet_v2": {"image_size": 17, "epochs": 12, "width": 0.35, "dropout_rate": 0.0},
    "mobilenet_v3_small": {"image_size": 17, "width": 0.35},
    "mobilenet_v3_large": {"image_size": 17, "epochs": 8, "width": 0.35},
    "efficientnet_b0": {"image_size": 17, "width": 0.25, "depth": 0.3},
    "efficientnet_lite0": {"image_size": 17, "epochs": 8, "width": 0.25, "depth": 0.3},
    "dscnn": {"dropout_rates": [0.0, 0.1]},
    "vit_tiny": {"patch_size": 2, "units": 32, "depth": 2, "num_heads": 2},
    "convmixer": {"patch_size": 2, "filters": 32, "depth": 2, "kernel_size": 3},
    "autoencoder": {"task": "reconstruction", "units": [32], "code": 8},
    "sparse_autoencoder": {"task": "reconstruction", "code": 32},
    "conv_autoencoder": {"task": "reconstruction", "filters": [8, 16], "code": 8},
    "denoising_autoencoder": {"task": "reconstruction", "filters": [8, 16], "code": 8},
    "fc_autoencoder": {"task": "reconstruction", "units": [32], "code": 8},
    "vae": {"task": "variational", "units": [32], "code": 4},
    "conv_vae": {"task": "variational", "filters": [8, 16], "units": 16, "code": 4},
    "gan": {"task": "generation", "units": [16, 32], "latent_dim": 8},
    "dcgan": {"task": "generation", "filters": [16, 8], "latent_dim": 8},
    "cgan": {"task": "generation", "filters": [16, 8], "latent_dim": 8},
    "wgan_gp": {"task": {"name": "generation", "loss": "wasserstein"}, "filters": [16, 8], "latent_dim": 8},
    "rbm": {"task": "representation", "units": 32},
    "dbn": {"units": [32, 32], "epochs": 20},
}
ELSEWHERE = {
    "resnet1202",  # the graph of its training takes many minutes to make; test_resnet.py trains steps of it
    "lstm",  # test_recurrent.py
}
GENERATORS = {"gan", "dcgan", "cgan", "wgan_gp"}
FAST = {"mlp", "dscnn"}  # dense layers, and depthwise convolutions; the others are slow, `.ci/run` exports resnet8


def test_every_model_has_a_row():
    assert sorted([*OPTIONS, *ELSEWHERE]) == sorted(catalog.MODELS)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in FAST else pytest.mark.slow) for name in OPTIONS]
)
def test_a_model_exports_and_every_file_passes(name, tmp_path):
    options = dict(OPTIONS[name])
    image_size, epochs = options.pop("image_size", 8), options.pop("epochs", 4)
    data, task = options.pop("data", "digits"), options.pop("task", "classification")
    sized = {"image_size": (image_size, image_size)} if data == "digits" else {}
    template = small_template(
        dataset={"name": data, **sized},
        task=task,
        train__batch_size=options.pop("batch_size", 64),
        model={"name": name, **options},
        train__epochs=epochs,
        train__augment={"crop_padding": 1} if sized else {},
        train__learning_rate=3e-3,
        train__keep="last" if name in GENERATORS else "best",
    )
    run = train(template, output=tmp_path / name)
    report = export(run, formats=["tflite:float32", "tflite:int8", "onnx:float32"], max_drop=0.03)
    assert not report.failed, report
    for result in report.results:
        assert not result.remarks
