"""Kill runs at random moments and resume them, again and again; tell when it struck.

``python kill_driver.py FOLDER KILLS SEED``. Every second kill waits for the next checkpoint that
is being written. All is imported once, before any work; each run is a child forked from here.
"""

import json
import os
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import test_run

from d2l_autorec.atomic import sweep
from d2l_autorec.models.recipes import RECIPES
from d2l_autorec.training import checkpoint, dense, run, sparse
from d2l_autorec.training.run import Scored, train_on_all

RECIPE = RECIPES["chapter"].but(
    hidden=(8,),
    batch_size=7,
    num_epochs=40,
    lr=0.05,
    dropout=0.2,
    input_dropout=0.1,
    val_ratio=0.2,
)


def child(folder, engine):
    """Train or go on in a process of its own; return its id."""
    pid = os.fork()
    if pid:
        return pid
    try:
        sweep(folder)
        former = None
        if (folder / checkpoint.NAME).exists():
            former = checkpoint.load(folder)
        plan = run.Plan(RECIPE, engine, checkpoint_every=1, all_ratings=True)
        ratings, keep = test_run.toy_ratings(), checkpoint.Keep(folder, {}, former)
        if former is not None and former.scored:
            scored = Scored.from_dict(former.scored)
        else:
            scored = Scored.of(*run.train(ratings, plan, keep=keep))
        model = train_on_all(ratings, plan, scored, keep=keep)
        weights = [values.tobytes().hex() for values in model.networks[0].weights.values()]
        (folder / "net.json").write_text(json.dumps(weights))
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


def being_written(folder):
    return any(name.startswith(f".{checkpoint.NAME}.") for name in os.listdir(folder))


def main(out, kills, seed):
    draws = random.Random(seed)
    assert dense  # loaded, so that a child starts at once
    sparse.compile_kernels()
    struck = {}
    for engine in ("fast", "sparse"):
        whole = out / f"{engine}-whole"
        whole.mkdir()
        start = time.monotonic()
        assert os.waitpid(child(whole, engine), 0)[1] == 0
        needed = time.monotonic() - start
        struck[engine], folders, unfinished = [], 0, False
        while len(struck[engine]) < kills or unfinished:
            if not unfinished:
                folder = out / f"{engine}-{folders}"
                folder.mkdir()
                folders += 1
            pid = child(folder, engine)
            if len(struck[engine]) < kills:
                time.sleep(draws.uniform(0, 0.6) * needed)
                while len(struck[engine]) % 2 and not being_written(folder):
                    if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                        break
                os.kill(pid, signal.SIGKILL)
            status = os.waitpid(pid, 0)[1]
            unfinished = os.WIFSIGNALED(status)
            assert unfinished or status == 0
            if unfinished:
                reached = 0
                if (folder / checkpoint.NAME).exists():
                    former = checkpoint.load(folder)
                    reached = len(former.history) + (40 if former.scored else 0)
                struck[engine].append((folder.name, reached, being_written(folder)))
    (out / "struck.json").write_text(json.dumps(struck))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
