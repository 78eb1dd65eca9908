"""The devices of a training: one, several on one machine, or several machines, with TensorFlow's strategies.

Every batch is cut into equal parts, one for each replica of the model. Gradients and metrics are summed over the
replicas, so a training gives the same result as on one device, up to the rounding of these sums.
"""

from __future__ import annotations

import contextlib
import functools
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import tensorflow as tf

from dltemplates.compat import keep_freed_memory
from dltemplates.datasets.pipeline import Shard
from dltemplates.errors import LostWorkersError
from dltemplates.training.workers.cluster import Cluster, read_cluster

Strategy = Literal["auto", "single", "mirrored", "multiworker"]
LOST_WORKER_ERRORS = (
    tf.errors.UnavailableError,
    tf.errors.AbortedError,
    tf.errors.CancelledError,
    tf.errors.DeadlineExceededError,
)


@dataclass(frozen=True)
class Distribution:
    """The devices of one training.

    Attributes:
        strategy: TensorFlow's strategy.
        rank: Index of this worker; the chief has 0 and writes the run.
        workers: Number of processes that train together.
    """

    strategy: tf.distribute.Strategy
    rank: int = 0
    workers: int = 1

    @property
    def replicas(self) -> int:
        """Number of copies of the model; each trains on its part of the batch."""
        return self.strategy.num_replicas_in_sync

    @property
    def is_chief(self) -> bool:
        return self.rank == 0

    @property
    def shard(self) -> Shard:
        """The parts of each batch that this process prepares."""
        local = self.replicas // self.workers
        return Shard(self.replicas, range(self.rank * local, (self.rank + 1) * local))

    def iterator(self, batches: tf.data.Dataset) -> Any:
        """Return an iterator over this process's parts of the batches, each on its device."""
        if self.replicas == 1:
            return iter(batches)
        return iter(self.strategy.distribute_datasets_from_function(lambda _: batches))

    def gather(self, values: list[int]) -> np.ndarray:
        """Gather the integers of all workers: (workers, len(values)) int64."""
        if self.workers == 1:
            return np.array([values], np.int64)

        with self.translate_worker_errors():
            gathered = self.strategy.run(self._gather, args=(tf.constant([values], tf.int64),))
            rows = self.strategy.experimental_local_results(gathered)[0]
            return rows.numpy()[:: self.replicas // self.workers]

    @functools.cached_property
    def _gather(self) -> Any:
        def gather(mine: Any) -> Any:
            here = tf.identity(mine)  # moves the argument to this replica's device
            return tf.distribute.get_replica_context().all_gather(here, axis=0)

        return tf.function(gather)

    def gather_text(self, text: str) -> list[str]:
        """Gather the texts of all workers, by rank."""
        if self.workers == 1:
            return [text]
        mine = text.encode()
        lengths = self.gather([len(mine)])[:, 0]
        padded = mine.ljust(int(lengths.max()), b"\0")
        rows = self.gather(list(padded)).astype(np.uint8)
        return [row[:length].tobytes().decode() for row, length in zip(rows, lengths, strict=True)]

    def broadcast_variables(self, variables: list[Any]) -> None:
        """Set variables to the chief's values on every worker."""
        if self.workers == 1:
            return

        def total():
            context = tf.distribute.get_replica_context()
            is_source = tf.equal(context.replica_id_in_sync_group, 0)
            totals = []
            for variable in variables:  # one by one, since their dtypes may differ
                value = tf.convert_to_tensor(variable)
                value = value if value.dtype.is_floating else tf.cast(value, tf.int64)
                own = tf.where(is_source, value, tf.zeros_like(value))
                totals.append(context.all_reduce(tf.distribute.ReduceOp.SUM, own))
            return totals

        with self.translate_worker_errors():
            totals = self.strategy.run(tf.function(total))
            for variable, value in zip(variables, totals, strict=True):
                first = self.strategy.experimental_local_results(value)[0]
                variable.assign(tf.cast(first, variable.dtype))

    def barrier(self, text: str = "") -> str:
        """Wait until every worker gets here: a worker that ends early would look like a failure to the others.

        Args:
            text: The chief's message.

        Returns:
            The chief's message, on every worker.

        Raises:
            LostWorkersError: If a worker was lost; not on the chief, since it has everything it needs.
        """
        try:
            return self.gather_text(text)[0]
        except LostWorkersError:
            if not self.is_chief:
                raise
            return text

    @contextlib.contextmanager
    def translate_worker_errors(self):
        """Turn TensorFlow's many errors for a lost worker into one.

        Raises:
            LostWorkersError: If another worker cannot be reached.
        """
        try:
            yield
        except LOST_WORKER_ERRORS as error:
            if self.workers == 1:
                raise
            raise LostWorkersError(
                f"worker {self.rank} of {self.workers} lost the connection to another worker. "
                "Start all workers again with --resume"
            ) from error

    def __str__(self) -> str:
        devices = f"{self.replicas // self.workers} x {'GPU' if tf.config.list_physical_devices('GPU') else 'CPU'}"
        return devices if self.workers == 1 else f"{self.workers} workers of {devices}"


def make_distribution(strategy: Strategy = "auto", devices: int | None = None) -> Distribution:
    """Choose the devices. Call it before any other use of TensorFlow.

    Args:
        strategy: `single` device; `mirrored` over the devices of this machine; `multiworker` over the machines in
            `TF_CONFIG`; `auto` takes `multiworker` with `TF_CONFIG`, `mirrored` with several devices, else `single`.
        devices: Number of devices on this machine. Without GPUs this many logical CPU devices are created. None for
            all GPUs, or the CPU.

    Raises:
        ValueError: If the devices do not exist, or the arguments contradict each other.
    """
    cluster = read_cluster() if strategy in ("auto", "multiworker") else None
    if strategy == "multiworker" and cluster is None:
        raise ValueError(
            "Strategy multiworker needs several workers. Received: no TF_CONFIG with more than one. "
            "Start them here with --workers 2, or set TF_CONFIG on each machine."
        )
    if devices is not None and devices < 1:
        raise ValueError(f"The number of devices must be at least 1. Received: {devices}. Leave it out for all.")
    if devices is not None and devices > 1 and (cluster or strategy == "single"):
        received = "a training on several workers" if cluster else "--strategy single"
        raise ValueError(
            f"Several devices need the strategy mirrored on one worker. Received: {devices} devices and {received}. "
            "Drop one."
        )
    keep_freed_memory()
    gpus = _prepare_gpus()
    if cluster:
        return _several_workers(cluster)
    if strategy == "single" or devices == 1 or (devices is None and len(gpus) < 2):
        if strategy == "mirrored" and devices is None:
            raise ValueError(
                "Strategy mirrored needs several devices. Received: one. Give --devices 2, or --strategy single."
            )
        return Distribution(tf.distribute.get_strategy())
    return Distribution(_mirrored(gpus, devices or len(gpus)))


def _prepare_gpus() -> list[Any]:
    """Return the GPUs, set to allocate memory only as needed."""
    gpus = tf.config.list_physical_devices("GPU")
    for gpu in gpus:
        with contextlib.suppress(RuntimeError):  # TensorFlow runs already, and keeps its first setup
            tf.config.experimental.set_memory_growth(gpu, True)
    return gpus


def _mirrored(gpus: list[Any], devices: int) -> tf.distribute.Strategy:
    if gpus:
        if devices > len(gpus):
            raise ValueError(
                f"`devices` must be at most the number of GPUs, {len(gpus)}. Received: {devices}. Leave it out for all."
            )
        return tf.distribute.MirroredStrategy([f"GPU:{number}" for number in range(devices)])
    (cpu,) = tf.config.list_physical_devices("CPU")
    configuration = [tf.config.LogicalDeviceConfiguration()] * devices
    # Running TensorFlow cannot change its devices; the check below reports it.
    with contextlib.suppress(RuntimeError):
        tf.config.set_logical_device_configuration(cpu, configuration)
    here = len(tf.config.list_logical_devices("CPU"))
    if here < devices:
        raise ValueError(
            f"CPU devices must be created before TensorFlow is first used. Received: {devices} devices, where this "
            f"process has {here}. Train in a fresh process."
        )
    return tf.distribute.MirroredStrategy(
        [f"CPU:{number}" for number in range(devices)],
        # TensorFlow's default fails on CPUs inside a loop.
        cross_device_ops=tf.distribute.ReductionToOneDevice(),
    )


def _several_workers(cluster: Cluster) -> Distribution:
    return Distribution(tf.distribute.MultiWorkerMirroredStrategy(), cluster.rank, len(cluster.addresses))
