"""The models of the catalog, listed without importing them.

Sizes are the paper's. Models that differ in one option share a builder: each is an entry with that option.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One name of the catalog.

    Attributes:
        target: `module:name` of the function, class or object.
        summary: Description in at most 57 characters, to fit on a line of 80 after the longest name.
        sizes: A model's sizes in its paper, by the names of the builder's arguments.
        options: Options of the builder that are fixed for this entry: `resnet20` is `resnet_cifar` of depth 20.
        group: A dataset's kind: `images`, `tables` or `series`.
        noun: A dataset's content in at most 16 characters, for `dlt list`.
        is_included: Whether a dataset needs no download.
        example: A path of the user's own data, for examples of commands.
    """

    target: str
    summary: str
    sizes: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    group: str = ""
    noun: str = ""
    is_included: bool = False
    example: str = ""


def image(height: int, width: int, channels: int, num_outputs: int) -> dict[str, Any]:
    """Return the sizes of an image classifier."""
    return {"input_shape": (height, width, channels), "num_outputs": num_outputs}


def sequence(steps: int, channels: int, num_outputs: int) -> dict[str, Any]:
    """Return the sizes of a network for sequences."""
    return {"input_shape": (steps, channels), "num_outputs": num_outputs}


def text(vocabulary_size: int, num_outputs: int) -> dict[str, Any]:
    """Return the sizes of a text classifier."""
    return {"vocabulary_size": vocabulary_size, "num_outputs": num_outputs}


def row(columns: int, num_outputs: int) -> dict[str, Any]:
    """Return the sizes of a network for table rows."""
    return {"input_shape": (columns,), "num_outputs": num_outputs}


MNIST_IMAGES = {"input_shape": (28, 28, 1)}  # for a network without classes
MNIST = image(28, 28, 1, 10)
CIFAR10 = image(32, 32, 3, 10)
IMAGENET = image(224, 224, 3, 1000)
SUNSPOTS = sequence(48, 1, 12)  # four years of months, and the year after them
HEARTBEATS = sequence(140, 1, 5)  # ECG5000
MOVIE_REVIEWS = text(18_769, 2)  # MR: 18,765 words, and the four special ids
ETTH1 = {"input_shape": (336, 7), "horizon": 96}

DENSE = {
    "perceptron": Entry(
        "dltemplates.models.dense.perceptron:perceptron",
        "perceptron: one neuron per output (Rosenblatt 1958)",
        row(2, 1),
    ),
    "linear_regression": Entry(
        "dltemplates.models.dense.regression:weighted_sum", "linear regression: weighted sum (Gauss 1809)", row(10, 1)
    ),
    "logistic_regression": Entry(
        "dltemplates.models.dense.regression:weighted_sum",
        "logistic regression: weighted sum as log-odds (Cox 1958)",
        row(30, 1),
    ),
    "softmax_regression": Entry(
        "dltemplates.models.dense.regression:weighted_sum",
        "softmax regression: weighted sum per class (Bishop 2006)",
        row(4, 3),
    ),
    "mlp": Entry("dltemplates.models.dense.mlp:mlp", "multilayer perceptron: dense layers (Rumelhart 1986)", MNIST),
    "dfn": Entry(
        "dltemplates.models.dense.mlp:dfn", "deep feedforward network for tables (Goodfellow 2016)", row(14, 2)
    ),
}

GENERATIVE = {
    "autoencoder": Entry(
        "dltemplates.models.generative.autoencoder:autoencoder",
        "autoencoder with dense layers (Hinton 2006)",
        MNIST_IMAGES,
    ),
    "sparse_autoencoder": Entry(
        "dltemplates.models.generative.autoencoder:sparse_autoencoder",
        "autoencoder with few active latent units (Ng 2011)",
        MNIST_IMAGES,
    ),
    "conv_autoencoder": Entry(
        "dltemplates.models.generative.autoencoder:conv_autoencoder", "autoencoder with convolutions", MNIST_IMAGES
    ),
    "denoising_autoencoder": Entry(
        "dltemplates.models.generative.autoencoder:denoising_autoencoder",
        "autoencoder that removes noise (Vincent 2008)",
        MNIST_IMAGES,
    ),
    "fc_autoencoder": Entry(
        "dltemplates.models.generative.autoencoder:fc_autoencoder",
        "MLPerf Tiny's anomaly detector (Banbury 2021)",
        {"input_shape": (640,)},
    ),
    "vae": Entry(
        "dltemplates.models.generative.vae:vae", "variational autoencoder with dense layers (Kingma 2014)", MNIST_IMAGES
    ),
    "conv_vae": Entry(
        "dltemplates.models.generative.vae:conv_vae", "variational autoencoder with convolutions", MNIST_IMAGES
    ),
    "gan": Entry("dltemplates.models.generative.gan:gan", "GAN with dense layers (Goodfellow 2014)", MNIST_IMAGES),
    "dcgan": Entry("dltemplates.models.generative.gan:dcgan", "GAN with convolutions (Radford 2016)", MNIST_IMAGES),
    "cgan": Entry("dltemplates.models.generative.gan:cgan", "GAN that generates a chosen class (Mirza 2014)", MNIST),
    "wgan_gp": Entry(
        "dltemplates.models.generative.gan:wgan_gp",
        "Wasserstein GAN with gradient penalty (Gulrajani 2017)",
        MNIST_IMAGES,
    ),
    "rbm": Entry("dltemplates.models.generative.rbm:rbm", "restricted Boltzmann machine (Hinton 2002)", MNIST_IMAGES),
    "dbn": Entry("dltemplates.models.generative.rbm:dbn", "deep belief network of stacked RBMs (Hinton 2006)", MNIST),
}

SERIES = {
    "ltsf_linear": Entry(
        "dltemplates.models.dense.ltsf_linear:ltsf_linear",
        "LTSF-Linear: linear forecast of a series (Zeng 2023)",
        sequence(336, 7, 96),
    ),
    "dlinear": Entry(
        "dltemplates.models.dense.dlinear:dlinear",
        "linear forecast of trend and season (Zeng 2023)",
        ETTH1,
    ),
    "nlinear": Entry(
        "dltemplates.models.dense.dlinear:nlinear",
        "linear forecast of the change of a series (Zeng 2023)",
        ETTH1,
    ),
    "simple_rnn": Entry(
        "dltemplates.models.recurrent.simple_rnn:simple_rnn",
        "plain recurrent network (Elman 1990)",
        SUNSPOTS,
    ),
    "lstm": Entry(
        "dltemplates.models.recurrent.lstm:lstm",
        "long short-term memory for sequences (Hochreiter 1997)",
        SUNSPOTS,
    ),
    "gru": Entry(
        "dltemplates.models.recurrent.gru:gru",
        "gated recurrent unit, a smaller LSTM (Cho 2014)",
        SUNSPOTS,
    ),
    "bilstm": Entry(
        "dltemplates.models.recurrent.bilstm:bilstm",
        "LSTM that reads in both directions (Graves 2005)",
        HEARTBEATS,
    ),
    "conv1d": Entry(
        "dltemplates.models.convolutional.conv1d:conv1d",
        "convolutions along a sequence, FCN (Wang 2017)",
        HEARTBEATS,
    ),
    "inception_time": Entry(
        "dltemplates.models.convolutional.inception_time:inception_time",
        "InceptionTime, kernels of several lengths (Fawaz 2020)",
        HEARTBEATS,
    ),
    "tcn": Entry(
        "dltemplates.models.convolutional.tcn:tcn",
        "temporal convolutional network (Bai 2018)",
        sequence(784, 1, 10),
    ),
    "patch_tst": Entry(
        "dltemplates.models.attention.patch_tst:patch_tst",
        "PatchTST, a Transformer for forecasts (Nie 2023)",
        ETTH1,
    ),
}

TEXT = {
    "transformer_encoder": Entry(
        "dltemplates.models.attention.transformer_encoder:transformer_encoder",
        "Transformer encoder, a classifier of texts (Vaswani 2017)",
        {"vocabulary_size": 20_000, "num_outputs": 2},
    ),
    "gpt": Entry(
        "dltemplates.models.attention.gpt:gpt",
        "GPT, a Transformer that continues a text (Radford 2018)",
        {"sequence_length": 128, "vocabulary_size": 69},
    ),
    "transformer": Entry(
        "dltemplates.models.attention.transformer:transformer",
        "Transformer that translates a text (Vaswani 2017)",
        {"vocabulary_size": 37_000},
    ),
    "textcnn": Entry(
        "dltemplates.models.convolutional.textcnn:textcnn",
        "convolutions over the words of a text (Kim 2014)",
        MOVIE_REVIEWS,
    ),
    "text_lstm": Entry(
        "dltemplates.models.recurrent.text_rnn:text_lstm",
        "LSTM that reads the tokens of a text (Dai 2015)",
        MOVIE_REVIEWS,
    ),
    "text_gru": Entry(
        "dltemplates.models.recurrent.text_rnn:text_gru",
        "GRU that reads the tokens of a text (Cho 2014)",
        MOVIE_REVIEWS,
    ),
    "seq2seq": Entry(
        "dltemplates.models.recurrent.seq2seq:seq2seq",
        "GRU that translates, with attention (Bahdanau 2015)",
        {"vocabulary_size": 30_004},
    ),
}

IMAGES = {
    "lenet5": Entry(
        "dltemplates.models.convolutional.lenet:lenet5", "LeNet-5, an early CNN for digits (LeCun 1998)", MNIST
    ),
    "cnn_gap": Entry(
        "dltemplates.models.convolutional.cnn_gap:cnn_gap",
        "small CNN for beginners, class activation maps (Lin 2014)",
        CIFAR10,
    ),
    "convnet": Entry(
        "dltemplates.models.convolutional.convnet:convnet", "small CNN with batch normalization (Ioffe 2015)", CIFAR10
    ),
    "alexnet": Entry(
        "dltemplates.models.convolutional.alexnet:alexnet",
        "AlexNet, a CNN in two towers (Krizhevsky 2012)",
        image(227, 227, 3, 1000),
    ),
    **{
        f"vgg{depth}": Entry(
            "dltemplates.models.convolutional.vgg:vgg",
            f"VGG, {depth} layers, 3x3 convolutions (Simonyan 2015)",
            IMAGENET,
            {"depth": depth},
        )
        for depth in (11, 13, 16, 19)
    },
    "nin": Entry("dltemplates.models.convolutional.nin:nin", "Network in Network for photographs (Lin 2014)", IMAGENET),
    "nin_cifar": Entry(
        "dltemplates.models.convolutional.nin:nin_cifar", "Network in Network for small images (Lin 2014)", CIFAR10
    ),
    "googlenet": Entry(
        "dltemplates.models.convolutional.googlenet:googlenet",
        "GoogLeNet, 22 layers, inception modules (Szegedy 2015)",
        IMAGENET,
    ),
    "resnet8": Entry(
        "dltemplates.models.convolutional.resnet:resnet8",
        "MLPerf Tiny's image classifier, a ResNet (Banbury 2021)",
        CIFAR10,
    ),
    **{
        f"resnet{depth}": Entry(
            "dltemplates.models.convolutional.resnet:resnet_cifar",
            f"ResNet with {depth} layers for small images (He 2016)",
            CIFAR10,
            {"depth": depth},
        )
        for depth in (20, 32, 44, 56, 110, 1202)
    },
    "resnet_cifar": Entry(
        "dltemplates.models.convolutional.resnet:resnet_cifar",
        "ResNet of any depth for small images (He 2016)",
        CIFAR10,
    ),
    **{
        f"resnet{depth}": Entry(
            "dltemplates.models.convolutional.resnet_imagenet:resnet_imagenet",
            f"ResNet with {depth} layers for photographs (He 2016)",
            IMAGENET,
            {"depth": depth, "stride_on_3x3": False},
        )
        for depth in (18, 34)
    },
    **{
        f"resnet{depth}": Entry(
            "dltemplates.models.convolutional.resnet_imagenet:resnet_imagenet",
            f"ResNet with {depth} layers, in bottlenecks (He 2016)",
            IMAGENET,
            {"depth": depth},
        )
        for depth in (50, 101, 152)
    },
    "preact_resnet110": Entry(
        "dltemplates.models.convolutional.preact_resnet:preact_resnet_cifar",
        "pre-activation ResNet, 110 layers, small images (He 2016)",
        CIFAR10,
        {"depth": 110, "bottleneck": False},
    ),
    "preact_resnet164": Entry(
        "dltemplates.models.convolutional.preact_resnet:preact_resnet_cifar",
        "pre-activation ResNet, 164 layers, small images (He 2016)",
        CIFAR10,
        {"depth": 164, "bottleneck": True},
    ),
    "preact_resnet_cifar": Entry(
        "dltemplates.models.convolutional.preact_resnet:preact_resnet_cifar",
        "pre-activation ResNet, any depth, small images (He 2016)",
        CIFAR10,
    ),
    **{
        f"preact_resnet{depth}": Entry(
            "dltemplates.models.convolutional.preact_resnet:preact_resnet_imagenet",
            f"pre-activation ResNet, {depth} layers, photos (He 2016)",
            IMAGENET,
            {"depth": depth},
        )
        for depth in (50, 101, 152)
    },
    "densenet121": Entry(
        "dltemplates.models.convolutional.densenet:densenet121", "DenseNet with 121 layers (Huang 2017)", IMAGENET
    ),
    "mobilenet_v1": Entry(
        "dltemplates.models.mobile.mobilenet_v1:mobilenet_v1",
        "MobileNet, depthwise convolutions (Howard 2017)",
        IMAGENET,
    ),
    "mobilenet_v1_025": Entry(
        "dltemplates.models.mobile.mobilenet_v1:mobilenet_v1",
        "MLPerf Tiny's person detector, a MobileNet (Banbury 2021)",
        image(96, 96, 3, 2),
        {"width": 0.25, "activation": "relu", "use_bias": True, "dropout_rate": None},
    ),
    "mobilenet_v2": Entry(
        "dltemplates.models.mobile.mobilenet_v2:mobilenet_v2",
        "MobileNetV2, inverted residuals (Sandler 2018)",
        IMAGENET,
    ),
    "mobilenet_v3_small": Entry(
        "dltemplates.models.mobile.mobilenet_v3:mobilenet_v3",
        "MobileNetV3, small, for phones (Howard 2019)",
        IMAGENET,
        {"size": "small"},
    ),
    "mobilenet_v3_large": Entry(
        "dltemplates.models.mobile.mobilenet_v3:mobilenet_v3",
        "MobileNetV3, large, for phones (Howard 2019)",
        IMAGENET,
        {"size": "large"},
    ),
    "efficientnet_b0": Entry(
        "dltemplates.models.mobile.efficientnet:efficientnet",
        "EfficientNet-B0, scalable by width and depth (Tan 2019)",
        IMAGENET,
        {"lite": False},
    ),
    "efficientnet_lite0": Entry(
        "dltemplates.models.mobile.efficientnet:efficientnet",
        "EfficientNet-Lite0 for int8 devices (Liu 2020)",
        IMAGENET,
        {"lite": True},
    ),
    "dscnn": Entry(
        "dltemplates.models.mobile.dscnn:dscnn",
        "MLPerf Tiny's keyword spotter, a DS-CNN (Zhang 2017)",
        image(49, 10, 1, 12),
    ),
    "vit_tiny": Entry(
        "dltemplates.models.attention.vit:vit_tiny",
        "small Vision Transformer (Dosovitskiy 2021, Touvron 2021)",
        IMAGENET,
    ),
    "convmixer": Entry(
        "dltemplates.models.convolutional.convmixer:convmixer",
        "ConvMixer, patches mixed by convolutions (Trockman 2022)",
        IMAGENET,
    ),
}

MODEL_GROUPS = {
    "Dense networks, for tables and small images": DENSE,
    "Generators and autoencoders": GENERATIVE,
    "Series and sequences": SERIES,
    "Text": TEXT,
    "Images": IMAGES,
}
"""The models by the titles of `dlt list models`."""

MODELS = {name: entry for group in MODEL_GROUPS.values() for name, entry in group.items()}
