"""Private functions of other libraries, and Unix-only functions, each behind a named function.

An upgrade may change them without notice. So each function names the version that it was tried with, says what would
break, and has its own test in `tests/test_compat.py`. No other module may use private or Unix-only functions. This
module imports TensorFlow and Keras only inside functions.
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
# Files of a container's control group, versions 2 and 1: memory limit, memory in use, statistics; and the name of the
# statistic that counts the file cache.
CGROUPS = (
    ("memory.max", "memory.current", "memory.stat", "inactive_file"),
    ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file"),
)


def flatten_layers(layer: keras.Layer, *, include_self: bool = True) -> list[keras.Layer]:
    """List a layer or model and all layers inside it, at any depth.

    The public `Model.layers` leaves out sublayers, such as those of a wrapper or of a user's own layer.

    Tried with Keras 3.15 (`Layer._flatten_layers`). Without it, training on several devices and export would miss the
    batch normalization and dropout inside other layers.
    """
    return list(layer._flatten_layers(include_self=include_self))


def operations_by_depth(model: keras.Model) -> dict[int, list[keras.Operation]]:
    """Group the operations of a functional model by their distance from the output.

    Tried with Keras 3.15 (`Function._operations_by_depth`). Without it, the stages of a model's summary are wrong.

    Returns:
        The operations by depth, 0 for the last; empty for a model without a graph.
    """
    return getattr(model, "_operations_by_depth", None) or {}


def graph_nodes(model: keras.Model) -> list[tuple[keras.Operation, list[Any], list[Any]]]:
    """List the calls in the graph of a functional model, each after the calls whose outputs it reads.

    Tried with Keras 3.15 (`Function._nodes_by_depth`). Without it, no network can be split into frozen layers and
    layers to train.

    Returns:
        The operation, its input tensors and its output tensors for each call; empty for a model without a graph.
    """
    by_depth = getattr(model, "_nodes_by_depth", None) or {}
    nodes = [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]
    return [(node.operation, list(node.input_tensors), list(node.outputs)) for node in nodes]


def operation_types(model: keras.Model) -> dict[str, str]:
    """Return the class names of all layers and of the operations between them, such as `ops.erfinv`, by name."""
    layers = flatten_layers(model)
    operations = [operation for layer in layers for operation in getattr(layer, "operations", ())]
    return {each.name: type(each).__name__ for each in [*operations, *layers]}


def run_through_graph(function: keras.Function, inputs: Sequence[Any], call: Callable[..., Any]) -> Any:
    """Run a functional model with your own function in place of each layer call.

    Tried with Keras 3.15 (`Function._run_through_graph`). Without it, a report shows no feature maps and no Grad-CAM.

    Args:
        function: The functional model.
        inputs: One tensor per input, in the model's order and dtypes.
        call: Function `call(operation, *args, **kwargs)` that returns the operation's output.

    Returns:
        The outputs, in the structure of the model's outputs.
    """
    return function._run_through_graph(inputs, call_fn=call)


def holds_seed_generator(layer: keras.Layer) -> bool:
    """Return whether a layer has its own random generator among its attributes.

    Tried with Keras 3.15, whose random layers keep a `SeedGenerator` in an attribute. Without it, dropout would draw
    the same noise on every device, without a warning.
    """
    import keras

    return any(isinstance(value, keras.random.SeedGenerator) for value in vars(layer).values())


def take_summed_gradients(optimizer: keras.optimizers.Optimizer) -> None:
    """Make an optimizer skip its sum of gradients over the replicas, since they are summed already.

    Keras sums them after clipping, but several devices should take the same step as one.

    Tried with Keras 3.15 (`_all_reduce_sum_gradients` of its TensorFlow optimizers). Without it, the steps of N devices
    would be N times too long.
    """
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    inner._all_reduce_sum_gradients = lambda gradients_and_variables: gradients_and_variables


def schedule_of(optimizer: keras.optimizers.Optimizer) -> keras.optimizers.schedules.LearningRateSchedule | None:
    """Return the learning-rate schedule of an optimizer, with or without a loss scale; None for a constant rate.

    Tried with Keras 3.15 (`Optimizer._learning_rate`). Without it, the training history would show the rate of the next
    step, which the public `learning_rate` holds.
    """
    import keras

    rate = getattr(optimizer, "inner_optimizer", optimizer)._learning_rate
    return rate if isinstance(rate, keras.optimizers.schedules.LearningRateSchedule) else None


def slot_of(optimizer: keras.optimizers.Optimizer, variable: Any) -> int:
    """Return the index of a variable in an optimizer's lists of slots, such as `momentums`.

    Tried with Keras 3.15 (`Optimizer._get_variable_index`). Without it, our own optimizers cannot find their slots.
    """
    return optimizer._get_variable_index(variable)


def without_variables(function: Any) -> tuple[Any, set[str]]:
    """Replace the variables of a concrete function by constants.

    TensorFlow's public `convert_variables_to_constants_v2` also builds a function from the graph, which takes most of
    the time.

    Tried with TensorFlow 2.21 (`tensorflow.python.framework.convert_to_constants`). Without it, no model is converted
    to TFLite or ONNX.

    Args:
        function: A concrete function.

    Returns:
        The `GraphDef`, and the names of the inputs that held variables.
    """
    from tensorflow.python.framework import convert_to_constants

    data = convert_to_constants._FunctionConverterDataInEager(
        function, lower_control_flow=False, aggressive_inlining=True
    )
    graph_def, indices = convert_to_constants._replace_variables_by_constants(data)
    return graph_def, {function.graph.internal_captures[index].name for index in indices}


def allow_inlining(graph_def: Any) -> bool:
    """Remove the "must compile" mark from all functions of a graph (Keras sets it for grouped convolutions).

    A marked function is not inlined, and converters cannot read it.

    Tried with TensorFlow 2.21, which marks such functions with `_XlaMustCompile`. Without it, models with grouped
    convolutions could not be converted.

    Args:
        graph_def: The graph, changed in place.

    Returns:
        Whether any function was marked.
    """
    functions = graph_def.library.function
    nodes = [*graph_def.node, *(node for function in functions for node in function.node_def)]
    marked = [part for part in [*nodes, *functions] if "_XlaMustCompile" in part.attr]
    for part in marked:
        del part.attr["_XlaMustCompile"]
    if marked:  # new names, since TensorFlow keeps the old functions under the old ones
        names = {function.signature.name: f"{function.signature.name}_inlinable" for function in functions}
        for function in functions:
            function.signature.name = names[function.signature.name]
        for value in (value for node in nodes for value in node.attr.values()):
            if value.func.name in names:
                value.func.name = names[value.func.name]
        del graph_def.library.gradient[:]
    return bool(marked)


def optimize_in_place(graph: tf2onnx.graph.Graph) -> tf2onnx.graph.Graph:
    """Run tf2onnx's optimization passes on a graph without copying its weights.

    By default tf2onnx copies the graph before each pass, and then writes all nodes into protocol buffers. The buffers
    of constants are copies of the weights. No pass reads them; tf2onnx writes them when it builds the model.

    Tried with tf2onnx 1.17, whose passes call `Graph.update_proto`. Without it, large models would take many times the
    time and memory to convert.

    Raises:
        Exception: Any error of a pass; the graph is then unusable.
    """
    from tf2onnx import optimizer

    def update_proto():
        for node in graph.get_nodes():
            if not node.is_const():
                node.update_proto()

    graph.update_proto = update_proto
    optimized = optimizer.optimize_graph(graph, catch_errors=False)
    del graph.update_proto  # restores the method of the class
    return optimized


def pixel_coding(image: Image.Image) -> tuple[str, Any] | None:
    """Return the pixel coding of an image file: Pillow's codec, and the order of the bytes (raw mode).

    Tried with Pillow 13 (`ImageFile.tile`, undocumented for readers). Without it, we could not tell which files
    TensorFlow decodes to the same pixels as Pillow.

    Returns:
        Codec and raw mode, such as `("zip", "RGB")`; None if there are no pixels.
    """
    tile = getattr(image, "tile", None)
    if not tile:
        return None
    codec, arguments = tile[0][0], tile[0][3]
    return codec, arguments[0] if isinstance(arguments, tuple) else arguments


def jpeg_sampling(image: Image.Image) -> set[tuple[int, int]]:
    """Return the horizontal and vertical sampling factors of a JPEG file's components.

    Tried with Pillow 13 (`JpegImageFile.layer`, undocumented). Without it, Pillow would read all JPEG files, which
    takes longer.
    """
    return {tuple(component[1:3]) for component in getattr(image, "layer", ())}


def start_process(command: Sequence[str], *, dies_with_parent: bool = False, **options: Any) -> subprocess.Popen[str]:
    """Start a process in its own session, so that Ctrl-C reaches only the present process.

    Unix only: Windows has no such sessions.

    Args:
        command: The program and its arguments.
        dies_with_parent: On Linux, kill the new process when this one ends for any reason.
        options: Options of `subprocess.Popen`; pipes carry text.
    """
    preexec = die_with_parent if dies_with_parent else None
    return subprocess.Popen(command, text=True, start_new_session=True, preexec_fn=preexec, **options)


def search_path() -> str:
    """Return the search path for modules of a child process: the one of this process without the current folder."""
    current, package = os.getcwd(), str(Path(__file__).parents[1])
    paths = [path for path in sys.path if path and os.path.abspath(path) != current]
    return os.pathsep.join([*paths, package])  # last, as it may be the current folder itself


def die_with_parent() -> None:
    """Make Linux kill this process when its parent ends for any reason. Other systems have no such call."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def end_process() -> None:
    """End this process at once, from any thread; `sys.exit` would end the thread alone."""
    os._exit(0)


def interrupt(process: subprocess.Popen[str]) -> None:
    """Ask a process to stop, as Ctrl-C does. Unix only: Windows sends no SIGINT to one process."""
    process.send_signal(signal.SIGINT)


def is_alive(process: int) -> bool:
    """Return whether a process with this id exists. Unix only: on Windows, `os.kill` would end it."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:  # another user's
        return True
    return True


def signal_name(status: int) -> str:
    """Return the name of the signal that ended a process, or its number if it has no name.

    Unix only: Windows does not end processes by signals.

    Args:
        status: The negative return code of `subprocess`.
    """
    try:
        return signal.Signals(-status).name
    except ValueError:
        return str(-status)


def peak_memory() -> int:
    """Return the peak memory of this process so far, in bytes.

    Unix only. On systems other than Linux, the memory of the parent process counts too.
    """
    import resource

    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))
    except (OSError, StopIteration):
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def available_memory() -> int | None:
    """Return the bytes of free memory of this machine or container; None if unknown.

    The file cache counts as free. macOS does not report free memory, so the result there is all memory of the machine.
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
    """Return the bytes that a container may still use; infinite without a container or a limit."""
    try:
        total, used = (int((folder / name).read_text(encoding="utf-8")) for name in (limit, usage))
        lines = (folder / stat).read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):  # a group without a limit holds "max", or a number above any machine's memory
        return math.inf
    return total - used + sum(int(line.split()[1]) for line in lines if line.startswith(f"{cached} "))


def sync_to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on disk. Unix only: Windows cannot open a folder."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_freed_memory() -> None:
    """Make the C library keep up to 1 GiB of freed memory.

    By default it returns the memory of each large array to Linux, which clears it page by page before the next use: a
    tenth of the time to read images. Other libraries than glibc are left as they are.

    Tried with glibc 2.36 (`mallopt`). Without it, training only takes longer.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt:
        mallopt(M_MMAP_THRESHOLD, KEPT_MEMORY)
        mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY)
