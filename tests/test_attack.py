"""A short attack of each area, and the attack's own arithmetic: it must be able to fail."""

import dataclasses

import numpy as np
import pytest

from benchmarks.attack import files, frame, runs, service, shared
from benchmarks.attack.__main__ import store, table
from d2l_autorec.experiments.report import page
from d2l_autorec.serving.model import Model
from d2l_autorec.training import checked

pytest.importorskip("mxnet")

SHORT = {
    "ratings files": 60, "model folders": 20, "weights": 30, "checkpoints": 30, "resumes": 3,
    "kills": 1, "exports": 6, "leakage": 2, "HTTP service": 10, "commands": 1,
    "launch losses": 1, "two processes": 1, "disk full": 8, "first downloads": 8,
}  # fmt: skip
AREAS = {area.name: area for area in (*files.AREAS, *runs.AREAS, *service.AREAS, *shared.AREAS)}


def lost(name, count, seed=7):
    said = []
    outcome = frame.attack(AREAS[name], seed, range(count), said.append)
    assert outcome.tried >= count and outcome.lost == said
    return said


@pytest.mark.parametrize("name", AREAS)
def test_a_short_attack_is_survived(name):
    if name == "HTTP service":
        pytest.importorskip("fastapi")
    assert lost(name, SHORT[name]) == []


def test_a_try_can_be_made_again():
    area = AREAS["weights"]
    one, same, other = (frame.draws_of(area, 7, number).random() for number in (3, 3, 4))
    assert one == same != other


def test_what_is_not_survived_is_told():
    def fails(draws, folder):
        raise ZeroDivisionError("division by zero")

    area = frame.Area("x", "nothing", 2, fails)
    outcome = frame.attack(area, 0, range(2), lambda said: None)
    assert (outcome.tried, outcome.survived) == (2, 0)
    assert outcome.lost[1].startswith("x 1: ZeroDivisionError at test_attack.py:")
    assert table([outcome]).iloc[-1].tolist() == ["all", "", 2, 0]


def test_checkpoints_that_are_trusted_are_found(monkeypatch):
    monkeypatch.setattr(checked, "_count", lambda value: value)
    monkeypatch.setattr(checked, "_number", lambda value: value)
    monkeypatch.setattr("d2l_autorec.training.fit.check_fits", lambda *given: None)
    assert lost("checkpoints", 60)


def test_an_export_that_ranks_by_the_clipped_rating_is_found(monkeypatch):
    honest = runs._scores
    monkeypatch.setattr(
        runs, "_scores", lambda session, model: np.clip(honest(session, model), 1, 2)
    )
    assert lost("exports", 3)


def test_answers_that_are_not_finite_are_found(monkeypatch):
    monkeypatch.setattr("d2l_autorec.models.trained.require_finite", lambda predicted: predicted)

    def large(model, path):
        networks = model.trained.networks
        weights = {name: np.full_like(v, 3e38) for name, v in networks[0].weights.items()}
        changed = (dataclasses.replace(networks[0], weights=weights), *networks[1:])
        trained = dataclasses.replace(model.trained, networks=changed)
        return dataclasses.replace(model, trained=trained)

    assert isinstance(files.kept_models()[0], Model)
    monkeypatch.setattr(files, "import_weights", large)
    assert any("not finite" in said for said in lost("weights", 10))


def test_the_table_and_its_page(tmp_path):
    outcome = frame.Outcome(AREAS["weights"], 3, ["weights 1: no", "weights 2: no"])
    store(tmp_path / "attack", table([outcome]), [outcome], 0)
    text = (tmp_path / "attack" / "table.md").read_text(encoding="utf-8")
    assert "Of 3 tries 1 broke no promise." in text
    assert text.count("Not survived among the weights, try 1, 2: no\n") == 1
    assert "| weights | answers finite, or one sentence | 3 | 1 |" in text
    assert (tmp_path / "attack" / "README.md").read_text(encoding="utf-8") == page(
        tmp_path / "attack"
    )
    assert (tmp_path / "attack" / "table.csv").exists()
