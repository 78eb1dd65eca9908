"""Benchmark of the step loop: samples per CPU-second of training, against Keras's `fit` and eager PyTorch.

    python tools/bench_step.py [--rounds 7] [--seconds 2] [--torch-python PATH]

Each contestant trains the same network on the same batch, over and over, in its own process. The processes take turns,
so a drift of the machine's speed affects all of them. CPU time counts all threads, user and system. Prints the median
of each contestant, and its ratio to the fastest of Keras's three.
"""

import argparse
import itertools
import os
import statistics
import subprocess
import sys
import time

# `fit` runs plain, with many steps per call, and compiled by XLA. Keras's automatic number of steps fails in 3.15.
CONTESTANTS = {
    "dltemplates": {},
    "dltemplates, bfloat16": {"precision": "mixed_bfloat16"},
    "keras fit": {},
    "keras fit, many steps a call": {"steps_per_execution": None},  # the number in the network's row
    "keras fit, XLA": {"jit_compile": True},
    "pytorch eager": {},
}
NETWORKS = {  # input shape, batch size, steps per call where a call runs many
    "mlp": ((8, 8, 1), 32, 32),
    "resnet20": ((32, 32, 3), 128, 4),
    "lstm": ((48, 8), 32, 32),
}
CLASSES = 10


def batch(network: str):
    """Return the batch of all contestants."""
    import numpy as np

    shape, size, _ = NETWORKS[network]
    random = np.random.default_rng(0)
    return random.random((size, *shape), np.float32), random.integers(0, CLASSES, size)


def keras_network(network: str):
    """Build the network in Keras."""
    import keras

    from dltemplates.models.convolutional.resnet import resnet20
    from dltemplates.models.dense.mlp import mlp

    shape, _, _ = NETWORKS[network]
    if network == "mlp":
        return mlp(shape, CLASSES, units=(64, 32))
    if network == "resnet20":
        return resnet20(shape, CLASSES)
    inputs = keras.Input(shape)
    return keras.Model(inputs, keras.layers.Dense(CLASSES)(keras.layers.LSTM(64)(inputs)))


def torch_network(network: str):
    """Build the same network in PyTorch, with channels first."""
    from torch import nn

    shape, _, _ = NETWORKS[network]
    if network == "mlp":
        return nn.Sequential(
            nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, CLASSES)
        )
    if network == "resnet20":
        return torch_resnet20()

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(shape[-1], 64, batch_first=True), nn.Linear(64, CLASSES)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    return Recurrent()


def torch_resnet20():
    """Build the ResNet-20 of He 2016, section 4.2, with padded shortcuts, as our `resnet20`."""
    from torch import nn
    from torch.nn import functional

    class Block(nn.Module):
        def __init__(self, channels, filters, stride):
            super().__init__()
            self.stride, self.missing = stride, filters - channels
            self.body = nn.Sequential(
                nn.Conv2d(channels, filters, 3, stride, 1, bias=False), nn.BatchNorm2d(filters), nn.ReLU(),
                nn.Conv2d(filters, filters, 3, 1, 1, bias=False), nn.BatchNorm2d(filters),
            )  # fmt: skip

        def forward(self, x):
            shortcut = x[:, :, :: self.stride, :: self.stride]
            shortcut = functional.pad(shortcut, (0, 0, 0, 0, self.missing // 2, self.missing - self.missing // 2))
            return functional.relu(self.body(x) + shortcut)

    widths = [16] * 4 + [32] * 3 + [64] * 3
    blocks = [Block(before, after, 2 if after > before else 1) for before, after in itertools.pairwise(widths)]
    stem = [nn.Conv2d(3, 16, 3, 1, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU()]
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, CLASSES))


def ours(network: str, precision: str = "float32"):
    """Return a function that trains n steps with the loop of `dlt train`, and returns n."""
    import keras
    import numpy as np
    import tensorflow as tf

    from dltemplates.compat import keep_freed_memory
    from dltemplates.training.algorithms.supervised import Supervised
    from dltemplates.training.speed.fused import fuse
    from dltemplates.training.speed.loop import StepLoop, pays_to_compile
    from dltemplates.training.strategy import Distribution

    keep_freed_memory()
    keras.config.set_dtype_policy(precision)
    inputs, targets = batch(network)
    data = (inputs, np.eye(CLASSES, dtype=np.float32)[targets], np.ones(len(inputs), np.float32))
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    metrics = [keras.metrics.CategoricalAccuracy(name="accuracy")]
    model = keras_network(network)
    fuse(model)
    algorithm = Supervised(model, loss, metrics, keras.optimizers.Adam())
    algorithm.build(tf.TensorSpec(data[1].shape))
    compiled = pays_to_compile(algorithm.model, 1, deterministic=True)
    loop = StepLoop(Distribution(tf.distribute.get_strategy()), algorithm.train, jit_compile=compiled)
    iterator = iter(tf.data.Dataset.from_tensors(data).repeat().prefetch(2))

    def train(steps: int) -> int:
        loop.run_all(iterator, steps)
        algorithm.metrics()
        return steps

    return train


def keras_fit(network: str, **options):
    """Return a function that trains n steps with Keras, rounded to whole calls, and returns that number."""
    import keras
    import numpy as np
    import tensorflow as tf

    inputs, targets = batch(network)
    data = (inputs, np.eye(CLASSES, dtype=np.float32)[targets])
    model = keras_network(network)
    if "steps_per_execution" in options:
        options["steps_per_execution"] = NETWORKS[network][2]
    options = {"jit_compile": False} | options
    loss = keras.losses.CategoricalCrossentropy(from_logits=True)
    model.compile(optimizer="adam", loss=loss, metrics=["accuracy"], **options)
    batches = tf.data.Dataset.from_tensors(data).repeat().prefetch(2)

    def train(steps: int) -> int:
        whole = options.get("steps_per_execution", 1)
        steps = max(1, steps // whole) * whole
        model.fit(batches, steps_per_epoch=steps, verbose=0)
        return steps

    return train


def pytorch(network: str):
    """Return a function that trains n steps with eager PyTorch, and returns n."""
    import torch

    torch.set_flush_denormal(True)  # as TensorFlow does; one batch over and over gives tiny gradients, which are slow
    inputs, targets = batch(network)
    x, y = torch.from_numpy(inputs), torch.from_numpy(targets)
    x = x.permute(0, 3, 1, 2).contiguous() if x.ndim == 4 else x
    model = torch_network(network)
    optimizer = torch.optim.Adam(model.parameters())
    loss_function = torch.nn.CrossEntropyLoss()

    def train(steps: int) -> int:
        right = torch.zeros(())
        for _ in range(steps):
            optimizer.zero_grad()
            outputs = model(x)
            loss = loss_function(outputs, y)
            loss.backward()
            optimizer.step()
            right += (outputs.argmax(1) == y).sum()
        return steps

    return train


def serve(contestant: str, network: str, seconds: float) -> None:
    """Train for a while for each line of input, and print the samples per CPU-second."""
    if contestant.startswith("dltemplates"):
        train = ours(network, **CONTESTANTS[contestant])
    elif contestant == "pytorch eager":
        train = pytorch(network)
    else:
        train = keras_fit(network, **CONTESTANTS[contestant])
    _, size, _ = NETWORKS[network]
    steps = 4
    for _ in range(2):  # the first calls compile
        train(steps)
    while True:
        started = time.perf_counter()
        train(steps)
        elapsed = time.perf_counter() - started
        if elapsed > seconds / 2:
            break
        steps *= 2
    steps = max(1, int(steps * seconds / elapsed))
    train(steps)
    print("ready", flush=True)
    for _ in sys.stdin:
        started = time.process_time()
        print(train(steps) * size / (time.process_time() - started), flush=True)


def compete(network: str, contestants: dict[str, str], rounds: int, seconds: float) -> dict[str, float]:
    """Let the contestants take turns, and return the median samples per CPU-second of each."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3"}
    processes = {
        name: subprocess.Popen(
            [python, __file__, "--serve", name, "--network", network, "--seconds", str(seconds)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | environment,
        )
        for name, python in contestants.items()
    }  # fmt: skip
    for name, process in processes.items():
        if process.stdout.readline().strip() != "ready":
            sys.exit(f"{name} failed on {network}")
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, process in processes.items():
            process.stdin.write("go\n")
            process.stdin.flush()
            speeds[name].append(float(process.stdout.readline()))
    for process in processes.values():
        process.stdin.close()
        process.wait()
    return {name: statistics.median(values) for name, values in speeds.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="per turn")
    parser.add_argument("--network", choices=list(NETWORKS), help="this network only")
    parser.add_argument("--torch-python", default=sys.executable, help="the Python that has torch")
    parser.add_argument("--serve", choices=list(CONTESTANTS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.network, options.seconds)
        return
    has_torch = not subprocess.run([options.torch_python, "-c", "import torch"], capture_output=True).returncode
    contestants = dict.fromkeys(CONTESTANTS, sys.executable)
    if has_torch:
        contestants["pytorch eager"] = options.torch_python
    else:
        print("pytorch eager: not installed")
        del contestants["pytorch eager"]
    for network in [options.network] if options.network else NETWORKS:
        speeds = compete(network, contestants, options.rounds, options.seconds)
        best = max(speed for name, speed in speeds.items() if name.startswith("keras"))
        for name, speed in speeds.items():
            beside = f"{speed / best:.2f} of the best Keras, {speed / speeds['keras fit']:.2f} of plain fit"
            print(f"{network:9} {name:27} {speed:10.0f} samples per CPU-second, {beside}", flush=True)


if __name__ == "__main__":
    main()
