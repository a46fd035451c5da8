"""The model's weights, read from its file without the package's code and without a runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from media.ears import weights
from media.ears.weights import SHAPES, ModelMissingError, model_path, read_weights


def test_all_weights_of_the_8_khz_network_are_there() -> None:
    found = read_weights(model_path())
    assert {name: each.shape for name, each in found.items()} == dict(SHAPES)
    assert all(each.dtype == np.float32 and np.isfinite(each).all() and each.any() for each in found.values())


def test_the_basis_is_a_windowed_fourier_transform() -> None:
    """What the shapes cannot tell: that the bytes were read in the right order."""
    basis = read_weights(model_path())["stft.forward_basis_buffer"][:, 0]
    samples = np.arange(128)
    window = basis[0]
    for frequency in (1, 17, 64):
        np.testing.assert_allclose(basis[frequency], window * np.cos(np.pi * frequency * samples / 64), atol=1e-5)
    np.testing.assert_allclose(np.abs(basis[65 + 17]), np.abs(window * np.sin(np.pi * 17 * samples / 64)), atol=1e-5)


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_DISTRIBUTION", "no-such-package")
    with pytest.raises(ModelMissingError, match="expected the package no-such-package"):
        model_path()


def test_a_missing_file_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_MODEL", "no_such.onnx")
    with pytest.raises(ModelMissingError, match=r"expected no_such\.onnx"):
        model_path()


def test_a_model_for_16_khz_alone_is_refused() -> None:
    other = model_path().with_name("silero_vad_16k_op15.onnx")
    with pytest.raises(ModelMissingError, match="expected the 8 kHz network"):
        read_weights(other)


@pytest.mark.parametrize("size", [1, 1_000, 1_500_000])
def test_half_a_file_is_refused(size: int, tmp_path: Path) -> None:
    half = tmp_path / "half.onnx"
    half.write_bytes(model_path().read_bytes()[:size])
    with pytest.raises(ModelMissingError):
        read_weights(half)


@given(st.binary(max_size=300))
def test_bytes_that_are_no_model_are_refused(junk: bytes) -> None:
    class Junk:
        name = "junk.onnx"

        def read_bytes(self) -> bytes:
            return junk

    with pytest.raises(ModelMissingError):
        read_weights(Junk())  # type: ignore[arg-type]


def test_the_packages_code_is_never_imported() -> None:
    import sys

    assert "silero_vad" not in sys.modules
    assert "torch" not in sys.modules
