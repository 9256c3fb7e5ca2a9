"""The commands that ask a model, from ``recommend`` to ``update``. None of them loads MXNet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from d2l_autorec.cli.common import Csv, Json, Model, app, reads_ratings
from d2l_autorec.cli.tables import (
    FORMATS,
    check_one_form,
    print_csv,
    say,
    show,
    show_lists,
    titled,
)
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.errors import InputError
from d2l_autorec.progress import tell
from d2l_autorec.serving.records import records

if TYPE_CHECKING:
    from d2l_autorec.serving.filters import Filters

Id = Annotated[Optional[str], typer.Option(help="Id, as the ratings file has it.")]
Users = Annotated[Optional[Path], typer.Option(help="File: an id on each line.")]
Pairs = Annotated[Optional[Path], typer.Option(help="File: user,item on each line.")]
Number = Annotated[int, typer.Option("-n", "--number", min=1, help="Rows to show.")]
MinRatings = Annotated[
    int, typer.Option(min=0, help="Ratings in training that an item needs to be shown.")
]
Candidates = Annotated[
    Optional[Path], typer.Option(help="Only these items. File: an id on each line.")
]
Exclude = Annotated[
    Optional[Path], typer.Option(help="None of these items. File: an id on each line.")
]
Genre = Annotated[
    Optional[list[str]],
    typer.Option(help="Only items of this genre. May be repeated: of any of them."),
]
Year = Annotated[Optional[str], typer.Option(help="Only items of 1994, or of 1990-1999.")]
Links = Annotated[
    Optional[Path],
    typer.Option(help="links.csv of MovieLens, to match an export of IMDb by its ids."),
]

_MOST_LINES = 21  # about an export: a summary and 20 entries


@app.command()
def recommend(
    model: Model,
    user: Id = None,
    users: Users = None,
    everybody: Annotated[bool, typer.Option("--all", help="All users.")] = False,
    number: Number = 10,
    min_ratings: MinRatings = 1,
    candidates: Candidates = None,
    exclude: Exclude = None,
    genre: Genre = None,
    year: Year = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Recommend the items with the highest predictions that a user has not rated.

    Diversity is the mean of 1 - cosine over all pairs of items in the list.
    """
    if (user is not None) + (users is not None) + everybody != 1:
        raise InputError("Say for whom: give one of --user ID, --users FILE and --all.")
    from d2l_autorec.serving import recommend as asked
    from d2l_autorec.serving.folder import load_model

    check_one_form(as_json, as_csv)
    wanted = None if everybody else [user]
    if users is not None:
        wanted = _ids(users, "user")
    choice = number, min_ratings, _filters(candidates, exclude, genre, year)
    loaded = load_model(model)
    if as_csv:
        print_csv(asked.recommend_in_blocks(loaded, wanted, *choice))
        return
    table = asked.recommend(loaded, wanted, *choice)
    formats = {name: form for name, form in FORMATS.items() if name != "user" or user is None}
    record = {"command": "recommend", "model": str(model)}
    show_lists(loaded, table, record, as_json, as_csv, formats)


@app.command()
@reads_ratings
def predict(
    model: Model,
    reading: ReadOptions,
    user: Id = None,
    item: Id = None,
    pairs: Pairs = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Predict what a user would rate an item."""
    given = user is not None, item is not None, pairs is not None
    if given not in ((True, True, False), (False, False, True)):
        raise InputError("Say what to predict: give --user ID and --item ID, or --pairs FILE.")
    from d2l_autorec.serving.files import read_columns
    from d2l_autorec.serving.folder import load_model
    from d2l_autorec.serving.recommend import predict

    ids: list[list[Any]] = [[user], [item]]
    if pairs is not None:
        read = read_columns(pairs, ("user", "item"), reading)
        ids = [read[name].tolist() for name in read]
    record = {"command": "predict", "model": str(model)}
    show(predict(load_model(model), *ids), record, as_json, as_csv)


@app.command()
def similar(
    model: Model,
    item: Id = None,
    user: Id = None,
    number: Number = 10,
    min_ratings: Annotated[
        int, typer.Option(min=0, help="Ratings in training that a neighbour needs.")
    ] = 1,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """List the items most similar to an item, or the users most similar to a user."""
    if (user is None) == (item is None):
        raise InputError("Say what to compare with: give one of --item ID and --user ID.")
    from d2l_autorec.serving.folder import load_model
    from d2l_autorec.serving.similar import basis, similar

    what, name = ("item", item) if user is None else ("user", user)
    loaded = load_model(model)
    table, compared = similar(loaded, what, name, number, min_ratings), basis(loaded, what)
    record = {"command": "similar", "model": str(model), what: name, "compared": compared}
    show(table, record, as_json, as_csv)
    if not (as_json or as_csv):
        say(f"Compared: the {compared} of the {what}s.")


@app.command()
def explain(
    model: Model,
    user: Annotated[str, typer.Option(help="Id, as the ratings file has it.")],
    item: Annotated[str, typer.Option(help="Id, as the ratings file has it.")],
    number: Number = 10,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Show which ratings moved a prediction most, by leaving out each in turn."""
    from d2l_autorec.serving.explain import explain
    from d2l_autorec.serving.folder import load_model
    from d2l_autorec.serving.recommend import predict

    loaded = load_model(model)
    result = explain(loaded, user, item)
    table, [asked] = result.table.head(number), records(predict(loaded, [user], [item]))
    record = {"command": "explain", "model": str(model), **asked, "unclipped": result.prediction}
    if as_json or as_csv:
        show(table, record, as_json, as_csv)
        return
    clipped = not loaded.low <= result.prediction <= loaded.high
    before = f" ({result.prediction:.2f} before it is clipped)" if clipped else ""
    whose = {"item": "the item has", "user": "the user has", "both": "user and item have"}
    read = f"read from the {asked['num_read']:,} ratings that {whose[loaded.by]} in training."
    say(f"User {user}, item {item} {titled(asked)}")
    say(f"Predicted: {asked['prediction']:.2f}{before}, {read}")
    if len(table):
        show(table, record, as_json, as_csv)
        say("Each rating is left out alone; the changes do not add up to the prediction.")


@app.command()
@reads_ratings
def new_user(
    model: Model,
    ratings: Annotated[
        Path,
        typer.Option(
            help="File: item,rating on each line; or the export of Letterboxd, IMDb or Goodreads."
        ),
    ],
    reading: ReadOptions,
    number: Number = 10,
    min_ratings: MinRatings = 1,
    candidates: Candidates = None,
    exclude: Exclude = None,
    genre: Genre = None,
    year: Year = None,
    links: Links = None,
    as_json: Json = False,
    as_csv: Csv = False,
) -> None:
    """Recommend to somebody who was not in training, from their ratings.

    The entries of an export are matched by id, or by title and year, and its scale is mapped
    linearly to the model's. What is not matched is listed.
    """
    from d2l_autorec.serving.files import read_columns, read_links, read_own_export
    from d2l_autorec.serving.folder import load_model
    from d2l_autorec.serving.foldin import new_user
    from d2l_autorec.serving.matching import match_export

    export = read_own_export(ratings, reading)
    if links is not None and (export is None or not export.site.ids):
        raise InputError(f"--links is for an export of IMDb, and {ratings} is none; leave it out.")
    filters, loaded = _filters(candidates, exclude, genre, year), load_model(model)
    record: dict[str, Any] = {"command": "new-user", "model": str(model)}
    lines = []
    if export is None:
        own = read_columns(ratings, ("item", "rating"), reading)
    else:
        match = match_export(loaded, export, read_links(links) if links else None)
        own, site, unmatched = match.ratings, export.site, records(match.unmatched)
        record["export"] = {
            "site": site.name,
            "matched": len(own),
            "not_rated": export.not_rated,
            "scale": [site.low, site.high],
            "mapped_to": [loaded.low, loaded.high],
            "notes": match.notes,
            "unmatched": unmatched,
        }
        lines = [
            f"{site.name}: {len(own):,} of {len(export.entries):,} ratings matched; "
            f"{site.low:g} to {site.high:g} mapped linearly to {loaded.low:g} to {loaded.high:g}.",
            *(f"Matched: {note}." for note in match.notes),
            *(f"Not matched: line {e['line']}, {titled(e)}: {e['reason']}." for e in unmatched),
        ]
        if len(lines) > _MOST_LINES:
            lines[_MOST_LINES:] = [f"And {len(lines) - _MOST_LINES:,} more; --json lists all."]
    table = new_user(loaded, own, number, min_ratings, filters)
    show_lists(loaded, table, record, as_json, as_csv)
    if not as_json:
        for text in lines:
            (tell if as_csv else say)(text)


@app.command()
@reads_ratings
def update(
    model: Model,
    ratings: Annotated[Path, typer.Option(help="New ratings, read as train reads its own.")],
    out: Annotated[Path, typer.Option(help="New folder for the model.")],
    reading: ReadOptions,
    as_json: Json = False,
) -> None:
    """Add ratings of known and new users and items to a model, without training it again.

    A new rating replaces an older one of the same user and item. The result is a new model folder.
    """
    from d2l_autorec import runs
    from d2l_autorec.data.formats import read_ratings
    from d2l_autorec.serving.folder import load_model, save_model
    from d2l_autorec.serving.update import update

    runs.new_folder(out, "", make=False)
    loaded, read = load_model(model), read_ratings(ratings, reading, allow_nonpositive=True)
    assert read.understood is not None
    tell(read.understood.line())
    done = update(loaded, read)
    save_model(out, done.model)
    if as_json:
        record = {"command": "update", "model": str(model), "ratings": str(ratings)}
        more = {"num_ratings": int(done.model.ratings.nnz), "folder": str(out)}
        typer.echo(json.dumps({**record, **done.counts(), **more}))
        return
    users = f"{done.new_users:,} user{'' if done.new_users == 1 else 's'}"
    items = f"{done.new_items:,} item{'' if done.new_items == 1 else 's'}"
    say(
        f"{out} holds {model} with {done.added:,} ratings added and {done.changed:,} changed. "
        f"New: {users}, {items}. Nothing was trained; once many ratings have come, train anew."
    )


def _ids(path: Path, what: str) -> list[Any]:
    from d2l_autorec.serving.files import read_columns

    return read_columns(path, (what,))[what].tolist()


def _filters(
    candidates: Path | None, exclude: Path | None, genre: list[str] | None, year: str | None
) -> Filters:
    from d2l_autorec.serving.filters import Filters, parse_years

    return Filters(
        _ids(candidates, "item") if candidates else None,
        _ids(exclude, "item") if exclude else (),
        tuple(genre or ()),
        parse_years(year) if year else None,
    )
