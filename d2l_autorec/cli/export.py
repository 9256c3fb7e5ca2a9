"""The commands ``export`` and ``import-weights``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Optional

import typer

from d2l_autorec.cli.common import Model, app
from d2l_autorec.errors import InputError

Onnx = Annotated[Optional[Path], typer.Option(help="File for onnxruntime, checked against MXNet.")]
Safetensors = Annotated[Optional[Path], typer.Option(help="File for the weights.")]
Npz = Annotated[Optional[Path], typer.Option(help="File for the weights, NumPy's.")]


@app.command()
def export(
    model: Model, onnx: Onnx = None, safetensors: Safetensors = None, npz: Npz = None
) -> None:
    """Write a model for use elsewhere: to ONNX, or its weights alone."""
    if not (onnx or safetensors or npz):
        raise InputError("Nothing to write; give --onnx, --safetensors or --npz with a file.")
    if onnx:
        from d2l_autorec import doctor

        doctor.preflight()
    from d2l_autorec.serving.export import export_onnx
    from d2l_autorec.serving.folder import load_model
    from d2l_autorec.serving.model import flat_arrays
    from d2l_autorec.serving.weights import export_npz, export_safetensors

    loaded = load_model(model)
    if onnx:
        typer.echo(f"{onnx}: {export_onnx(loaded, onnx)}")
    for path, write in ((safetensors, export_safetensors), (npz, export_npz)):
        if path:
            write(loaded, path)
            typer.echo(f"{path}: {len(flat_arrays(loaded.trained))} arrays")


@app.command()
def import_weights(
    model: Model,
    weights: Annotated[Path, typer.Option(help="safetensors or npz, as export names them.")],
    out: Annotated[Path, typer.Option(help="New folder for the model.")],
) -> None:
    """Make a model folder of another's ids and ratings, with weights from a file."""
    from d2l_autorec.serving.folder import load_model, save_model
    from d2l_autorec.serving.weights import import_weights

    save_model(out, import_weights(load_model(model), weights))
    typer.echo(f"{out}: {model} with the weights of {weights}")
