# SPDX-License-Identifier: MIT
"""onnxruntime's CUDA provider, where the package has one."""
import sys

from vg import main, put

import numpy
import onnxruntime
from onnx import TensorProto, helper


def network():
    weights = numpy.random.default_rng(1).standard_normal((64, 32)).astype(numpy.float32)
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Relu", ["h"], ["r"]),
         helper.make_node("Softmax", ["r"], ["y"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [16, 64])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [16, 32])],
        [helper.make_tensor("w", TensorProto.FLOAT, [64, 32], weights.tobytes(), raw=True)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(),
                                           providers=["CUDAExecutionProvider"])
    x = numpy.random.default_rng(2).standard_normal((16, 64)).astype(numpy.float32)
    put("onnx", session.run(None, {"x": x})[0])


if __name__ == "__main__":
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        print("onnxruntime has no CUDA provider here")
        sys.exit(77)
    main([network])
