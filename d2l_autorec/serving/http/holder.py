"""The model in service, and its replacement when the folder holds a new one."""

from __future__ import annotations

import logging
import math
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from d2l_autorec.errors import InputError, plain
from d2l_autorec.serving._reading import FILES
from d2l_autorec.serving.explain import explain
from d2l_autorec.serving.folder import find_model, ids_digest, load_model
from d2l_autorec.serving.foldin import new_user
from d2l_autorec.serving.http.metrics import Metrics
from d2l_autorec.serving.model import Model
from d2l_autorec.serving.recommend import predict, recommend
from d2l_autorec.serving.similar import similar

POLL = 0.5  # seconds

log = logging.getLogger("d2l_autorec.serve")


@dataclass(frozen=True, eq=False)
class Served:
    """A model that has been checked and has answered; `about` is what ``/model`` says."""

    model: Model
    about: dict[str, Any]


class Holder:
    """The model in service, and its replacement when the folder holds a new one.

    A new model is loaded and asked beside the old one, then takes its place at once: who holds
    the old one answers with it to the end. One that cannot be used is refused with a line in the
    log; at the start, with an InputError.

    The folder, as for `d2l_autorec.serving.folder.load_model`, may be a link that is pointed
    elsewhere. Read ``current`` once for each question.
    """

    def __init__(self, folder: Path, metrics: Metrics) -> None:
        self.folder, self.metrics = folder, metrics
        self._tried = self._signature()
        self.current = self._load()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="model", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the watch."""
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        before = self._tried
        while not self._stop.wait(POLL):
            found = self._signature()
            settled, before = found == before, found  # a copy under way changes still
            if settled and found != self._tried:
                self._tried = found
                self._replace()

    def _replace(self) -> None:
        try:
            self.current = self._load()
        except Exception as error:  # whatever is wrong with it, the old one must go on
            said = str(error) if isinstance(error, InputError) else repr(error)
            log.warning("The new model is refused: %s The old one goes on serving.", plain(said))
            self.metrics.loads.labels("refused").inc()

    def _load(self) -> Served:
        model = load_model(self.folder)
        _ask(model)
        served = Served(model, _about(model))
        self.metrics.loaded(served.about)
        log.info("Model %s is in service.", model.digest[:12])
        return served

    def _signature(self) -> tuple[Any, ...]:
        """Return what changes when a file of the model does."""
        try:
            folder = find_model(self.folder)
            stats = [(folder / name).stat() for name in ("model.json", *FILES)]
        except (InputError, OSError):
            return ()
        return tuple((stat.st_ino, stat.st_size, stat.st_mtime_ns) for stat in stats)


def _ask(model: Model) -> None:
    """Ask a model once of each kind: what the questions share is computed then, and kept."""
    user, item = model.user_ids[0], model.item_ids[0]
    recommend(model, [user], 1)
    predict(model, [user], [item])
    similar(model, "item", item, 1)
    explain(model, user, item)
    rated = pd.DataFrame({"item": [item], "rating": [model.low]})
    try:
        new_user(model, rated, 1)
    except InputError:  # an item-based model whose output is not identity
        log.info("This model takes no new users.")


def _about(model: Model) -> dict[str, Any]:
    """Return what `d2l_autorec.serving.http.schemas.About` says."""
    trained = model.trained
    said = [model.record.get(name) for name in ("data", "result")]  # whoever wrote it
    data, result = (value if isinstance(value, dict) else {} for value in said)
    name, digest, rmse = data.get("name"), data.get("digest"), result.get("test_rmse")
    return {
        "model": model.digest,
        "loaded": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "users": len(model.user_ids),
        "items": len(model.item_ids),
        "ratings": int(model.ratings.nnz),
        "rating_range": [model.low, model.high],
        "networks": len(trained.networks),
        "recipe": trained.recipe.to_dict(),
        "data": name if isinstance(name, str) else None,
        "data_digest": digest if isinstance(digest, str) else None,
        "ids_digest": ids_digest(model),
        "test_rmse": rmse if isinstance(rmse, float) and math.isfinite(rmse) else None,
    }
