"""The weights of Silero's VAD at 8 kHz, out of the ONNX file inside PyPI's ``silero-vad`` (MIT).

The package is found through its metadata and never imported, because its code wants torch. Of the file only the
constants are read. What is computed with them stands in ``media.ears.silero``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib import metadata
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper

Floats = npt.NDArray[np.float32]

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
        constants = dict(_constants(onnx.load_model_from_string(path.read_bytes()).graph))
    except (DecodeError, ValueError) as error:
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


def _constants(graph: onnx.GraphProto) -> Iterator[tuple[str, Floats]]:
    """The float constants of a graph and of the graphs inside its nodes (an ``If`` has two), by what they are called."""
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR and attribute.t.data_type == onnx.TensorProto.FLOAT:
                yield node.output[0], numpy_helper.to_array(attribute.t)
            elif attribute.type == onnx.AttributeProto.GRAPH:
                yield from _constants(attribute.g)
