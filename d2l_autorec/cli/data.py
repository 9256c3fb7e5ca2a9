"""Data: ``synthetic``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Optional

import typer

from d2l_autorec.cli.common import Json, Quiet, Seed, app
from d2l_autorec.errors import InputError

Size = Annotated[Optional[int], typer.Option(help="In place of that set's.")]
NewFile = Annotated[
    Optional[Path],
    typer.Option(help="New .csv, .csv.gz or .npz. Named after the size if left out."),
]


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
    """Make up ratings of any size with MovieLens's long tails, for tests of scale."""
    from rich.console import Console
    from rich.progress import Progress

    from d2l_autorec.data.synthetic import LIKE, Synthetic, chunks
    from d2l_autorec.data.synthetic_files import check_path, write_synthetic

    if like not in LIKE:
        raise InputError(f"--like {like!r} is unknown; use {', '.join(LIKE)}.")
    asked = (users, items, ratings)
    size = [own if given is None else given for given, own in zip(asked, LIKE[like])]
    what = Synthetic(size[0], size[1], size[2], seed, half_stars)
    what.check()
    path = Path(f"{what.name}.csv.gz") if out is None else out
    check_path(path)
    console = Console(stderr=True)
    with Progress(console=console, disable=quiet or not console.is_terminal) as progress:
        task = progress.add_task("making ratings", total=what.num_ratings)

        def watched():  # type: ignore[no-untyped-def]
            for part in chunks(what):
                yield part
                progress.advance(task, len(part[0]))

        write_synthetic(path, what, watched())
    record = {
        "command": "synthetic", "name": what.name, "file": str(path), "users": what.num_users,
        "items": what.num_items, "ratings": what.num_ratings, "seed": seed,
    }  # fmt: skip
    typer.echo(json.dumps(record) if as_json else f"{what.name} is in {path}")
