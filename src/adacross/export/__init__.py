"""An encoder as one file that other programs run: ONNX."""

from adacross.export.to_onnx import Exported, export, export_encoder

__all__ = ["Exported", "export", "export_encoder"]
