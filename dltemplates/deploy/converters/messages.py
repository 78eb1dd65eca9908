"""What the converters and runtimes say, translated: the layer, the format, and what to do instead.

Tried with TensorFlow 2.21, LiteRT 2.3, tf2onnx 1.17 and ONNX Runtime 1.31. A text without a pattern keeps its first
telling line. `dlt --debug` shows every text as it came.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass

MAX_LENGTH = 400  # letters of a text without a pattern
SUFFIX = re.compile(r"_\d+$")  # Keras numbers a name that it uses twice
LOCATION = re.compile(r"(<unknown>:0: )?(error: )?loc\(.*\)\)*: (?=')")  # MLIR's place of an operation
# Lines of a Python stack, and lines without content.
STACK = re.compile(r"^(Traceback|File \"|in user code|Graph execution error|Detected at node|Stack trace|\^+$|-+$|$)")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Pattern:
    """A text of a library, and its translation.

    Attributes:
        text: Regular expression; its group `op` is an operation, `path` the path of its node.
        message: The translation, with `{layer}`, `{format}`, `{family}` and `{op}`.
    """

    text: re.Pattern[str]
    message: str


# The first that matches counts.
PATTERNS = (
    Pattern(
        re.compile(r'(?:fused\["\w+:", "(?P<path>[^"@]+)[^"]*".*)?\'tf\.(?P<op>\w+)\' op is neither a custom op', re.S),
        "{family} has no operation {op}. Received: {layer} in {format}. Build the layer from other keras.ops, or "
        "export saved_model",
    ),
    Pattern(
        re.compile(r'(?:In Node, \("(?P<path>[^"]+)".*)?No Op registered for (?P<op>\w+)', re.S),
        "{family} has no operation {op}. Received: {layer} in {format}. Build the layer from other keras.ops, or "
        "export saved_model",
    ),
    Pattern(
        re.compile(r"(?P<path>[\w./-]+/Assign\w*VariableOp)|Assign\w*VariableOp|expected resource", re.S),
        "{family} files keep no variables that change. Received: {layer} in {format}, which assigns one when it is "
        "called. Assign it only when training=True, or export saved_model",
    ),
    Pattern(
        re.compile(r'(?:fused\["\w+:", "(?P<path>[^"@]+)[^"]*".*)?\'tf\.(?P<op>TensorList\w+)\' op requires', re.S),
        "{family} needs fixed sizes in loops. Received: {layer} in {format}, a loop over a free batch. Use LSTM, GRU "
        "or SimpleRNN, or export onnx:float32 or saved_model",
    ),
    Pattern(
        re.compile(r"(?i)failed to create XNNPACK runtime|XNNPACK delegate failed"),
        "LiteRT's CPU kernels (XNNPACK) must be able to run the file. Received: {format}, which they refuse. Export "
        "onnx:float32 or saved_model",
    ),
    Pattern(
        re.compile(r"\((?P<op>[A-Z][A-Z0-9_]+)\) failed to (?:prepare|invoke)"),
        "LiteRT must be able to run the file. Received: {format}, whose operation {op} does not fit its shapes. Export "
        "onnx:float32 or saved_model",
    ),
)
NOT_FINITE = "must be finite"  # of `parity`: the output has NaN or infinity
ZERO_ROWS = (
    "{text}. Layer `{layer}` divides by the length of a row, and LiteRT's CPU kernels (XNNPACK) return NaN for a row "
    "of zeros. Add a small number before the layer, or export onnx:float32 or saved_model"
)


def translate(text: str, format: str, layers: Mapping[str, str]) -> str:
    """Return a text of a converter or a runtime in one line.

    Args:
        text: The text; it may have many lines.
        format: Catalog key of the format.
        layers: The class names of the model's layers, by name.
    """
    logger.debug("%s: %s", format, text)
    if NOT_FINITE in text and format.startswith("tflite"):
        layer = next((name for name, kind in layers.items() if kind == "UnitNormalization"), None)
        return ZERO_ROWS.format(text=text, layer=layer) if layer else text
    for pattern in PATTERNS:
        if match := pattern.text.search(text):
            groups = match.groupdict()
            layer = find_layer(groups.get("path") or "", layers)
            return pattern.message.format(
                layer=f"layer `{layer}`" if layer else "a layer",
                format=format,
                family={"tflite": "TFLite", "onnx": "ONNX"}.get(format.partition(":")[0], "The file"),
                op=groups.get("op"),
            )
    return _telling_line(text)


def find_layer(path: str, layers: Mapping[str, str]) -> str | None:
    """Return the innermost layer on the path of a node, such as `StatefulPartitionedCall/network_1/norm_1/Erfinv`."""
    for segment in reversed(path.split("/")):
        for name in (segment, SUFFIX.sub("", segment)):
            if name in layers:
                return name
    return None


def _telling_line(text: str) -> str:
    """Return the first line that is not of a Python stack, without MLIR's locations, cut to a readable length."""
    lines = [LOCATION.sub("", line.strip()) for line in text.splitlines()]
    line = next((line for line in lines if not STACK.match(line)), text.strip().partition("\n")[0])
    return line if len(line) <= MAX_LENGTH else f"{line[:MAX_LENGTH]}..."
