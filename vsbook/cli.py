"""The command line: `vsbook train` and `vsbook ledger`."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from vsbook.checks import BadInput, one_of

__all__ = ["main"]

app = typer.Typer(
    help="Neural networks as linear algebra, with every claim measured.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def train(
    network: Annotated[str, typer.Argument(help="fcnn1 or fcnn5")],
    seed: Annotated[
        int, typer.Option(help="Of the initial weights, the split and the order of the images.", min=0)
    ] = 0,
    epochs: Annotated[int, typer.Option(help="Passes over the training images; the paper takes 20.", min=1)] = 20,
    output: Annotated[
        Path | None, typer.Option(help="Checkpoint to write; NETWORK-seedN.safetensors here if left out.")
    ] = None,
) -> None:
    """Train a network by the paper's recipe on MNIST. Interrupted, the same command goes on where it stopped."""
    from dataclasses import replace

    from platformdirs import user_cache_path

    from vsbook import data, models, training

    one_of(network, models.NETWORKS, "network")
    output = output or Path(f"{network}-seed{seed}.safetensors")
    if output.exists():
        raise BadInput(f"--output: expected a new file, {output} exists; delete it or name another")
    recipe = replace(training.PAPER, epochs=epochs)
    split, model = data.mnist_split(seed), models.create(network, seed)
    state = user_cache_path("vsbook") / "training" / f"{network}-seed{seed}-epochs{epochs}.state"
    training.fit(model, split, recipe, seed, state)
    accuracy = training.evaluate(model, split.test)
    training.save_checkpoint(output, model, training.provenance(network, recipe, seed, accuracy))
    typer.echo(f"{network}, seed {seed}: test accuracy {accuracy:.2%}, written to {output}")


@app.command()
def ledger(claim: Annotated[str | None, typer.Argument(help="A claim's id; all claims if left out.")] = None) -> None:
    """What the paper states, what was measured, and the verdict."""
    from vsbook import ledger as book

    for entry in [book.claims()[one_of(claim, book.claims(), "claim")]] if claim else book.claims().values():
        typer.echo(
            f"{entry.id}: {book.verdict(entry.id)}\n    stated {entry.stated}; measured {book.measured(entry.id)}"
        )
        if claim:
            found = book.result(claim)
            typer.echo(
                f"    {entry.statement}\n    {entry.measure}\n    {found['why'] if found else 'not measured yet'}"
            )


def main() -> None:
    """Run the command line: bad input is one line and exit status 2, an interruption is 130, never a traceback."""
    try:
        app()
    except BadInput as error:
        typer.echo(f"error: {error}", err=True)
        sys.exit(2)
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted: the same command goes on from here", err=True)
        sys.exit(130)
