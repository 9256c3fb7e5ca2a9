"""The commands ``inspect`` and ``synthetic``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from d2l_autorec.cli.common import Json, Quiet, Seed, app, reads_ratings
from d2l_autorec.data.options import ReadOptions
from d2l_autorec.errors import InputError, plain
from d2l_autorec.paths import check_new_file
from d2l_autorec.progress import counting_bar

Size = Annotated[Optional[int], typer.Option(help="In place of that set's.")]
NewFile = Annotated[
    Optional[Path],
    typer.Option(help="New .csv, .csv.gz or .npz. Named after the size if left out."),
]

Plot = Annotated[
    Optional[Path], typer.Option(help="Draw the ratings' histogram: new .png, .svg or .pdf.")
]


@app.command()
@reads_ratings
def inspect(
    file: Annotated[Path, typer.Argument(help="Ratings file, folder or archive.")],
    reading: ReadOptions,
    plot: Plot = None,
    as_json: Json = False,
) -> None:
    """Say what is understood of a ratings file, and what looks suspicious in it."""
    from d2l_autorec.data.formats import read_located
    from d2l_autorec.data.histogram import KINDS, draw
    from d2l_autorec.data.locate import locate

    if plot is not None:
        check_new_file("--plot", plot, KINDS)
    ratings = read_located(locate(file), reading, allow_nonpositive=True)[0]
    understood = ratings.understood
    assert understood is not None
    if plot is not None:
        draw(ratings, plot)
    typer.echo(json.dumps(understood.as_json()) if as_json else understood.text())
    if plot is not None and not as_json:
        typer.echo(f"The histogram is in {plain(plot)}")


@app.command()
def synthetic(
    like: Annotated[str, typer.Option(help="Size of ml-100k, ml-1m, ml-10m or ml-20m.")] = "ml-1m",
    users: Size = None,
    items: Size = None,
    ratings: Size = None,
    half_stars: Annotated[bool, typer.Option("--half-stars", help="0.5, 1, ... 5.")] = False,
    seed: Seed = 0,
    out: NewFile = None,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Make synthetic ratings of any size with MovieLens's long tails, for tests of scale."""
    from d2l_autorec.data.synthetic import LIKE, Synthetic
    from d2l_autorec.data.synthetic_files import KINDS, write_synthetic

    if like not in LIKE:
        raise InputError(f"--like {like!r} is unknown; use {', '.join(LIKE)}.")
    asked = (users, items, ratings)
    size = [own if given is None else given for given, own in zip(asked, LIKE[like])]
    what = Synthetic(size[0], size[1], size[2], seed, half_stars)
    path = Path(f"{what.name}.csv.gz") if out is None else out
    check_new_file("--out", path, KINDS)  # before a bar is shown
    with counting_bar("making ratings", what.num_ratings, quiet) as advance:
        write_synthetic(path, what, advance)
    record = {
        "command": "synthetic",
        "name": what.name,
        "file": str(path),
        **dict(zip(("users", "items", "ratings"), size)),
        "seed": seed,
    }
    typer.echo(json.dumps(record) if as_json else f"{what.name} is in {path}")
