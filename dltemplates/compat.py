"""The private parts of other libraries that this package uses, and what only Unix has, each behind a named function.

An upgrade may change any of it without notice. So each function says which version it was tried with and what would
break, and has a test of its own in `tests/test_compat.py`; no other module may use such parts. Nothing here imports
TensorFlow or Keras before it is called.
"""

from __future__ import annotations

import ctypes
import math
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    import tf2onnx
    from PIL import Image

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # malloc.h
KEPT_MEMORY = 2**30  # bytes
PR_SET_PDEATHSIG = 1  # linux/prctl.h
# Where the control group of a container, of version 2 and 1, says how much memory it may take, how much it takes, and
# how much of that is cached of files.
CGROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def flatten_layers(layer: keras.Layer, *, include_self: bool = True) -> list[keras.Layer]:
    """List a layer or model and all layers inside it, at any depth.

    The public `Model.layers` leaves out sublayers, such as those of a wrapper or of a user's own layer.

    Tried with Keras 3.15 (`Layer._flatten_layers`). Without it, batch normalization and dropout inside other layers
    would escape what prepares them for training, for several devices and for export.
    """
    return list(layer._flatten_layers(include_self=include_self))


def operations_by_depth(model: keras.Model) -> dict[int, list[keras.Operation]]:
    """Group the operations of a functional model by their distance from the output.

    Tried with Keras 3.15 (`Function._operations_by_depth`). Without it, the stages of a model's summary are wrong.

    Returns:
        The operations by depth, 0 for the last; empty for a model that keeps no graph.
    """
    return getattr(model, "_operations_by_depth", None) or {}


def run_through_graph(function: keras.Function, inputs: Sequence[Any], call: Callable[..., Any]) -> Any:
    """Run a functional model with a function of your own in the place of every call of a layer.

    Tried with Keras 3.15 (`Function._run_through_graph`). Without it, a report shows no feature maps and no Grad-CAM.

    Args:
        function: The functional model.
        inputs: A tensor for each of its inputs, in their order, in their dtypes.
        call: `call(operation, *args, **kwargs)` returns what the operation gives.

    Returns:
        The outputs, in the structure of the model's.
    """
    return function._run_through_graph(inputs, call_fn=call)


def holds_seed_generator(layer: keras.Layer) -> bool:
    """Tell whether a layer has a random generator of its own, by looking through its attributes.

    Tried with Keras 3.15, whose random layers keep a `SeedGenerator` in an attribute. Otherwise dropout would draw the
    same noise on each of several devices, unnoticed.
    """
    import keras

    return any(isinstance(value, keras.random.SeedGenerator) for value in vars(layer).values())


def take_summed_gradients(optimizer: keras.optimizers.Optimizer) -> None:
    """Tell an optimizer that the gradients it is given are summed over the replicas already.

    Keras would sum them after clipping; several devices should take the same step as one.

    Tried with Keras 3.15 (`_all_reduce_sum_gradients` of its TensorFlow optimizers). Without it, several devices would
    take steps that are too long, by their number.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner._all_reduce_sum_gradients = lambda gradients_and_variables: gradients_and_variables


def schedule_of(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.schedules.LearningRateSchedule | None:
    """Return the learning-rate schedule of an optimizer, also of one with a loss scale; None for a constant rate.

    Tried with Keras 3.15 (`Optimizer._learning_rate`): the public `learning_rate` is the value at the next step.
    Without it, the history of a training shows the rate of the next step.
    """
    import keras

    rate = getattr(optimizer, "inner_optimizer", optimizer)._learning_rate
    return rate if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else None


def slot_of(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """Return the place of a variable in an optimizer's lists of slots, such as `momentums`.

    Tried with Keras 3.15 (`Optimizer._get_variable_index`). Without it, an optimizer of our own cannot find its slots.
    """
    return optimizer._get_variable_index(variable)


def without_variables(function: Any) -> tuple[Any, set[str]]:
    """Replace the variables of a concrete function by constants.

    TensorFlow's own `convert_variables_to_constants_v2` goes on to make a function of the graph, which takes most of
    its time.

    Tried with TensorFlow 2.21 (`tensorflow.python.framework.convert_to_constants`). Without it, no model is converted
    to TFLite or ONNX.

    Args:
        function: A concrete function.

    Returns:
        The `GraphDef`, and the names of the function's inputs that stood for variables.
    """
    from tensorflow.python.framework import convert_to_constants

    data = convert_to_constants._FunctionConverterDataInEager(
        function, lower_control_flow=False, aggressive_inlining=True
    )
    graph_def, places = convert_to_constants._replace_variables_by_constants(data)
    return graph_def, {function.graph.internal_captures[place].name for place in places}


def allow_inlining(graph_def: Any) -> bool:
    """Take the order to compile off every function of a graph (Keras gives it to grouped convolutions).

    A function that must be compiled is not inlined, and no converter can look into it.

    Tried with TensorFlow 2.21, which marks such functions by `_XlaMustCompile`. Otherwise models with grouped
    convolutions could not be converted.

    Args:
        graph_def: The graph, changed in place.

    Returns:
        Whether there was such an order.
    """
    functions = graph_def.library.function
    nodes = [*graph_def.node, *(node for function in functions for node in function.node_def)]
    marked = [part for part in [*nodes, *functions] if "_XlaMustCompile" in part.attr]
    for part in marked:
        del part.attr["_XlaMustCompile"]
    if marked:  # TensorFlow knows the functions as they were, by their names
        names = {function.signature.name: f"{function.signature.name}_opened" for function in functions}
        for function in functions:
            function.signature.name = names[function.signature.name]
        for value in (value for node in nodes for value in node.attr.values()):
            if value.func.name in names:
                value.func.name = names[value.func.name]
        del graph_def.library.gradient[:]
    return bool(marked)


def optimize_in_place(graph: tf2onnx.graph.Graph) -> tf2onnx.graph.Graph:
    """Run the passes of tf2onnx on a graph without copying its weights.

    By itself tf2onnx copies the graph before each pass, and after it writes all nodes into their protocol buffers.
    Those of constants, which are copies of the weights, are read by no pass, and written when the model is made.

    Tried with tf2onnx 1.17, whose passes call `Graph.update_proto`. Otherwise large models would take many times the
    time and memory to convert.

    Raises:
        Exception: Whatever a pass raises; the graph is then of no more use.
    """
    from tf2onnx import optimizer

    def update_proto():
        for node in graph.get_nodes():
            if not node.is_const():
                node.update_proto()

    graph.update_proto = update_proto
    optimized = optimizer.optimize_graph(graph, catch_errors=False)
    del graph.update_proto  # the class's own again
    return optimized


def pixel_coding(image: Image.Image) -> tuple[str, Any] | None:
    """Return how an image file codes its pixels: Pillow's codec, and the order of the bytes (its raw mode).

    Tried with Pillow 13 (`ImageFile.tile`, undocumented for readers). Without it, TensorFlow's decoders could not be
    chosen where they give the pixels that Pillow gives.

    Returns:
        The two, such as `("zip", "RGB")`; None where there are no pixels.
    """
    tile = getattr(image, "tile", None)
    if not tile:
        return None
    codec, arguments = tile[0][0], tile[0][3]
    return codec, arguments[0] if isinstance(arguments, tuple) else arguments


def jpeg_sampling(image: Image.Image) -> set[tuple[int, int]]:
    """Return the horizontal and vertical sampling factors of a JPEG file's components.

    Tried with Pillow 13 (`JpegImageFile.layer`, undocumented). Without it, JPEG files would be read by Pillow alone,
    which takes longer.
    """
    return {tuple(component[1:3]) for component in getattr(image, "layer", ())}


def start_process(command: Sequence[str], *, dies_with_parent: bool = False, **options: Any) -> subprocess.Popen[str]:
    """Start a process in a session of its own, so that Ctrl-C reaches this process alone.

    Unix only: Windows has no sessions of this kind.

    Args:
        command: The program and its arguments.
        dies_with_parent: Have Linux kill the process when this one ends, however it ends.
        options: Of `subprocess.Popen`; pipes carry text.
    """
    preexec = _die_with_parent if dies_with_parent and sys.platform == "linux" else None
    return subprocess.Popen(command, text=True, start_new_session=True, preexec_fn=preexec, **options)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ask a process to stop, as Ctrl-C does. Unix only: Windows sends no SIGINT to one process."""
    process.send_signal(signal.SIGINT)


def is_alive(process: int) -> bool:
    """Tell whether there is a process with this id. Unix only: on Windows, `os.kill` would end it."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def signal_name(status: int) -> str:
    """Return the name of the signal that ended a process, or its number where it has no name.

    Unix only: on Windows no process ends by a signal.

    Args:
        status: The negative return code that `subprocess` gives.
    """
    try:
        return signal.Signals(-status).name
    except ValueError:
        return str(-status)


def peak_memory() -> int:
    """Return the most memory that this process has had by now, in bytes.

    Unix only. On systems other than Linux that of the process that started it counts too.
    """
    import resource

    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def available_memory() -> int | None:
    """Return the bytes of memory that this machine, or the container around it, can still give; None where unknown.

    What is cached of files counts as free. On macOS, which does not say what it can give, it is all memory of the
    machine.
    """
    try:
        lines = Path("/proc/meminfo").read_text(encoding="utf-8").splitlines()
        free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        try:
            return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None
    return int(min(free, *(_free_in_group(Path("/sys/fs/cgroup"), *names) for names in CGROUPS)))


def _free_in_group(folder: Path, limit: str, usage: str, stat: str, cached: str) -> float:
    """The bytes that a container may still take; infinite where there is none, or none with a limit."""
    try:
        most, used = (int((folder / name).read_text(encoding="utf-8")) for name in (limit, usage))
        lines = (folder / stat).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):  # a group without a limit has "max", or more than any machine
        return math.inf
    return most - used + sum(int(line.split()[1]) for line in lines if line.startswith(f"{cached} "))


def sync_to_disk(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk. Unix only: Windows opens no folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_freed_memory() -> None:
    """Ask the C library to keep up to a gibibyte of freed memory.

    By default it gives the memory of every large array back to Linux, which clears it page by page before the next
    array of the same size gets it: a tenth of the time of reading images. Does nothing where the library is not glibc.

    Tried with glibc 2.36 (`mallopt`). Without it, training only takes longer.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, KEPT_MEMORY)
        mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY)
