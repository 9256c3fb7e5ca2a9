"""The recipe: how an AutoRec is made and trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

from d2l_autorec.config import CHAPTER
from d2l_autorec.errors import InputError
from d2l_autorec.models.architecture import Architecture, is_size
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
_FLOAT32 = " that float32 holds (up to 1e38)"
_LAYERS = tuple(part.name for part in fields(Architecture))
_ABOVE_BIASES = ("shrinkage", "damped")  # of no effect with other targets
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
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InputError(
                    f"{name} {getattr(self, name)!r} is unknown; use one of {', '.join(allowed)}."
                )
        for name in ("lr", "wd", "lam"):
            value = getattr(self, name)
            if value is None and name == "lam":
                continue
            if not (_is_number(value) and value >= 0):
                raise InputError(f"{name} is {value!r}; give a number of 0 or more{_FLOAT32}.")
        for name in ("batch_size", "num_epochs", "num_seeds", "patience"):
            value = getattr(self, name)
            if not is_size(value) and not (name == "patience" and value is None):
                raise InputError(f"{name} is {value!r}; give a whole number of at least 1.")
        if not (_is_number(self.val_ratio) and 0 <= self.val_ratio < 1):
            raise InputError(f"val_ratio is {self.val_ratio!r}; give a share from 0 to below 1.")
        if self.default is not None and not _is_number(self.default):
            raise InputError(f"default is {self.default!r}; give a number{_FLOAT32}.")
        self._check_clip()
        self._check_shrinkage()
        if self.lam is not None and self.objective != "sum":
            raise InputError("lam belongs to the paper's objective; set objective to sum.")
        if self.targets == "unit" and self.clip is None:
            raise InputError("targets='unit' needs the ratings' range; give it as clip.")
        if self.scaled and self.clip is None:
            raise InputError("scaled needs the ratings' range; give it as clip.")
        if self.refit and not self.val_ratio:
            raise InputError("refit needs an epoch chosen on validation ratings; set val_ratio.")
        self._check_members()

    def _check_clip(self) -> None:
        if self.clip is None or self.clip == "ratings":
            return
        if not isinstance(self.clip, tuple) or not all(map(_is_number, self.clip)):
            raise InputError(f"clip is {self.clip!r}; give the lowest and the highest rating.")
        if len(self.clip) != 2 or not self.clip[0] <= self.clip[1]:
            raise InputError(f"clip is {self.clip!r}; give the lowest and the highest rating.")
        if self.default is not None and not self.clip[0] <= self.default <= self.clip[1]:
            raise InputError(
                f"default is {self.default:g} and predictions go from {self.clip[0]:g} to "
                f"{self.clip[1]:g}; give a default within this range."
            )

    def _check_shrinkage(self) -> None:
        ends = self.shrinkage
        if ends == "ratings":
            return
        if not isinstance(ends, tuple) or len(ends) != 2 or not all(map(_is_positive, ends)):
            raise InputError(
                f"shrinkage is {ends!r}; give two numbers above 0, for users and items, or "
                "ratings."
            )

    def _check_members(self) -> None:
        if self.weights and len(self.weights) != len(self.members):
            raise InputError(
                f"weights has {len(self.weights)} numbers for {len(self.members)} members; "
                "give one for each member."
            )
        if not all(_is_number(weight) and weight >= 0 for weight in self.weights):
            raise InputError(f"weights is {self.weights!r}; give numbers of 0 or more.")
        if self.members and not self.weights and not self.val_ratio:
            raise InputError("A blend chooses its weights on validation ratings; set val_ratio.")
        for member in self.members:
            if member.members or member.num_seeds > 1 or member.val_ratio or member.refit:
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
        own = {k: v for k, v in changes.items() if not self.members or k in (*_OF_BLEND, "clip")}
        if self.members and (
            of_networks := {k: changes[k] for k in changes.keys() - {*_OF_BLEND}}
        ):
            members = own.get("members", self.members)
            own["members"] = tuple(member.but(**of_networks) for member in members)
        layers = {name: own.pop(name) for name in _LAYERS if name in own}
        if layers:
            own["architecture"] = replace(own.get("architecture", self.architecture), **layers)
        return replace(self, **own)

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
        shown: dict[str, Any] = {} if self.members else dict(vars(self.architecture))
        for part in fields(self):
            value = getattr(self, part.name)
            of_blend = part.name in (*_OF_BLEND, "clip")
            unused = part.name == "wd" and self.lam is not None
            unused |= part.name in _ABOVE_BIASES and self.targets != "biases"
            unused |= part.name == "scaled" and not self.scaled
            if part.name == "architecture" or unused or (self.members and not of_blend):
                continue
            if value is not None and value != ():
                shown[part.name] = value
        if self.members:
            shown["members"] = [member.to_dict() for member in self.members]
        return {k: list(v) if isinstance(v, tuple) else v for k, v in shown.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """Make a recipe of a flat dictionary; what it lacks is the chapter's.

        Raises
        ------
        InputError
            If it holds an unknown name or a value that cannot be used.
        """
        known = {part.name for part in fields(cls)} - {"architecture"}
        given = dict(values)
        layers = {name: _tupled(given.pop(name)) for name in _LAYERS if name in given}
        for name in given:
            if name not in known:
                names = ", ".join([*_LAYERS, *sorted(known)])
                raise InputError(f"A recipe has no {str(name)[:80]!r}; it has {names}.")
        members = given.pop("members", [])
        if not isinstance(members, list) or not all(isinstance(m, Mapping) for m in members):
            raise InputError(
                "members is not a list of recipes; write each as a table [[members]]."
            )
        try:
            return cls(
                architecture=Architecture(**layers),
                members=tuple(map(cls.from_dict, members)),
                **{name: _tupled(value) for name, value in given.items()},
            )
        except TypeError as error:  # a value of a type that cannot be compared
            raise InputError(f"A value of the recipe has a wrong type ({error}).") from None


def _tupled(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _is_positive(value: Any) -> bool:
    return _is_number(value) and value > 0


def _is_number(value: Any) -> bool:
    real = isinstance(value, (int, float)) and not isinstance(value, bool)
    return real and abs(value) <= LARGEST
