"""The functions of `compat`, which wrap private and Unix-only names, work with the installed versions."""

import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter

import keras
import numpy as np
import onnxruntime
import pytest
import tensorflow as tf
import tf2onnx
from keras import layers
from PIL import Image
from tf2onnx import tfonnx

from dltemplates import compat
from dltemplates.layers.sampling import Sampling


def run_python(program, **environment):
    """Run a program in a new process, and return the words of its output."""
    environment = os.environ | {"CUDA_VISIBLE_DEVICES": "-1"} | environment
    command = [sys.executable, "-c", textwrap.dedent(program)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


class NestedLayer(layers.Layer):
    """Layer that contains two others."""

    def __init__(self, **options):
        super().__init__(**options)
        self.inner_layers = [layers.BatchNormalization(name="norm"), layers.Dense(4, name="dense")]

    def call(self, inputs):
        return self.inner_layers[1](self.inner_layers[0](inputs))


@pytest.fixture
def branches():
    """Build a model whose last layer adds two branches."""
    inputs = keras.Input((4,), name="inputs")
    x = layers.Dense(4, name="first")(inputs)
    x = layers.Add(name="last")([layers.Dense(4, name="left")(x), layers.Dense(4, name="right")(x)])
    return keras.Model(inputs, x)


def test_calls_are_listed_after_those_that_they_read(branches):
    nodes = compat.graph_nodes(branches)
    names = [operation.name for operation, _, _ in nodes]
    assert names[:2] == ["inputs", "first"]
    assert set(names[2:4]) == {"left", "right"}
    assert names[4] == "last"
    name_of = {id(tensor): operation.name for operation, _, outputs in nodes for tensor in outputs}
    assert [name_of[id(tensor)] for tensor in nodes[4][1]] == ["left", "right"]
    assert compat.graph_nodes(keras.Sequential()) == []


def test_all_layers_are_listed_at_any_depth():
    inputs = keras.Input((3, 4), name="inputs")
    wrapper = layers.TimeDistributed(layers.BatchNormalization(name="wrapped"), name="wrapper")
    inner = keras.Model(inputs, wrapper(inputs), name="inner")
    outer = keras.Input((3, 4), name="outer")
    model = keras.Model(outer, NestedLayer(name="own")(inner(outer)), name="model")
    assert [layer.name for layer in model.layers] == ["outer", "inner", "own"]
    expected = ["dense", "inner", "inputs", "norm", "outer", "own", "wrapped", "wrapper"]
    assert sorted(layer.name for layer in compat.flatten_layers(model, include_self=False)) == expected
    assert sorted(layer.name for layer in compat.flatten_layers(model)) == sorted([*expected, "model"])


def test_operations_are_grouped_by_their_distance_from_the_output(branches):
    found = compat.operations_by_depth(branches)
    assert {depth: {operation.name for operation in beside} for depth, beside in found.items()} == {
        0: {"last"},
        1: {"left", "right"},
        2: {"first"},
        3: {"inputs"},
    }


def test_a_model_without_a_graph_has_no_depths():
    class Subclassed(keras.Model):
        def call(self, inputs):
            return inputs

    assert compat.operations_by_depth(Subclassed()) == {}


def test_run_through_graph_calls_every_layer_through_the_function(branches):
    images, calls = tf.ones((2, 4)), []

    def doubled(operation, *args, **kwargs):
        calls.append(operation.name)
        return 2 * operation(*args, **kwargs)

    outputs = compat.run_through_graph(branches, [images], doubled)
    first, left, right = (branches.get_layer(name) for name in ("first", "left", "right"))
    x = 2 * first(images)
    np.testing.assert_allclose(outputs, 2 * (2 * left(x) + 2 * right(x)), rtol=1e-5)
    assert np.ptp(outputs) > 0
    assert calls[0] == "first"
    assert sorted(calls) == ["first", "last", "left", "right"]


@pytest.mark.parametrize(
    ("build", "expected"),
    [
        (lambda: layers.Dropout(0.5), True),
        (lambda: layers.GaussianNoise(0.5), True),
        (lambda: layers.RandomFlip(), True),
        (lambda: Sampling(), True),
        (lambda: layers.Dense(2), False),
        (lambda: layers.BatchNormalization(), False),
    ],
)
def test_random_layers_hold_a_seed_generator(build, expected):
    assert compat.holds_seed_generator(build()) is expected


def test_summed_gradients_are_not_summed_again():
    moved = run_python("""
        import keras
        import tensorflow as tf

        from dltemplates.compat import take_summed_gradients

        (cpu,) = tf.config.list_physical_devices("CPU")
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
        operations = tf.distribute.ReductionToOneDevice()
        strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"], cross_device_ops=operations)

        def moved(wrap, summed):
            with strategy.scope():
                variable = keras.Variable([0.0])
                optimizer = wrap(keras.optimizers.SGD(1.0))
                optimizer.build([variable])
            if summed:
                take_summed_gradients(optimizer)
            step = lambda: optimizer.apply([tf.constant([1.0])], [variable])
            tf.function(lambda: strategy.run(step))()
            return -float(variable.numpy()[0])

        scaled = lambda optimizer: keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=1.0)
        print(*(moved(wrap, summed) for wrap in (lambda optimizer: optimizer, scaled) for summed in (False, True)))
    """)
    assert list(map(float, moved)) == [2, 1, 2, 1]


def test_slot_of_finds_the_momentum_of_a_variable():
    first, second = keras.Variable([0.0]), keras.Variable([0.0])
    optimizer = keras.optimizers.SGD(0.5, momentum=0.9)
    optimizer.build([first, second])
    optimizer.apply([tf.constant([1.0]), tf.constant([4.0])], [first, second])
    found = [float(optimizer.momentums[compat.slot_of(optimizer, variable)][0]) for variable in (first, second)]
    assert found == [-0.5, -2.0]


def concrete(call):
    return tf.function(call).get_concrete_function(x=tf.TensorSpec((None, 2), tf.float32, name="x"))


def run_graph(graph_def, tensor, values):
    """Return the value of `tensor` for the placeholder `x`, and the function that computes it."""
    wrapped = tf.compat.v1.wrap_function(lambda: tf.graph_util.import_graph_def(graph_def, name=""), [])
    pruned = wrapped.prune(wrapped.graph.as_graph_element("x:0"), wrapped.graph.as_graph_element(tensor))
    return pruned(tf.constant(values)).numpy(), pruned


def test_variables_become_constants():
    variable = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    function = concrete(lambda x: {"y": x @ variable})
    graph_def, names = compat.without_variables(function)
    assert names == {tensor.name for tensor in function.inputs if tensor.dtype == tf.resource}
    assert len(names) == 1
    operators = {node.op for node in graph_def.node}
    assert "Const" in operators
    assert not operators & {"ReadVariableOp", "VarHandleOp"}
    variable.assign(tf.zeros((2, 2)))
    value, _ = run_graph(graph_def, function.outputs[0].name, [[1.0, 1.0]])
    np.testing.assert_array_equal(value, [[4, 6]])


def test_a_jit_compiled_function_is_inlined_after_allow_inlining():
    variable = tf.Variable([[1.0, 2.0], [3.0, 4.0]])
    inner = tf.function(lambda x: x @ variable, jit_compile=True)
    graph_def, _ = compat.without_variables(function := concrete(lambda x: {"y": inner(x)}))
    assert not [node for node in graph_def.node if node.op == "MatMul"]
    assert compat.allow_inlining(graph_def) is True
    value, opened = run_graph(graph_def, function.outputs[0].name, [[1.0, 1.0]])
    np.testing.assert_array_equal(value, [[4, 6]])
    inlined, _ = compat.without_variables(opened)
    assert [node.op for node in inlined.node].count("MatMul") == 1
    assert compat.allow_inlining(inlined) is False


@pytest.fixture
def tf2onnx_graph():
    """Return a builder of a graph: a product with a constant, between identities that the passes remove."""

    def build():
        with tf.Graph().as_default() as graph:
            x = tf.compat.v1.placeholder(tf.float32, (None, 2), name="x")
            x = tf.identity(tf.identity(x) @ tf.constant([[1.0, 2.0], [3.0, 4.0]]))
            tf.identity(x, name="y")
            return tfonnx.process_tf_graph(graph, opset=17, input_names=["x:0"], output_names=["y:0"])

    return build


def test_optimize_in_place_neither_copies_nor_writes_constants(tf2onnx_graph, monkeypatch):
    graph, other = tf2onnx_graph(), tf2onnx_graph()
    written, write = Counter(), tf2onnx.graph.Node.update_proto

    def counting(node, *args):
        written[node.is_const()] += 1
        write(node, *args)

    def refuse(*_):
        raise AssertionError("the graph was copied")

    monkeypatch.setattr(tf2onnx.graph.Node, "update_proto", counting)
    monkeypatch.setattr(tf2onnx.graph.Graph, "__deepcopy__", refuse, raising=False)
    before = len(graph.get_nodes())
    optimized = compat.optimize_in_place(graph)
    assert len(optimized.get_nodes()) < before
    assert written[False] > 0
    assert written[True] == 0
    model = optimized.make_model("test")
    assert written[True] > 0  # `make_model` writes them
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_array_equal(session.run(None, {"x:0": np.ones((1, 2), np.float32)})[0], [[4, 6]])
    written.clear()
    tf2onnx.optimizer.optimize_graph(other, catch_errors=False)
    assert written[True] > 0  # tf2onnx's own function writes them


def save_image(mode, kind, **options):
    content = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)).convert(mode).save(
        content, kind, **options
    )
    return Image.open(content)


@pytest.mark.parametrize(
    ("mode", "kind", "expected"),
    [
        ("RGB", "JPEG", ("jpeg", "RGB")),
        ("L", "JPEG", ("jpeg", "L")),
        ("RGB", "PNG", ("zip", "RGB")),
        ("P", "PNG", ("zip", "P")),
        ("RGB", "BMP", ("raw", "BGR")),
    ],
)
def test_pixel_coding_is_read_from_the_header_of_a_file(mode, kind, expected):
    image = save_image(mode, kind)
    assert compat.pixel_coding(image) == expected
    assert compat.pixel_coding(Image.new(mode, (2, 2))) is None  # not from a file


@pytest.mark.parametrize(
    ("subsampling", "expected"), [("4:4:4", {(1, 1)}), ("4:2:2", {(1, 1), (2, 1)}), ("4:2:0", {(1, 1), (2, 2)})]
)
def test_jpeg_sampling_is_read_from_the_file(subsampling, expected):
    assert compat.jpeg_sampling(save_image("RGB", "JPEG", subsampling=subsampling)) == expected


def start_python(program, **options):
    command = [sys.executable, "-c", textwrap.dedent(program)]
    return compat.start_process(command, stdout=subprocess.PIPE, **options)


def test_a_process_starts_in_its_own_session():
    with start_python("import os; print(os.getpid(), os.getsid(0))") as process:
        pid, session = map(int, process.stdout.read().split())
    assert pid == session == process.pid
    assert session != os.getsid(0)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a process with its parent")
@pytest.mark.parametrize("dies", [True, False])
def test_a_process_dies_with_its_parent(dies):
    parent = start_python(f"""
        import sys, time
        from dltemplates.compat import start_process

        child = start_process([sys.executable, "-c", "import time; time.sleep(60)"], dies_with_parent={dies})
        print(child.pid, flush=True)
        time.sleep(60)
    """)
    child = int(parent.stdout.readline())
    try:
        assert compat.is_alive(child)
        parent.kill()
        parent.wait()
        deadline = time.monotonic() + (20 if dies else 0.5)
        while is_running(child) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert is_running(child) is not dies
    finally:
        parent.stdout.close()
        if is_running(child):
            os.kill(child, signal.SIGKILL)


def is_running(pid):
    """Check whether a process runs, on Linux. A zombie does not."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_thread_ends_its_process():
    with start_python("""
        import threading, time
        from dltemplates.compat import end_process

        threading.Thread(target=end_process).start()
        time.sleep(60)
    """) as process:
        assert process.wait(20) == 0


def test_an_interrupted_process_sees_a_keyboard_interrupt():
    process = start_python("""
        import signal, sys, time

        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            print("ready", flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            sys.exit(7)
    """)
    with process:
        assert process.stdout.readline() == "ready\n"
        compat.interrupt(process)
        assert process.wait(20) == 7


def test_a_process_is_alive_until_it_has_ended():
    with start_python("input()", stdin=subprocess.PIPE) as process:
        assert compat.is_alive(process.pid)
        process.stdin.close()
        process.wait()
    assert not compat.is_alive(process.pid)
    assert compat.is_alive(1)  # another user's, for most
    assert not compat.is_alive(10**30)


@pytest.mark.parametrize(
    ("number", "name"), [(signal.SIGTERM, "SIGTERM"), (signal.SIGRTMIN + 3, str(signal.SIGRTMIN + 3))]
)
def test_the_signal_that_ended_a_process_is_named(number, name):
    with start_python(f"import os; os.kill(os.getpid(), {int(number)})") as process:
        status = process.wait(20)
    assert status < 0
    assert compat.signal_name(status) == name


def test_memory_is_counted_in_bytes():
    held = b"1" * 2**28
    assert len(held) < compat.peak_memory() < 2**36


def test_files_and_folders_are_synced_to_disk(tmp_path, monkeypatch):
    synced, sync = [], os.fsync

    def record_sync(descriptor):
        synced.append((os.fstat(descriptor).st_ino, descriptor))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", record_sync)
    file = tmp_path / "file"
    file.write_text("text")
    for path in (file, tmp_path):
        compat.sync_to_disk(path)
    assert [number for number, _ in synced] == [file.stat().st_ino, tmp_path.stat().st_ino]
    for _, descriptor in synced:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc has these settings")
def test_freed_memory_is_kept_for_the_next_array():
    program = """
        import resource

        from dltemplates.compat import keep_freed_memory

        {}
        for turn in range(20):
            if turn == 2:
                before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
            held = b"1" * 2**26
            del held
        print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    """
    ((default,), (reused,)) = (run_python(program.format(call)) for call in ("", "keep_freed_memory()"))
    assert int(reused) < int(default) / 4


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Return a function that replaces the system's files about memory."""

    def pretend(files):
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        monkeypatch.setattr(compat, "Path", lambda path: tmp_path / str(path).lstrip("/"))

    return pretend


MEMINFO = {"proc/meminfo": "MemTotal:  16000 kB\nMemFree:  100 kB\nMemAvailable:  8000 kB\n"}
GROUP = "sys/fs/cgroup/"


@pytest.mark.parametrize(
    ("files", "kilobytes"),
    [
        ({}, 8000),
        ({"memory.max": "max", "memory.current": "5", "memory.stat": "inactive_file 0"}, 8000),
        ({"memory.max": "6144000", "memory.current": "4096000", "memory.stat": "anon 7\ninactive_file 1024000"}, 3000),
        ({"memory.max": "99999999999", "memory.current": "0", "memory.stat": "inactive_file 0"}, 8000),
        (
            {
                "memory/memory.limit_in_bytes": "6144000",
                "memory/memory.usage_in_bytes": "5120000",
                "memory/memory.stat": "inactive_file 9\ntotal_inactive_file 0",
            },
            1000,
        ),
        ({"memory/memory.limit_in_bytes": "9223372036854771712", "memory/memory.usage_in_bytes": "1"}, 8000),
    ],
)
def test_available_memory_is_limited_by_machine_and_container(machine, files, kilobytes):
    machine(MEMINFO | {GROUP + name: text for name, text in files.items()})
    assert compat.available_memory() == kilobytes * 1024


def test_available_memory_without_meminfo_is_all_memory_or_none(machine, monkeypatch):
    machine({})
    known = {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}
    monkeypatch.setattr(os, "sysconf", known.__getitem__)
    assert compat.available_memory() == 4_096_000

    def unknown(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", unknown)
    assert compat.available_memory() is None


@pytest.mark.skipif(sys.platform != "linux", reason="other systems count it too")
def test_peak_memory_leaves_out_the_parent_process():
    program = """
        import subprocess, sys

        held = b"1" * 2**29
        child = "from dltemplates.compat import peak_memory; print(peak_memory())"
        subprocess.run([sys.executable, "-c", child], check=True)
    """
    (peak,) = run_python(program)
    assert 0 < int(peak) < 2**28


def test_the_search_path_leaves_out_the_current_folder(tmp_path, monkeypatch):
    """A file there must not replace a library, but this package stays importable."""
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    paths = compat.search_path().split(os.pathsep)
    assert str(tmp_path) not in paths
    assert paths[-1] == os.path.dirname(os.path.dirname(compat.__file__))
    done = subprocess.run(
        [sys.executable, "-P", "-c", "import json, dltemplates; print(json.dumps(1))"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONPATH": compat.search_path()},
    )  # fmt: skip
    assert done.stdout.strip() == "1", done.stderr
