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
kept = np.load(f"{sys.argv[2]}/ratings.npz")  # (items, users) in compressed sparse rows
ratings = np.zeros((len(ids["item_ids"]), len(ids["user_ids"])), np.float32)
items = np.repeat(np.arange(len(ratings)), np.diff(kept["indptr"]))
ratings[items, kept["indices"]] = kept["data"]
by_item = net.get_modelmeta().custom_metadata_map["by"] == "item"
[out] = net.run(None, {"ratings": ratings if by_item else ratings.T})
user = list(map(str, ids["user_ids"])).index(sys.argv[3])
scores = (out.T if by_item else out)[user]
scores[items[kept["indices"] == user]] = -np.inf
print(*[f"{scores[i]:.2f}  {ids['item_ids'][i]}" for i in np.argsort(-scores)[:10]], sep="\n")
