"""The recipe: how an AutoRec is made and trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import partial
from typing import Any

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.models.architecture import SHARE, Architecture, Rule, check_values, is_size
from d2l_autorec.models.biases import SHRINKAGE

CHOICES = {
    "objective": ("mean", "sum"),
    "targets": ("stars", "unit", "mean", "biases"),
    "schedule": ("constant", "cosine"),
    "init": ("normal", "xavier"),
    "start": ("zero", "mean"),
    "draws": ("numpy", "mxnet", "book"),
}
LARGEST = 1e38  # what float32 holds
_FLOAT32 = "that float32 holds (up to 1e38)"


def _is_number(value: Any, low: float = -LARGEST) -> bool:
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and low <= value <= LARGEST


def _is_pair(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_number, value))


_NOT_NEGATIVE = (partial(_is_number, low=0), f"a number of 0 or more {_FLOAT32}")
_SIZE = (is_size, "a whole number of at least 1")
_RULES: dict[str, Rule] = {
    **dict.fromkeys(("lr", "wd", "lam"), _NOT_NEGATIVE),
    **dict.fromkeys(("batch_size", "num_epochs", "num_seeds", "patience"), _SIZE),
    "val_ratio": SHARE,
    "default": (_is_number, f"a number {_FLOAT32}"),
    "clip": (
        lambda ends: ends == "ratings" or (_is_pair(ends) and ends[0] <= ends[1]),
        "the lowest and the highest rating",
    ),
    "shrinkage": (
        lambda ends: ends == "ratings" or (_is_pair(ends) and min(ends) > 0),
        "two numbers above 0, for users and items, or ratings",
    ),
}
_LAYERS = tuple(part.name for part in fields(Architecture))
_OF_BLEND = ("val_ratio", "patience", "refit", "num_seeds", "members", "weights", "default")


@dataclass(frozen=True)
class Recipe:
    """How an AutoRec is made and trained; the defaults are the chapter's.

    Attributes
    ----------
    architecture : Architecture
        The network.
    objective : {"mean", "sum"}
        A row's loss is half its squared error over the number of columns (the chapter), or half
        its squared error, summed over the ratings (the paper).
    targets : {"stars", "unit", "mean", "biases"}
        What the network reads and predicts: the ratings; the ratings over the upper end of
        ``clip``, which brings them to 0..1, as a sigmoid output needs; the ratings less their
        mean; or the ratings less the mean and shrunken biases of user and item.
    shrinkage : (float, float) or "ratings"
        With the targets "biases": the number of ratings of no effect that a user's and an item's
        bias is averaged with; "ratings" stands for an estimate from the training ratings.
    damped : bool
        With the targets "biases": whether what the network adds to the biases is multiplied by a
        factor from 0 to 1, by least squares on the validation ratings. In a blend such members
        have one factor, which may be above 1; see `d2l_autorec.training.blend.damped_weights`.
    scaled : bool
        Whether the network reads and predicts its targets over a quarter of the range ``clip``, so
        that learning rate and λ, which suit ratings from 1 to 5, suit those from 0 to 100 as well.
        The targets "unit" have a unit of their own.
    lr : float
        Adam's learning rate, at the start.
    schedule : {"constant", "cosine"}
        Whether the learning rate falls to zero along half a cosine over ``num_epochs``.
    wd : float
        The chapter's weight decay, on all parameters.
    lam : float, optional
        The paper's λ, in place of ``wd`` and with the objective "sum" only: the whole is
        ``sum of squared errors + λ/2 (|W|² + |V|²)``, without the biases. Half of it is trained,
        shared out over the batches: the decay of a step is ``λ / (2 num_rows)``. With the targets
        "unit" it is divided by the square of the unit, so that a λ weighs errors in stars.
    batch_size, num_epochs : int
        Rows in a batch (all of them where there are fewer), and passes over the rows.
    clip : (float, float) or "ratings", optional
        Range of the predictions; "ratings" stands for the range of the training ratings.
    default : float, optional
        Prediction for a user or item without training ratings; the network's own without it.
    init : {"normal", "xavier"}
        Initial weights: the chapter's normal distribution of 0.01, or Xavier's, for depth.
    start : {"zero", "mean"}
        Start of the output's bias: zero, or the shrunken mean of each column.
    draws : {"numpy", "mxnet", "book"}
        Generators of initial weights, dropout and order of rows. "numpy" needs no MXNet. "mxnet"
        seeds MXNet's and NumPy's global generators for each network. "book" draws on from where
        the split has left these two, as the chapter's code does.
    val_ratio : float
        Share of the training ratings that choose the epoch (and a blend's weights); 0 for none.
    patience : int, optional
        Epochs without a better validation RMSE after which a network's training ends.
    refit : bool
        Having chosen the epoch, train again up to it on all training ratings.
    num_seeds : int
        Networks trained with seeds of their own, whose predictions are averaged.
    members : tuple of Recipe
        The recipe is a blend of these. The validation, seeds, refit, clip and default are the
        blend's, everything else is the members'.
    weights : tuple of float
        One for each member. Without them, non-negative least squares on the validation ratings
        chooses.

    Raises
    ------
    InputError
        If a value cannot be used, or two contradict each other.
    """

    architecture: Architecture = field(default_factory=Architecture)
    objective: str = "mean"
    targets: str = "stars"
    shrinkage: tuple[float, float] | str = (SHRINKAGE, SHRINKAGE)
    damped: bool = False
    scaled: bool = False
    lr: float = CHAPTER.lr
    schedule: str = "constant"
    wd: float = CHAPTER.wd
    lam: float | None = None
    batch_size: int = CHAPTER.batch_size
    num_epochs: int = CHAPTER.num_epochs
    clip: tuple[float, float] | str | None = None
    default: float | None = None
    init: str = "normal"
    start: str = "zero"
    draws: str = "mxnet"
    val_ratio: float = 0.0
    patience: int | None = None
    refit: bool = False
    num_seeds: int = 1
    members: tuple[Recipe, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        check_values(self, CHOICES, _RULES)
        if isinstance(self.clip, tuple) and self.default is not None:
            low, high = self.clip
            if not low <= self.default <= high:
                raise InputError(
                    f"default is {self.default:g} and predictions go from {low:g} to {high:g}; "
                    "give a default within this range."
                )
        if self.lam is not None and self.objective != "sum":
            raise InputError("lam belongs to the paper's objective; set objective to sum.")
        if self.targets == "unit" and self.clip is None:
            raise InputError("targets='unit' needs the ratings' range; give it as clip.")
        if self.scaled and self.clip is None:
            raise InputError("scaled needs the ratings' range; give it as clip.")
        if self.refit and not self.val_ratio:
            raise InputError("refit needs an epoch chosen on validation ratings; set val_ratio.")
        if self.weights and len(self.weights) != len(self.members):
            raise InputError(
                f"weights has {len(self.weights)} numbers for {len(self.members)} members; "
                "give one for each member."
            )
        if not all(_is_number(weight, low=0) for weight in self.weights):
            raise InputError(f"weights is {self.weights!r}; give numbers of 0 or more.")
        if self.members and not self.weights and not self.val_ratio:
            raise InputError("A blend chooses its weights on validation ratings; set val_ratio.")
        for part in self.members:
            if part.members or part.num_seeds > 1 or part.val_ratio or part.refit:
                raise InputError(
                    "members, num_seeds, val_ratio and refit belong to the blend; "
                    "take them out of its members."
                )

    @property
    def is_damped(self) -> bool:
        """Whether validation ratings damp what the network adds to the biases."""
        return self.damped and self.targets == "biases"

    @property
    def parts(self) -> tuple[Recipe, ...]:
        """The recipes of the networks: the members of a blend, or this recipe itself."""
        return self.members or (self,)

    @property
    def num_networks(self) -> int:
        """How many networks a trained model has, at most."""
        return len(self.parts) * self.num_seeds

    def but(self, **changes: Any) -> Recipe:
        """Return the recipe with some fields changed, those of the architecture among them.

        In a blend, fields of the networks are changed in every member.
        """
        if self.members:
            own = {k: v for k, v in changes.items() if k in (*_OF_BLEND, "clip")}
            of_networks = {k: v for k, v in changes.items() if k not in _OF_BLEND}
            members = own.pop("members", self.members)
            return replace(self, members=tuple(m.but(**of_networks) for m in members), **own)
        layers = {name: changes.pop(name) for name in _LAYERS if name in changes}
        if layers:
            before = changes.get("architecture", self.architecture)
            changes["architecture"] = replace(before, **layers)
        return replace(self, **changes)

    def for_ratings(self, num_users: int, num_items: int, ratings: tuple[float, float]) -> Recipe:
        """Return the recipe with the settings filled in that depend on the ratings.

        Parameters
        ----------
        num_users, num_items : int
            A batch has at most as many rows as there are.
        ratings : (float, float)
            The lowest and the highest training rating, for the clip "ratings".
        """
        rows = self.architecture.oriented(num_users, num_items)[0]
        return replace(
            self,
            batch_size=min(self.batch_size, rows),
            clip=ratings if self.clip == "ratings" else self.clip,
            members=tuple(m.for_ratings(num_users, num_items, ratings) for m in self.members),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the recipe as a flat dictionary of plain values, for JSON and TOML.

        What is None, empty or not used is left out. `from_dict` makes a recipe of it that trains
        as this one.
        """
        unused = {"architecture"}
        if self.lam is not None:
            unused.add("wd")
        if self.targets != "biases":
            unused |= {"shrinkage", "damped"}
        if not self.scaled:
            unused.add("scaled")
        shown = {**vars(self.architecture), **vars(self)}
        if self.members:
            shown = {k: v for k, v in shown.items() if k in (*_OF_BLEND, "clip")}
            shown["members"] = [member.to_dict() for member in self.members]
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in shown.items()
            if name not in unused and value is not None and value != ()
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Make a recipe of a flat dictionary; what it lacks is the chapter's.

        Raises
        ------
        InputError
            If it holds an unknown name or a value that cannot be used.
        """
        rest: dict[str, Any] = {
            k: tuple(v) if isinstance(v, list) else v for k, v in values.items()
        }
        layers = {name: rest.pop(name) for name in _LAYERS if name in rest}
        known = {part.name for part in fields(cls)} - {"architecture"}
        for name in rest:
            if name not in known:
                names = ", ".join([*_LAYERS, *sorted(known)])
                raise InputError(f"A recipe has no {str(name)[:80]!r}; it has {names}.")
        members = values.get("members", [])
        if not isinstance(members, list) or not all(isinstance(m, Mapping) for m in members):
            raise InputError(
                "members is not a list of recipes; write each as a table [[members]]."
            )
        rest["members"] = tuple(map(cls.from_dict, members))
        try:
            return cls(architecture=Architecture(**layers), **rest)
        except TypeError as error:  # a value of a type that cannot be compared
            raise InputError(f"A value of the recipe has a wrong type ({error}).") from None
