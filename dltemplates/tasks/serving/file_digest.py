"""The digest of an exported file, over its network, its contract and its labels.

The contract is inside the file, so the digest is of the parts of the file, not of its bytes:

- `.tflite`: the flatbuffer in front of the zip archive.
- `.onnx`: all fields of the model but its metadata.
- SavedModel: `saved_model.pb`, the variables and the assets.

Then follow the labels, and the contract without its own digest. Only NumPy's and Python's own libraries are needed.
"""

from __future__ import annotations

import hashlib
import json
import mmap
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from dltemplates.tasks.serving.contract import CONTRACT_FILE, LABELS_FILE, Contract

ASSETS = "assets.extra"
REPORT_FILE = "export_report.json"
TEXTS = (CONTRACT_FILE, LABELS_FILE)
METADATA_FIELD = 14  # `metadata_props` of onnx.proto's ModelProto
NETWORK_FOLDERS = ("variables", "assets")  # of a SavedModel
DIGEST = "sha256"  # the contract's field

Piece = bytes | memoryview


class DamagedFileError(Exception):
    """An exported file that cannot be read to its end."""


@dataclass(frozen=True)
class Parts:
    """The parts of an exported file.

    Attributes:
        network: The bytes of the network, in order.
        texts: The contract and the labels, by file name.
    """

    network: Iterable[Piece]
    texts: dict[str, bytes]

    @property
    def digest(self) -> str:
        """The digest of all parts."""
        return _digest(self.network, self.texts)


def sealed_texts(contract: Contract, network: Iterable[Piece]) -> dict[str, str]:
    """Return the texts to store inside an exported file, with its digest in the contract.

    Args:
        contract: The contract.
        network: The bytes of the network, in the order of `read_parts`.
    """
    texts = {name: text.encode() for name, text in contract.files().items()}
    return contract.model_copy(update={DIGEST: _digest(network, texts)}).files()


def read_parts(path: Path) -> Parts:
    """Read the parts of an exported file.

    Raises:
        DamagedFileError: If the file is broken.
    """
    if path.is_dir():
        names = {name: path / ASSETS / name for name in TEXTS}
        return Parts(saved_model_network(path), {n: file.read_bytes() for n, file in names.items() if file.is_file()})
    try:
        return _read_onnx(path) if path.suffix == ".onnx" else _read_tflite(path)
    except Exception as error:  # zipfile raises many kinds of errors for a broken archive
        raise DamagedFileError(str(error) or type(error).__name__) from error


def saved_model_network(folder: Path) -> Iterator[Piece]:
    """Yield the name, the size and the content of each file of a SavedModel's network."""
    files = [folder / "saved_model.pb"]
    for name in NETWORK_FOLDERS:
        files += sorted(file for file in (folder / name).rglob("*") if file.is_file() and not file.name.startswith("."))
    for file in files:
        content = _map(file)
        yield f"{file.relative_to(folder).as_posix()}\0{len(content)}\0".encode()
        yield content


def matches_report(path: Path) -> bool:
    """Return whether a file has the SHA-256 of the export report beside it; True without such a report."""
    try:
        report = json.loads((path.parent / REPORT_FILE).read_bytes())
        digests = {result.get("file"): result.get("sha256") for result in report["results"]}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return True
    expected = digests.get(path.name)
    return expected is None or path_digest(path) == expected


def path_digest(path: Path) -> str:
    """Return the SHA-256 of a file; for a folder, the SHA-256 of the sorted list of its files' digests."""
    if path.is_file():
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    files = sorted(file for file in path.rglob("*") if file.is_file())
    lines = [f"{path_digest(file)}  {file.relative_to(path).as_posix()}\n" for file in files]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _digest(network: Iterable[Piece], texts: dict[str, bytes]) -> str:
    total = hashlib.sha256()
    for piece in network:
        total.update(piece)
    table = json.loads(texts[CONTRACT_FILE])
    table.pop(DIGEST, None)
    total.update(b"\0" + json.dumps(table, sort_keys=True).encode())
    total.update(b"\0" + texts.get(LABELS_FILE, b""))
    return total.hexdigest()


def _map(path: Path) -> Piece:
    """Map a file into memory, so that a large one needs no copy."""
    with path.open("rb") as file:
        return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) if path.stat().st_size else b""


def _read_tflite(path: Path) -> Parts:
    with zipfile.ZipFile(path) as archive:
        start = min(entry.header_offset for entry in archive.infolist())
        texts = {name: archive.read(name) for name in TEXTS if name in archive.namelist()}
    return Parts([_map(path)[:start]], texts)


def _read_onnx(path: Path) -> Parts:
    data = _map(path)
    network, texts = [], {}
    for field, whole, content in _fields(data):
        if field != METADATA_FIELD:
            network.append(whole)
            continue
        entry = {key: bytes(value) for key, _, value in _fields(content)}
        if (name := entry.get(1, b"").decode()) in TEXTS:
            texts[name] = entry.get(2, b"")
    return Parts(network, texts)


def _fields(data: Piece) -> Iterator[tuple[int, Piece, Piece]]:
    """Yield the number, all bytes, and the content of each field of a protocol buffer."""
    position = 0
    while position < len(data):
        begin = position
        tag, position = _varint(data, position)
        match tag & 7:
            case 0:
                _, end = _varint(data, position)
            case 1:
                end = position + 8
            case 2:
                size, position = _varint(data, position)
                end = position + size
            case 5:
                end = position + 4
            case other:
                raise ValueError(f"unknown wire type {other} at byte {begin}")
        if end > len(data):
            raise ValueError(f"the field at byte {begin} ends after the file")
        yield tag >> 3, data[begin:end], data[position:end]
        position = end


def _varint(data: Piece, position: int) -> tuple[int, int]:
    """Return the number at a position, seven bits a byte, and the position after it."""
    number = shift = 0
    while True:
        byte = data[position]
        number |= (byte & 127) << shift
        position, shift = position + 1, shift + 7
        if byte < 128:
            return number, position
