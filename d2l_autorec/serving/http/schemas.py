"""What is sent to the service and what comes back, as pydantic models."""

# No `from __future__ import annotations`: pydantic evaluates these annotations when a class is
# made, and Python 3.9 cannot evaluate `X | None`. Hence Optional, too.

from typing import Annotated, Any, Optional

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

MAX_ID = 1000  # characters
MAX_ROWS = 1000
MAX_PAIRS = 1000
MAX_RATINGS = 5000
MAX_CHOICE = 20_000  # items to choose from, or to leave out
MAX_GENRES = 100


def _as_text(value: Any) -> Any:
    """Take whole numbers for ids; a longer one is no id and fails as a number."""
    whole = isinstance(value, int) and not isinstance(value, bool)
    return str(value) if whole and abs(value) < 10**18 else value


def _example(**values: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [values]})


Id = Annotated[str, Field(min_length=1, max_length=MAX_ID), BeforeValidator(_as_text)]
User = Annotated[Id, Field(description="Id of a user, as the ratings file has it.")]
Item = Annotated[Id, Field(description="Id of an item, as the ratings file has it.")]
Number = Annotated[int, Field(ge=1, le=MAX_ROWS, description="Rows to return.")]
Genre = Annotated[str, Field(min_length=1, max_length=MAX_ID)]
MinRatings = Annotated[
    int, Field(ge=0, le=10**9, description="Ratings in training that a row needs.")
]


def _some(most: int, text: str, default: Any = ...) -> Any:
    """Return the field of a list; in Annotated, older FastAPIs would see no list."""
    return Field(default, min_length=1, max_length=most, description=text)


class _Asked(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Choice(_Asked):
    """Which items may be recommended, and how many."""

    n: Number = Field(10, examples=[5])
    min_ratings: MinRatings = 1
    candidates: Optional[list[Id]] = _some(
        MAX_CHOICE, "Only these items. A query repeats the name; POST takes more of them.", None
    )
    exclude: Optional[list[Id]] = _some(MAX_CHOICE, "None of these items.", None)
    genre: Optional[list[Genre]] = _some(
        MAX_GENRES, "Only items of at least one of these genres.", None
    )
    year: Optional[Annotated[str, Field(max_length=20)]] = Field(
        None, description="Only items of 1994, or of 1990-1999."
    )


class RecommendQuery(Choice):
    """Who is asked for, and what may be recommended."""

    user: User = Field(examples=["196"])


class RecommendBody(RecommendQuery):
    """The same in a body, for longer lists of items."""

    model_config = _example(user="196", n=5, exclude=["50", "172"])


class SimilarQuery(_Asked):
    """What is compared with: an item or a user."""

    item: Optional[Item] = Field(None, examples=["50"])
    user: Optional[User] = None
    n: Number = Field(10, examples=[5])
    min_ratings: MinRatings = 1


class ExplainQuery(_Asked):
    """Which prediction is explained."""

    user: User = Field(examples=["196"])
    item: Item = Field(examples=["197"])
    n: Number = Field(10, examples=[5])


class Pair(_Asked):
    """A user and an item."""

    user: User
    item: Item


class PredictBody(_Asked):
    """The pairs to predict."""

    model_config = _example(pairs=[{"user": "196", "item": "197"}, {"user": "22", "item": "50"}])
    pairs: list[Pair] = _some(MAX_PAIRS, "Users and items.")


class Rating(_Asked):
    """A rating by the new user."""

    item: Item
    rating: Annotated[
        float, Field(ge=-1e9, le=1e9, allow_inf_nan=False, description="In the range of /model.")
    ]


class NewUserBody(Choice):
    """What somebody who was not in training has rated, and what may be recommended."""

    model_config = _example(ratings=[{"item": "50", "rating": 5}, {"item": "172", "rating": 4}])
    ratings: list[Rating] = _some(
        MAX_RATINGS, "Of an item that stands twice the last rating counts."
    )


class Problem(BaseModel):
    """What is wrong, in one sentence."""

    detail: str


class Row(BaseModel):
    """A row of an answer. Ids are strings; what a question does not have is left out."""

    user: Optional[str] = None
    rank: Optional[int] = Field(None, description="From 1.")
    item: Optional[str] = None
    title: Optional[str] = None
    year: Optional[int] = None
    genres: Optional[str] = None
    prediction: Optional[float] = Field(None, description="Clipped to the rating range.")
    similarity: Optional[float] = Field(None, description="Cosine.")
    rating: Optional[float] = Field(None, description="In training; null where there was none.")
    without: Optional[float] = Field(None, description="Prediction without this rating.")
    change: Optional[float] = Field(None, description="Prediction less that without it.")
    num_ratings: Optional[int] = Field(None, description="Ratings in training.")
    num_read: Optional[int] = Field(None, description="Ratings read for the prediction.")


class Rows(BaseModel):
    """The rows of an answer, and the digest of the model that gave it."""

    model: str
    rows: list[Row]


class Similar(Rows):
    """Neighbours, and what they are compared by."""

    compared: str


class Explained(Rows):
    """A prediction, and the ratings that moved it most."""

    prediction: float = Field(description="Clipped to the rating range.")
    unclipped: float
    num_read: int = Field(description="Ratings read for the prediction.")


class Diversity(BaseModel):
    """How different the recommended items are."""

    compared: str = Field(description="What of the items.")
    intra_list: Optional[float] = Field(
        description="Mean of 1 - cosine over all pairs: 0 where all are alike, about 1 as if "
        "drawn at random; null for a single item."
    )
    num_genres: int = Field(description="Genres in the list; -1 where the model knows none.")


class Recommended(Rows):
    """Recommendations, and what they were chosen from."""

    diversity: Optional[Diversity] = Field(description="null where nothing is recommended.")
    unknown_items: list[str] = Field(description="Given items that the model does not know.")


class Health(BaseModel):
    """That the service answers, and the digest of its model."""

    status: str
    model: str


class About(BaseModel):
    """The model in service."""

    model: str = Field(description="Digest of model.json.")
    loaded: str = Field(description="When it was loaded, in UTC.")
    users: int
    items: int
    ratings: int = Field(description="Ratings trained on.")
    rating_range: tuple[float, float]
    networks: int
    recipe: dict[str, Any]
    data: Optional[str] = Field(description="Name of the ratings file.")
    data_digest: Optional[str] = Field(description="SHA-256 of the ratings file.")
    ids_digest: str = Field(description="SHA-256 of the ids.")
    test_rmse: Optional[float] = Field(description="On held-out ratings, where it was measured.")
