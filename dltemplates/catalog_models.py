"""The models of the catalog, listed without importing them: a line each.

The sizes are those of a model's paper.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One name of the catalog: where it lives and what it is, in a sentence.

    Attributes:
        target: `module:name`.
        summary: What it is.
        sizes: Those of a model's paper, as its builder asks for them by name.
    """

    target: str
    summary: str
    sizes: dict[str, Any] = field(default_factory=dict)


def image(height: int, width: int, channels: int, num_outputs: int) -> dict[str, Any]:
    """The sizes of a classifier of images."""
    return {"input_shape": (height, width, channels), "num_outputs": num_outputs}


def row(columns: int, num_outputs: int) -> dict[str, Any]:
    """The sizes of a network that sees rows of numbers."""
    return {"input_shape": (columns,), "num_outputs": num_outputs}


MNIST_IMAGES = {"input_shape": (28, 28, 1)}  # for a network that is told no classes
MNIST = image(28, 28, 1, 10)
CIFAR10 = image(32, 32, 3, 10)
IMAGENET = image(224, 224, 3, 1000)

MODELS = {
    "perceptron": Entry(
        "dltemplates.models.dense.perceptron:perceptron",
        "one neuron, and where it all began (Rosenblatt 1958)",
        row(2, 1),
    ),
    "linear_regression": Entry(
        "dltemplates.models.dense.regression:linear_regression", "a weighted sum (Gauss 1809)", row(10, 1)
    ),
    "logistic_regression": Entry(
        "dltemplates.models.dense.regression:logistic_regression", "a weighted sum, as odds (Cox 1958)", row(30, 1)
    ),
    "softmax_regression": Entry(
        "dltemplates.models.dense.regression:softmax_regression",
        "a weighted sum for each class (Bishop 2006)",
        row(4, 3),
    ),
    "mlp": Entry("dltemplates.models.dense.mlp:mlp", "fully connected layers (Rumelhart 1986)", MNIST),
    "dfn": Entry(
        "dltemplates.models.dense.mlp:dfn", "a deep feedforward network for tables (Goodfellow 2016)", row(14, 2)
    ),
    "autoencoder": Entry(
        "dltemplates.models.generative.autoencoder:autoencoder",
        "through a code that is too small, and back (Hinton 2006)",
        MNIST_IMAGES,
    ),
    "sparse_autoencoder": Entry(
        "dltemplates.models.generative.autoencoder:sparse_autoencoder",
        "a long code, few of whose units are active at once (Ng 2011)",
        MNIST_IMAGES,
    ),
    "conv_autoencoder": Entry(
        "dltemplates.models.generative.autoencoder:conv_autoencoder", "an autoencoder of convolutions", MNIST_IMAGES
    ),
    "denoising_autoencoder": Entry(
        "dltemplates.models.generative.autoencoder:denoising_autoencoder",
        "gives back what was there before the noise (Vincent 2008)",
        MNIST_IMAGES,
    ),
    "fc_autoencoder": Entry(
        "dltemplates.models.generative.autoencoder:fc_autoencoder",
        "MLPerf Tiny's anomaly detector (Banbury 2021)",
        {"input_shape": (640,)},
    ),
    "vae": Entry(
        "dltemplates.models.generative.vae:vae",
        "a variational autoencoder: any code makes an example (Kingma 2014)",
        MNIST_IMAGES,
    ),
    "conv_vae": Entry(
        "dltemplates.models.generative.vae:conv_vae", "a variational autoencoder of convolutions", MNIST_IMAGES
    ),
    "gan": Entry(
        "dltemplates.models.generative.gan:gan", "a generator against a discriminator (Goodfellow 2014)", MNIST_IMAGES
    ),
    "dcgan": Entry("dltemplates.models.generative.gan:dcgan", "both of convolutions (Radford 2016)", MNIST_IMAGES),
    "cgan": Entry("dltemplates.models.generative.gan:cgan", "both told the class (Mirza 2014)", MNIST),
    "wgan_gp": Entry(
        "dltemplates.models.generative.gan:wgan_gp",
        "a generator and a critic whose slope is held at 1 (Gulrajani 2017)",
        MNIST_IMAGES,
    ),
    "rbm": Entry(
        "dltemplates.models.generative.rbm:rbm",
        "a restricted Boltzmann machine, which dreams (Hinton 2002)",
        MNIST_IMAGES,
    ),
    "dbn": Entry(
        "dltemplates.models.generative.rbm:dbn", "a deep belief network, machine upon machine (Hinton 2006)", MNIST
    ),
    "lstm": Entry(
        "dltemplates.models.recurrent.lstm:lstm",
        "long short-term memory, for sequences (Hochreiter 1997)",
        {"input_shape": (48, 1), "num_outputs": 12},
    ),
    "lenet5": Entry(
        "dltemplates.models.convolutional.lenet:lenet5",
        "the first convolutional network in wide use (LeCun 1998)",
        MNIST,
    ),
    "cnn_gap": Entry(
        "dltemplates.models.convolutional.cnn_gap:cnn_gap",
        "a first CNN, which shows where it looks (Lin 2014)",
        CIFAR10,
    ),
    "convnet": Entry(
        "dltemplates.models.convolutional.convnet:convnet", "a plain modern small CNN (Ioffe 2015)", CIFAR10
    ),
    "alexnet": Entry(
        "dltemplates.models.convolutional.alexnet:alexnet",
        "the network that began it all, in two towers (Krizhevsky 2012)",
        image(227, 227, 3, 1000),
    ),
    "vgg11": Entry(
        "dltemplates.models.convolutional.vgg:vgg11", "11 layers, 3x3 convolutions alone (Simonyan 2015)", IMAGENET
    ),
    "vgg13": Entry(
        "dltemplates.models.convolutional.vgg:vgg13", "13 layers, 3x3 convolutions alone (Simonyan 2015)", IMAGENET
    ),
    "vgg16": Entry(
        "dltemplates.models.convolutional.vgg:vgg16", "16 layers, 3x3 convolutions alone (Simonyan 2015)", IMAGENET
    ),
    "vgg19": Entry(
        "dltemplates.models.convolutional.vgg:vgg19", "19 layers, 3x3 convolutions alone (Simonyan 2015)", IMAGENET
    ),
    "nin": Entry("dltemplates.models.convolutional.nin:nin", "a small perceptron at every place (Lin 2014)", IMAGENET),
    "nin_cifar": Entry(
        "dltemplates.models.convolutional.nin:nin_cifar", "the same, for small images (Lin 2014)", CIFAR10
    ),
    "googlenet": Entry(
        "dltemplates.models.convolutional.googlenet:googlenet",
        "inception modules, 22 layers of them (Szegedy 2015)",
        IMAGENET,
    ),
    "resnet8": Entry(
        "dltemplates.models.convolutional.resnet:resnet8", "MLPerf Tiny's image classifier (Banbury 2021)", CIFAR10
    ),
    "resnet20": Entry(
        "dltemplates.models.convolutional.resnet:resnet20", "20 layers, for small images (He 2016)", CIFAR10
    ),
    "resnet32": Entry(
        "dltemplates.models.convolutional.resnet:resnet32", "32 layers, for small images (He 2016)", CIFAR10
    ),
    "resnet44": Entry(
        "dltemplates.models.convolutional.resnet:resnet44", "44 layers, for small images (He 2016)", CIFAR10
    ),
    "resnet56": Entry(
        "dltemplates.models.convolutional.resnet:resnet56", "56 layers, for small images (He 2016)", CIFAR10
    ),
    "resnet110": Entry(
        "dltemplates.models.convolutional.resnet:resnet110", "110 layers, for small images (He 2016)", CIFAR10
    ),
    "resnet1202": Entry(
        "dltemplates.models.convolutional.resnet:resnet1202", "1202 layers, for small images (He 2016)", CIFAR10
    ),
    "resnet_cifar": Entry(
        "dltemplates.models.convolutional.resnet:resnet_cifar",
        "any depth, with or without residuals (He 2016)",
        CIFAR10,
    ),
    "resnet18": Entry(
        "dltemplates.models.convolutional.resnet_imagenet:resnet18", "18 layers, for photographs (He 2016)", IMAGENET
    ),
    "resnet34": Entry(
        "dltemplates.models.convolutional.resnet_imagenet:resnet34", "34 layers, for photographs (He 2016)", IMAGENET
    ),
    "resnet50": Entry(
        "dltemplates.models.convolutional.resnet_imagenet:resnet50", "50 layers, of bottlenecks (He 2016)", IMAGENET
    ),
    "resnet101": Entry(
        "dltemplates.models.convolutional.resnet_imagenet:resnet101", "101 layers, of bottlenecks (He 2016)", IMAGENET
    ),
    "resnet152": Entry(
        "dltemplates.models.convolutional.resnet_imagenet:resnet152", "152 layers, of bottlenecks (He 2016)", IMAGENET
    ),
    "preact_resnet110": Entry(
        "dltemplates.models.convolutional.preact_resnet:preact_resnet110",
        "identity mappings, 110 layers (He 2016)",
        CIFAR10,
    ),
    "preact_resnet164": Entry(
        "dltemplates.models.convolutional.preact_resnet:preact_resnet164",
        "identity mappings, 164 layers (He 2016)",
        CIFAR10,
    ),
    "preact_resnet_cifar": Entry(
        "dltemplates.models.convolutional.preact_resnet:preact_resnet_cifar",
        "identity mappings, any depth (He 2016)",
        CIFAR10,
    ),
    "preact_resnet50": Entry(
        "dltemplates.models.convolutional.preact_resnet:preact_resnet50",
        "identity mappings, for photographs (He 2016)",
        IMAGENET,
    ),
    "preact_resnet101": Entry(
        "dltemplates.models.convolutional.preact_resnet:preact_resnet101", "the same, 101 layers (He 2016)", IMAGENET
    ),
    "preact_resnet152": Entry(
        "dltemplates.models.convolutional.preact_resnet:preact_resnet152", "the same, 152 layers (He 2016)", IMAGENET
    ),
    "densenet121": Entry(
        "dltemplates.models.convolutional.densenet:densenet121", "every layer sees all before it (Huang 2017)", IMAGENET
    ),
    "mobilenet_v1": Entry(
        "dltemplates.models.mobile.mobilenet_v1:mobilenet_v1",
        "depthwise separable convolutions (Howard 2017)",
        IMAGENET,
    ),
    "mobilenet_v1_025": Entry(
        "dltemplates.models.mobile.mobilenet_v1:mobilenet_v1_025",
        "MLPerf Tiny's person detector (Banbury 2021)",
        image(96, 96, 3, 2),
    ),
    "mobilenet_v2": Entry(
        "dltemplates.models.mobile.mobilenet_v2:mobilenet_v2", "inverted residuals, for phones (Sandler 2018)", IMAGENET
    ),
    "mobilenet_v3_small": Entry(
        "dltemplates.models.mobile.mobilenet_v3:mobilenet_v3_small",
        "searched on a phone, small (Howard 2019)",
        IMAGENET,
    ),
    "mobilenet_v3_large": Entry(
        "dltemplates.models.mobile.mobilenet_v3:mobilenet_v3_large",
        "searched on a phone, large (Howard 2019)",
        IMAGENET,
    ),
    "efficientnet_b0": Entry(
        "dltemplates.models.mobile.efficientnet:efficientnet_b0", "searched, to be scaled up (Tan 2019)", IMAGENET
    ),
    "efficientnet_lite0": Entry(
        "dltemplates.models.mobile.efficientnet:efficientnet_lite0",
        "the same for devices with integers (Liu 2020)",
        IMAGENET,
    ),
    "dscnn": Entry(
        "dltemplates.models.mobile.dscnn:dscnn", "MLPerf Tiny's keyword spotter (Zhang 2017)", image(49, 10, 1, 12)
    ),
    "vit_tiny": Entry(
        "dltemplates.models.attention.vit:vit_tiny",
        "a small Vision Transformer (Dosovitskiy 2021, Touvron 2021)",
        IMAGENET,
    ),
    "convmixer": Entry(
        "dltemplates.models.convolutional.convmixer:convmixer",
        "patches mixed by convolutions alone (Trockman 2022)",
        IMAGENET,
    ),
}
