"""An ONNX model in this process: plain calls that block, for a thread."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from ...runtime.contracts import DataError, MisconfiguredError, MissingExtra
from .endpoint import Answer
from .tensors import Layout, Tensor, arrange

__all__ = ["OnnxModel"]

# The element types of ONNX that rows can carry, by their names in the Open Inference Protocol.
_DATATYPES = {
    "tensor(bool)": "BOOL",
    "tensor(double)": "FP64",
    "tensor(float)": "FP32",
    "tensor(float16)": "FP16",
    "tensor(string)": "BYTES",
    **{f"tensor(int{bits})": f"INT{bits}" for bits in (8, 16, 32, 64)},
    **{f"tensor(uint{bits})": f"UINT{bits}" for bits in (8, 16, 32, 64)},
}
_ARRAYS = {
    "BOOL": "bool",
    "BYTES": "object",
    **{f"FP{bits}": f"float{bits}" for bits in (16, 32, 64)},
    **{f"INT{bits}": f"int{bits}" for bits in (8, 16, 32, 64)},
    **{f"UINT{bits}": f"uint{bits}" for bits in (8, 16, 32, 64)},
}
_NO_VERSION = 2**63 - 1


class OnnxModel:
    """A loaded model. Loading and calling take a thread's time, not the loop's.

    Parameters: `path`, the file; `threads`, how many threads one call may use (1). Raises
    MissingExtra without onnxruntime, MisconfiguredError where the file is missing or broken.
    """

    def __init__(self, path: str | Path, *, threads: int = 1) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise MisconfiguredError(f"there is no model file {self.path.absolute()}")
        # Else it tells its maker of each process and each model, from the moment it is imported.
        os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
        try:
            import numpy
            import onnxruntime
        except ModuleNotFoundError as error:
            raise MissingExtra("an ONNX model", "onnx") from error
        self._array = numpy.array
        # onnxruntime carries no types.
        runtime = cast(Any, onnxruntime)
        options = runtime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session = runtime.InferenceSession(
                str(self.path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:
            raise MisconfiguredError(
                f"{self.path.absolute()} is no ONNX model that can be loaded: {error}"
            ) from None
        self._session = session
        self.inputs: tuple[Tensor, ...] = tuple(map(_tensor, session.get_inputs()))
        self.outputs: tuple[Tensor, ...] = tuple(map(_tensor, session.get_outputs()))
        self._names = tuple(tensor.name for tensor in self.outputs)
        version = int(session.get_modelmeta().version)
        self.version = str(version) if 0 < version < _NO_VERSION else None
        """The version that stands in the file, or None."""

    def arrange(self, fields: tuple[str, ...]) -> Layout:
        """How the model takes these fields; MisconfiguredError where it does not."""
        return arrange(fields, self.inputs, f"the model {self.path.name}")

    def predict(self, layout: Layout, rows: Sequence[tuple[object, ...]]) -> Answer:
        """Score the rows. Raises DataError where the model refuses them."""
        feeds = {
            tensor.name: self._array(values, dtype=_ARRAYS[tensor.datatype]).reshape(shape)
            for tensor, values, shape in layout.fill(rows)
        }
        try:
            outputs = self._session.run(None, feeds)
        except Exception as error:
            raise DataError(f"the model {self.path.name} refused the rows: {error}") from None
        columns = [
            self._column(name, output, len(rows))
            for name, output in zip(self._names, outputs, strict=True)
        ]
        return Answer(self._names, list(zip(*columns, strict=True)), self.version)

    def _column(self, name: str, output: Any, count: int) -> Sequence[object]:
        values: list[object]
        if isinstance(output, list):  # a ZipMap: one dict for each row
            values = cast("list[object]", output)
        else:
            if output.ndim == 2 and output.shape[1] == 1:
                output = output[:, 0]
            values = output.tolist() if output.ndim else []
        if len(values) != count:
            raise MisconfiguredError(
                f"the output {name!r} of the model {self.path.name} holds {len(values)} values "
                f"for {count} rows: it has none for each row"
            )
        return values


def _tensor(said: Any) -> Tensor:
    shape = tuple(length if isinstance(length, int) else -1 for length in said.shape)
    return Tensor(said.name, _DATATYPES.get(said.type) or str(said.type), shape)
