"""Recommend without MXNet: ``python serve_onnx.py model.onnx MODEL USER_ID``.

onnxruntime and NumPy are all it needs. MODEL is the folder of a run with ``--save``, or the model
folder in it, that the file was exported from. Its ids and ratings are read: the network was
trained on them, and what a user has rated is not recommended again. The order is that of
``d2l-autorec recommend``: by ``score``, which is not clipped.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime


def recommend(onnx_file, folder, user_id, n=10):
    """Return the best items of a user: pairs of rating and item id, the best first."""
    net = onnxruntime.InferenceSession(onnx_file)
    about = net.get_modelmeta().custom_metadata_map
    if not (folder / "model.json").exists():
        folder = folder / "model"
    model = json.loads((folder / "model.json").read_bytes())
    for name in ("ids.json", "ratings.npz"):
        found = hashlib.sha256((folder / name).read_bytes()).hexdigest()
        if found != model["files"][name]["sha256"]:
            raise ValueError(f"{folder / name} is damaged; copy the model folder again")
    ids = json.loads((folder / "ids.json").read_bytes())
    users, items = ids["user_ids"], ids["item_ids"]
    text = json.dumps([users, items], separators=(",", ":"))
    same = hashlib.sha256(text.encode()).hexdigest() == about["ids_digest"]
    if not same or about["model_digest"] not in ("", model["digest"]):
        raise ValueError(f"{onnx_file} was exported from another model than {folder}")
    if user_id not in map(str, users):
        raise ValueError(f"the model knows no user {user_id!r}")
    user = list(map(str, users)).index(user_id)

    kept = np.load(folder / "ratings.npz")  # (items, users) in compressed sparse rows
    rated = np.repeat(np.arange(len(items)), np.diff(kept["indptr"]))
    if net.get_inputs()[0].name == "ratings":
        ratings = np.zeros((len(items), len(users)), np.float32)
        ratings[rated, kept["indices"]] = kept["data"]
        if about["by"] == "item":
            score, rating = (out[:, user] for out in net.run(None, {"ratings": ratings}))
        else:
            score, rating = (out[0] for out in net.run(None, {"ratings": ratings.T[[user]]}))
    else:
        pairs = {"users": np.full(len(items), user), "items": np.arange(len(items))}
        score, rating = net.run(None, pairs)
    score[rated[kept["indices"] == user]] = -np.inf
    score[np.diff(kept["indptr"]) == 0] = -np.inf  # nobody has rated it
    best = [i for i in np.argsort(-score, kind="stable")[:n] if score[i] > -np.inf]
    return [(rating[i], items[i]) for i in best]


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("Usage: python serve_onnx.py model.onnx MODEL USER_ID")
    try:
        for rating, item in recommend(sys.argv[1], Path(sys.argv[2]), sys.argv[3]):
            print(f"{rating:.2f}  {item}")
    except KeyError as error:
        sys.exit(f"serve_onnx.py: {error} is missing; name an exported file and its model folder.")
    except Exception as error:  # of onnxruntime, too
        sys.exit(f"serve_onnx.py: {' '.join(str(error).split())}.")
