"""Attacks on files that are read: ratings, model folders, and weights."""

from __future__ import annotations

import contextlib
import functools
import gzip
import hashlib
import io
import json
import os
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.attack.frame import (
    TEXTS,
    Area,
    Draws,
    done_or_refused,
    mutate_array,
    mutate_bytes,
    mutate_json,
    one_of,
    require,
    snapshot,
)
from d2l_autorec.data.formats import Ratings, read_ratings
from d2l_autorec.models.recipe import Recipe
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.serving.folder import load_model, make_model, save_model
from d2l_autorec.serving.foldin import new_user
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.recommend import predict, recommend
from d2l_autorec.serving.similar import similar
from d2l_autorec.serving.weights import export_npz, export_safetensors, import_weights
from d2l_autorec.training.fit import fit

SHORT: Any = {"hidden": (3,), "batch_size": 4, "num_epochs": 2, "draws": "numpy"}
SMALL, BLEND = RECIPES["chapter"].but(lr=0.02, **SHORT), RECIPES["blend"].but(**SHORT)


def toy_ratings(draws: Draws, users: int = 9, items: int = 7, texts: bool = False) -> Ratings:
    """Make ratings of half of all pairs."""
    import pandas as pd

    places = np.flatnonzero(draws.random(users * items) < 0.5)
    places = places if len(places) > 5 else np.arange(users * items)
    user, item = np.divmod(draws.permutation(places), items)
    table = pd.DataFrame({"user": user, "item": item})
    table["rating"] = draws.integers(1, 6, len(table)).astype(np.float32)
    table["timestamp"] = np.arange(len(table))
    user_ids: Any = np.arange(1, users + 1)
    if texts:
        user_ids = np.array(sorted(f"u{i}" for i in range(users)), dtype=object)
    titles = pd.DataFrame({"item_id": range(items), "title": [f"Title {i}" for i in range(items)]})
    titles["year"], titles["genres"] = pd.array([1990] * items, dtype="Int64"), "Drama"
    return Ratings(table, user_ids, np.arange(items), titles, "toy", "0" * 64)


def toy_model(draws: Draws, recipe: Recipe = SMALL, **sizes: Any) -> Model:
    """Train a model for two epochs."""
    ratings = toy_ratings(draws, **sizes)
    shape = ratings.num_users, ratings.num_items
    trained = fit(ratings.table, shape, recipe, int(draws.integers(100)))
    return make_model(trained, ratings, {"command": "train", "result": {"epoch": 2}})


def ratings_file(draws: Draws) -> tuple[str, bytes]:
    """Write a good file of ratings in one of many forms."""
    rows = toy_ratings(draws).table.to_numpy().astype(int).tolist()
    form = int(draws.integers(7))
    if form < 4:
        sep = (",", "\t", "::", ";")[form]
        lines = [sep.join(map(str, row)) for row in rows]
        if sep in ",;":
            lines.insert(0, sep.join(["user", "item", "rating", "timestamp"]))
        return one_of(draws, ("a.csv", "ratings.dat", "u.data", "b")), "\n".join(lines).encode()
    if form == 4:
        records = [dict(zip(("user", "item", "rating"), row)) for row in rows]
        text = "\n".join(map(json.dumps, records)) if draws.random() < 0.5 else json.dumps(records)
        return "a.json", text.encode()
    if form == 5:
        blocks = []
        for item in range(1, 4):
            own = [f"{user},{rating},2005-09-06\n" for user, i, rating, _ in rows if i == item]
            blocks.append(f"{item}:\n{''.join(own)}")
        return "a.txt", "".join(blocks).encode()
    codes = np.array(rows)
    file = io.BytesIO()
    np.savez(file, user=codes[:, 0], item=codes[:, 1], rating=codes[:, 2].astype(np.float32))
    return "a.npz", file.getvalue()


def hostile_text(draws: Draws, content: bytes) -> bytes:
    """Change some fields or lines of a text file."""
    lines = content.split(b"\n")
    for _ in range(int(draws.integers(1, 4))):
        at = int(draws.integers(len(lines)))
        way = int(draws.integers(6))
        text = one_of(draws, TEXTS).encode("utf-8")
        if way == 0:
            lines.insert(at, text)
        elif way == 1:
            lines[at] += b"," + text
        elif way == 2:
            lines.insert(at, lines[at])
        elif way == 3:
            del lines[at:]
            lines.append(text)
        else:
            sep = next((s for s in (b"::", b"\t", b";", b",") if s in lines[at]), b",")
            fields = lines[at].split(sep)
            fields[int(draws.integers(len(fields)))] = text
            lines[at] = sep.join(fields)
    return b"\n".join(lines)


def attack_ratings(draws: Draws, folder: Path) -> None:
    name, content = ratings_file(draws)
    if name != "a.npz" and draws.random() < 0.75:
        content = hostile_text(draws, content)
    if draws.random() < 0.35:
        content = mutate_bytes(draws, content)
    pack = draws.random()
    if pack < 0.1:
        name, content = name + ".gz", gzip.compress(content)
    elif pack < 0.2:
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(one_of(draws, (name, "../" + name, "d/" + name)), content)
        name, content = "a.zip", file.getvalue()
    if pack < 0.2 and draws.random() < 0.3:
        content = mutate_bytes(draws, content)
    path = folder / name
    path.write_bytes(content)
    before = snapshot(folder)
    read = [done_or_refused(lambda: read_ratings(path, allow_nonpositive=True)) for _ in range(2)]
    require(snapshot(folder) == before, "the file was changed")
    require((read[0] is None) == (read[1] is None), "read once and refused once")
    if read[0] is None or read[1] is None:
        return
    ratings, table = read[0], read[0].table
    require(table.equals(read[1].table), "read twice, it is not the same")
    require(len(table) and np.isfinite(table["rating"]).all(), "ratings that are not finite")
    require(not table.duplicated(["user", "item"]).any(), "a pair has two ratings")
    for what, ids in (("user", ratings.user_ids), ("item", ratings.item_ids)):
        codes = table[what].to_numpy()
        require(set(codes) == set(range(len(ids))), "codes that are not those of the ids")
        require((ids[1:] > ids[:-1]).all(), "ids that are not sorted")
    if name.endswith((".csv", ".dat", ".data", "b")):
        require(ratings.digest == hashlib.sha256(content).hexdigest(), "another digest")


@functools.cache
def kept_models() -> tuple[Model, ...]:
    """Train the models whose folders are attacked."""
    draws = np.random.default_rng(0)
    return (
        toy_model(draws),
        toy_model(draws, SMALL.but(by="user"), texts=True),
        toy_model(draws, SMALL.but(hidden=(4, 2, 3), targets="biases")),
        toy_model(draws, BLEND.but(num_seeds=1)),
    )


def write_again(folder: Path, changed: dict[str, bytes], said: dict[str, Any]) -> None:
    """Write files of a model folder with digests that fit."""
    for name, content in changed.items():
        (folder / name).write_bytes(content)
        if isinstance(said.get("files"), dict) and isinstance(said["files"].get(name), dict):
            digest = hashlib.sha256(content).hexdigest()
            said["files"][name] = {"size": len(content), "sha256": digest}
    said.pop("digest", None)
    said["digest"] = hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
    (folder / "model.json").write_text(json.dumps(said, indent=2))


def attack_model(draws: Draws, folder: Path) -> None:
    original = one_of(draws, kept_models())
    place = folder / "model"
    save_model(place, original)
    said = json.loads((place / "model.json").read_text())
    honest, way = False, int(draws.integers(5))
    if way == 0:  # damage, which the digests show
        path = one_of(draws, sorted(place.iterdir()))
        former = path.read_bytes()
        content = mutate_bytes(draws, former)
        honest = content == former
        path.write_bytes(content)
        if path.name == "model.json":  # a space more changes nothing
            with contextlib.suppress(ValueError):
                honest = json.loads(content) == said
    elif way == 1:
        write_again(place, {}, mutate_json(draws, said))
    elif way == 2:
        ids = mutate_json(draws, json.loads((place / "ids.json").read_bytes()))
        if draws.random() < 0.5 and isinstance(ids, dict):
            text = json.dumps([ids.get("user_ids"), ids.get("item_ids")], separators=(",", ":"))
            said["ids_digest"] = hashlib.sha256(text.encode()).hexdigest()
        write_again(place, {"ids.json": json.dumps(ids).encode()}, said)
    elif way == 3:
        name = one_of(draws, ("weights.npz", "ratings.npz"))
        with np.load(place / name) as file:
            arrays = dict(file)
        key = one_of(draws, arrays)
        arrays[key] = mutate_array(draws, arrays[key])
        if draws.random() < 0.1:
            arrays[one_of(draws, ("x", "0.weight"))] = arrays.pop(key)
        content = io.BytesIO()
        one_of(draws, (np.savez, np.savez, np.savez_compressed))(content, **arrays)
        write_again(place, {name: content.getvalue()}, said)
    else:
        path = one_of(draws, sorted(place.iterdir()))
        path.unlink()
        kind = int(draws.integers(3))
        if kind == 0:
            os.mkfifo(path)
        elif kind == 1:
            path.mkdir()
        else:
            path.symlink_to(one_of(draws, ("/dev/zero", "/etc/passwd", "model.json")))
    model = done_or_refused(lambda: load_model(place))
    require(way != 0 or honest or model is None, "damage that was not seen")
    require(way != 4 or model is None, "no plain file, and taken")
    if model is not None:
        ask(model)
    shutil.rmtree(place)


def ask(model: Model) -> None:
    """Ask a model everything; answers are finite or refused."""
    import pandas as pd

    user, item = model.user_ids[0], model.item_ids[0]
    some = pd.DataFrame({"item": model.item_ids[:2], "rating": [model.low, model.high]})
    for question in (
        lambda: recommend(model, n=3),
        lambda: predict(model, [user], [item]),
        lambda: similar(model, "item", item),
        lambda: new_user(model, some, 3),
    ):
        table = done_or_refused(question)
        if table is not None and "prediction" in table:
            require(np.isfinite(table["prediction"]).all(), "a prediction that is not finite")


def attack_weights(draws: Draws, folder: Path) -> None:
    model = one_of(draws, kept_models())
    kind = one_of(draws, ("npz", "safetensors"))
    path = folder / f"w.{kind}"
    (export_npz if kind == "npz" else export_safetensors)(model, path)
    way = int(draws.integers(3))
    if way == 0:
        path.write_bytes(mutate_bytes(draws, path.read_bytes()))
    elif kind == "npz":
        with np.load(path) as file:
            arrays = dict(file)
        key = one_of(draws, arrays)
        arrays[key] = mutate_array(draws, arrays[key])
        np.savez(path, **arrays)
    else:
        content = path.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8 : 8 + length])
        types = ("F8_E4M3", "F8_E5M2", "BF16", "F16", "F64", "I64", "BOOL", "C64", "X")
        if draws.random() < 0.5:
            header = mutate_json(draws, header)
        else:
            key = one_of(draws, [k for k in header if k != "__metadata__"])
            header[key]["dtype"] = one_of(draws, types)
        text = json.dumps(header).encode()
        path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + length :])
    before = snapshot(folder)
    taken = done_or_refused(lambda: import_weights(model, path))
    require(snapshot(folder) == before, "the file was changed")
    if taken is not None:
        ask(taken)


AREAS = (
    Area("ratings files", "read twice the same, or one sentence", 2500, attack_ratings),
    Area("model folders", "damage seen; answers finite, or one sentence", 1800, attack_model),
    Area("weights", "answers finite, or one sentence", 1500, attack_weights),
)
