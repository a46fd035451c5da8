"""The weights of Silero's VAD at 8 kHz, out of the ONNX file inside PyPI's ``silero-vad`` (MIT).

The package is found through its metadata and never imported, because its code wants torch. Of the file only the
constants are read: ONNX is protobuf, and half a dozen of its fields lead to them (onnx.proto: ModelProto, GraphProto,
NodeProto, AttributeProto, TensorProto). What is computed with them stands in ``media.ears.silero``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Field = int | memoryview
"""A varint, or the bytes of all else."""

_DISTRIBUTION = "silero-vad"
_MODEL = "silero_vad.onnx"
_BASIS = "stft.forward_basis_buffer"
SHAPES: Mapping[str, tuple[int, ...]] = {
    _BASIS: (130, 1, 128),
    "encoder.0.reparam_conv.weight": (128, 65, 3),
    "encoder.0.reparam_conv.bias": (128,),
    "encoder.1.reparam_conv.weight": (64, 128, 3),
    "encoder.1.reparam_conv.bias": (64,),
    "encoder.2.reparam_conv.weight": (64, 64, 3),
    "encoder.2.reparam_conv.bias": (64,),
    "encoder.3.reparam_conv.weight": (128, 64, 3),
    "encoder.3.reparam_conv.bias": (128,),
    "decoder.rnn.weight_ih": (512, 128),
    "decoder.rnn.weight_hh": (512, 128),
    "decoder.rnn.bias_ih": (512,),
    "decoder.rnn.bias_hh": (512,),
    "decoder.decoder.2.weight": (1, 128, 1),
    "decoder.decoder.2.bias": (1,),
}
"""What the 8 kHz network is made of. The file holds a second one, for 16 kHz: its basis is 258 wide."""

_GRAPH_OF_MODEL, _NODE_OF_GRAPH, _OUTPUT_OF_NODE, _ATTRIBUTE_OF_NODE = 7, 1, 2, 5
_TENSOR_OF_ATTRIBUTE, _GRAPH_OF_ATTRIBUTE = 5, 6
_DIMS_OF_TENSOR, _TYPE_OF_TENSOR, _RAW_OF_TENSOR, _FLOAT32 = 1, 2, 9, 1
_VARINT, _EIGHT_BYTES, _BYTES, _FOUR_BYTES = 0, 1, 2, 5
"""Protobuf's wire types."""


class ModelMissingError(RuntimeError):
    """The installed packages hold no VAD model, or another one than this code was made for."""


def model_path() -> Path:
    """Where the model lies. Raises ModelMissingError if the package or its file is not installed."""
    try:
        files = metadata.files(_DISTRIBUTION) or []
    except metadata.PackageNotFoundError as error:
        raise ModelMissingError(f"expected the package {_DISTRIBUTION}; install the lock file") from error
    for file in files:
        if file.name == _MODEL:
            return Path(str(file.locate()))
    raise ModelMissingError(f"expected {_MODEL} in the package {_DISTRIBUTION}; install the version of the lock file")


def read_weights(path: Path) -> dict[str, Floats]:
    """The 8 kHz network's weights by their names in SHAPES, C-contiguous and writable.

    Raises OSError, and ModelMissingError if the file is not that model.
    """
    try:
        model = memoryview(path.read_bytes())
        constants = {name: tensor for graph in _of(model, _GRAPH_OF_MODEL) for name, tensor in _constants(graph)}
    except (IndexError, ValueError) as error:
        raise ModelMissingError(f"expected an ONNX model in {path.name}, got something else: {error}") from error
    for name, tensor in constants.items():
        prefix, found, _ = name.partition(_BASIS)
        if found and tensor.shape == SHAPES[_BASIS]:
            return _named(constants, prefix, path)
    raise ModelMissingError(f"expected the 8 kHz network in {path.name}; install the version of the lock file")


def _named(constants: Mapping[str, Floats], prefix: str, path: Path) -> dict[str, Floats]:
    weights = {}
    for name, shape in SHAPES.items():
        tensor = constants.get(prefix + name)
        if tensor is None or tensor.shape != shape:
            came = "nothing" if tensor is None else f"{tensor.shape}"
            raise ModelMissingError(
                f"expected {name} of shape {shape} in {path.name}, got {came}; install the version of the lock file"
            )
        weights[name] = tensor.copy()
    return weights


def _constants(graph: memoryview) -> Iterator[tuple[str, Floats]]:
    """The float constants of a graph and of the graphs inside its nodes (an ``If`` has two), by what they are called."""
    for node in _of(graph, _NODE_OF_GRAPH):
        for attribute in _of(node, _ATTRIBUTE_OF_NODE):
            for tensor in _of(attribute, _TENSOR_OF_ATTRIBUTE):
                floats = _floats(tensor)
                if floats is not None:
                    yield bytes(next(_of(node, _OUTPUT_OF_NODE))).decode(), floats
            for inner in _of(attribute, _GRAPH_OF_ATTRIBUTE):
                yield from _constants(inner)


def _floats(tensor: memoryview) -> Floats | None:
    """A tensor's values, if they are float32 and stored as bytes."""
    shape: list[int] = []
    kind, raw = 0, None
    for number, field in _fields(tensor):
        if number == _DIMS_OF_TENSOR:
            shape += [field] if isinstance(field, int) else _varints(field)
        elif number == _TYPE_OF_TENSOR and isinstance(field, int):
            kind = field
        elif number == _RAW_OF_TENSOR and isinstance(field, memoryview):
            raw = field
    return np.frombuffer(raw, "<f4").reshape(shape) if raw is not None and kind == _FLOAT32 else None


def _of(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The messages (or strings) that a message holds in one field."""
    for number, field in _fields(message):
        if number == wanted and isinstance(field, memoryview):
            yield field


def _fields(message: memoryview) -> Iterator[tuple[int, Field]]:
    """A protobuf message's fields with their numbers, in order. Raises IndexError and ValueError for what is none."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        wire = key & 7
        if wire == _VARINT:
            value, at = _varint(message, at)
            yield key >> 3, value
            continue
        size = {_EIGHT_BYTES: 8, _FOUR_BYTES: 4}.get(wire, 0)
        if wire == _BYTES:
            size, at = _varint(message, at)
        elif not size:
            raise ValueError(f"expected a protobuf wire type, got {wire}")
        if at + size > len(message):
            raise ValueError(f"expected {size} bytes, got {len(message) - at}")
        yield key >> 3, message[at : at + size]
        at += size


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    """The number at ``at`` and where it ends."""
    value = shift = 0
    while True:
        byte = message[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise ValueError("expected a varint of at most ten bytes")


def _varints(packed: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(packed):
        value, at = _varint(packed, at)
        values.append(value)
    return values
