"""An encoder as one file that other programs run: ONNX."""

from adacross.onnx.to_onnx import Exported, export

__all__ = ["Exported", "export"]
