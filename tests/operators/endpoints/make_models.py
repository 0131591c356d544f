# pyright: basic
"""Write the small models that the tests here use: `python make_models.py` (needs onnx)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent


def main() -> None:
    from onnx import TensorProto, helper, save

    def value(name: str, kind: int, width: int) -> Any:
        return helper.make_tensor_value_info(name, kind, [None, width])

    def write(name: str, inputs: list[Any], outputs: list[Any], nodes: list[Any]) -> None:
        graph = helper.make_graph(nodes, name, inputs, outputs)
        opsets = [helper.make_opsetid("", 11)]
        save(helper.make_model(graph, opset_imports=opsets, ir_version=7), HERE / f"{name}.onnx")

    write(
        "stacked",
        [value("x", TensorProto.FLOAT, 3)],
        [value("sum", TensorProto.FLOAT, 1), value("same", TensorProto.FLOAT, 3)],
        [
            helper.make_node("ReduceSum", ["x"], ["sum"], axes=[1], keepdims=1),
            helper.make_node("Identity", ["x"], ["same"]),
        ],
    )
    kinds = {
        "count": TensorProto.INT64,
        "name": TensorProto.STRING,
        "flag": TensorProto.BOOL,
        "small": TensorProto.UINT8,
    }
    write(
        "kinds",
        [value(name, kind, 1) for name, kind in kinds.items()],
        [value(f"{name}_out", kind, 1) for name, kind in kinds.items()],
        [helper.make_node("Identity", [name], [f"{name}_out"]) for name in kinds],
    )
    write(
        "total",
        [value("x", TensorProto.FLOAT, 3)],
        [helper.make_tensor_value_info("total", TensorProto.FLOAT, [1])],
        [helper.make_node("ReduceSum", ["x"], ["total"], axes=[0, 1], keepdims=0)],
    )


if __name__ == "__main__":
    main()
