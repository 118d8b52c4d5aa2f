"""Features of a cloud from an exported encoder, with numpy and onnxruntime only.

python examples/onnx_without_torch.py model.onnx cloud.npy    (cloud.npy: N x 3, y up)
"""

import sys

import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(sys.argv[1])
about = session.get_modelmeta().custom_metadata_map
cloud = np.load(sys.argv[2]).astype(np.float32)
cloud -= cloud.mean(0)
cloud /= np.linalg.norm(cloud, axis=1).max()
(features,) = session.run(["features"], {"points": cloud[None]})
print(f"{about['encoder']} ({about['up']} up, {about['scale']}, {about['points']} points): {features.shape}")
np.save("features.npy", features)
