"""Recommend without MXNet: ``python serve_onnx.py model.onnx MODEL_FOLDER USER_ID``.

onnxruntime and NumPy are all it needs. Of the model folder, which must be the one that the file
was exported from, it reads the ids and the ratings: the network was trained on them, and what a
user has rated is not recommended again.
"""

import json
import sys

import numpy as np
import onnxruntime

net = onnxruntime.InferenceSession(sys.argv[1])
ids = json.load(open(f"{sys.argv[2]}/ids.json"))  # noqa: SIM115
kept = np.load(f"{sys.argv[2]}/ratings.npz")  # compressed sparse rows: indptr, indices, data
rated = np.repeat(np.arange(len(kept["indptr"]) - 1), np.diff(kept["indptr"])), kept["indices"]
ratings = np.zeros((len(kept["indptr"]) - 1, net.get_inputs()[0].shape[1]), np.float32)
ratings[rated] = kept["data"]
[out] = net.run(["predictions"], {"ratings": ratings})  # (rows, num_inputs)
out[rated] = -np.inf
user = [str(i) for i in ids["user_ids"]].index(sys.argv[3])
scores = (out.T if net.get_modelmeta().custom_metadata_map["by"] == "item" else out)[user]
print(*[f"{scores[i]:.2f}  {ids['item_ids'][i]}" for i in np.argsort(-scores)[:10]], sep="\n")
