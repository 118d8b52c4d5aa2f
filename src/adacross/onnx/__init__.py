"""An encoder as one file that other programs run: ONNX."""

from adacross.onnx.to_onnx import Exported, export, export_encoder

__all__ = ["Exported", "export", "export_encoder"]
