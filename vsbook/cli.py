"""The command line: `vsbook train` and `vsbook ledger`."""

import os
import signal
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from vsbook.checks import BadInput, one_of
from vsbook.files import write_beside

__all__ = ["main"]

# Those that the paper's recipe trains: `models.NETWORKS` without the invertible ones, named without loading PyTorch.
PAPERS = ("fcnn1", "fcnn5", "fcnn5_leaky_relu", "fcnn5_relu", "fcnn5_tanh", "resnet18")
MOST = 2**63 - 1  # what PyTorch takes as a seed

app = typer.Typer(
    help="Neural networks as linear algebra, measured claim by claim.",
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def train(
    network: Annotated[
        str, typer.Argument(help=f"One of {', '.join(PAPERS)} (this one takes forty minutes on one core).")
    ],
    seed: Annotated[
        int, typer.Option(help="Of the initial weights, the split and the order of the images.", min=0, max=MOST)
    ] = 0,
    epochs: Annotated[
        int, typer.Option(help="Passes over the training images; the paper takes 20.", min=1, max=MOST)
    ] = 20,
    output: Annotated[
        Path | None, typer.Option(help="Checkpoint to write; NETWORK-seedN.safetensors here if left out.")
    ] = None,
) -> None:
    """Train a network by the paper's recipe on MNIST. Interrupted, the same command goes on where it stopped."""
    _check_network(network)
    from dataclasses import replace

    from platformdirs import user_cache_path

    from vsbook.networks import checkpoints, data, models, training

    output = output or Path(f"{network}-seed{seed}.safetensors")
    _check_new(output)
    state = user_cache_path("vsbook") / "training" / f"{network}-seed{seed}-epochs{epochs}.state"
    _check_writable(state.parent)
    recipe = replace(training.PAPER, epochs=epochs)
    split, model = data.mnist_split(seed), models.create(network, seed)
    try:
        with _interruptible():
            training.fit(model, split, recipe, seed, state)
            accuracy = training.evaluate(model, split.test)
            checkpoints.save_checkpoint(output, model, training.provenance(network, recipe, seed, accuracy))
    except KeyboardInterrupt:
        typer.echo("interrupted: the same command goes on from here", err=True)
        raise typer.Exit(130) from None
    state.unlink(missing_ok=True)  # only now: until here it holds the training
    typer.echo(f"{network}, seed {seed}: test accuracy {accuracy:.2%}, written to {output}")


def _check_network(network: str) -> None:
    """Refuse what the paper's recipe doesn't train."""
    if network in ("invertible", "invertible_toy"):
        raise BadInput(
            f"network: expected one of {', '.join(PAPERS)}, got {network!r}, which the paper's recipe doesn't train; "
            f"vsbook.networks.load({network!r}) has it trained, and in the repository evidence/train/invertible.py "
            "its recipe"
        )
    one_of(network, PAPERS, "network")


def _check_new(output: Path) -> None:
    """Refuse a file that is there, or can't be written, now and not after the training."""
    if os.path.exists(output):  # a name too long is left to `write_beside`
        raise BadInput(f"--output: expected a new file, got {output}, which exists; delete it or name another")
    write_beside(output, b"")
    output.unlink()


def _check_writable(folder: Path) -> None:
    """Refuse a folder that can't hold the resume state now, and not at the end of the first epoch."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise BadInput(
            f"{folder}: expected a folder to keep an interrupted training in, got '{error.strerror}'; "
            "make it writable, or on Linux name another with XDG_CACHE_HOME"
        ) from None


@contextmanager
def _interruptible():
    """Ctrl-C raises KeyboardInterrupt in the block, whatever it does outside."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@app.command()
def ledger(claim: Annotated[str | None, typer.Argument(help="A claim's id; all claims if left out.")] = None) -> None:
    """What the paper states, what was measured, and the verdict."""
    from vsbook import ledger as book

    every = book.claims()
    for entry in every.values() if claim is None else [every[one_of(claim, every, "claim")]]:
        typer.echo(
            f"{entry.id}: {book.verdict(entry.id)}\n    stated {entry.stated}; measured {book.measured(entry.id)}"
        )
        if claim is not None:
            lines = [entry.statement, *book.finding(claim), entry.measure, book.why(claim)]
            typer.echo("\n".join(f"    {line}" for line in lines))


def main() -> None:
    """Run the command line: bad input is one line and exit status 2, an interruption is 130, never a traceback."""
    try:
        sys.exit(app(sys.argv[1:] or ["--help"], standalone_mode=False))
    except (KeyboardInterrupt, typer.Abort):
        sys.exit(130)
    except Exception as error:
        # what Typer says of an unknown command or option has no class that all its versions share
        if not isinstance(error, (BadInput, OSError)) and not hasattr(error, "format_message"):
            raise
        typer.echo(f"error: {error.format_message() if hasattr(error, 'format_message') else error}", err=True)
        if isinstance(error, OSError):  # what a full disk left in the buffer goes nowhere, without a second error
            os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(2)
