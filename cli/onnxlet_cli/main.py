"""The command `onnxlet`: the list of its subcommands, and the errors that end them.

A subcommand's module is imported when the subcommand runs, or when help describes it.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from onnxlet import __version__
from onnxlet.errors import OnnxletError
from onnxlet_cli import output
from onnxlet_publishing.errors import CommandError, MachineError

COMMANDS = {
    "demo": "demo.demo",
    "publish": "publish.publish",
    "models": "models.models",
    "predict": "predict.predict",
    "explain": "explain.explain",
    "serve": "serve.serve",
    "promote": "promote.promote",
    "rollback": "rollback.rollback",
    "canary": "canary.canary",
    "shadow": "shadow.shadow",
    "train": "train.train",
    "package": "package.package",
    "deploy": "deploy.deploy",
    "destroy": "deploy.destroy",
    "doctor": "doctor.doctor",
    "cost": "cost.cost",
    "drift": "drift.drift",
    "keys": "keys.app",
    "prefetch": "prefetch.prefetch",
    "edge": "edge.edge",
    "export-edge": "export_edge.export_edge",
    "bench": "bench.app",
}
"""The subcommands in the order of the help, each with its module in `commands/` and the function or app in it."""

STOPPED = 130
"""The exit code after Ctrl-C, as shells define it: 128 and the number of SIGINT."""


class Commands(TyperGroup):
    """The subcommands of `COMMANDS`, imported one at a time."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names in the order of the help."""
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Import a subcommand; return None if there is no subcommand of this name."""
        del ctx
        return _load(cmd_name) if cmd_name in COMMANDS else None


def _load(name: str) -> Any:
    module, _, attribute = COMMANDS[name].partition(".")
    target: typer.Typer | Callable[..., None] = getattr(import_module(f"onnxlet_cli.commands.{module}"), attribute)
    if not isinstance(target, typer.Typer):
        function, target = target, typer.Typer(add_completion=False)
        target.command(name)(function)
    command = typer.main.get_command(target)
    command.name = name
    return command


app = typer.Typer(
    cls=Commands, name="onnxlet", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        output.print_line(f"onnxlet {__version__}")
        raise typer.Exit


@app.callback()
def _onnxlet(
    _version: Annotated[
        bool, typer.Option("--version", "-V", is_eager=True, callback=_print_version, help="Print the version.")
    ] = False,
) -> None:
    """Put an ONNX model behind a cloud function."""


def main() -> None:
    """Run the command; an error is one line on the error stream, with the exit code 1."""
    try:
        app()
    except (CommandError, OnnxletError, OSError, ModuleNotFoundError) as error:
        output.print_error(to_error(error))
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(STOPPED)


def to_error(error: Exception) -> Exception:
    """Return the error that a user reads for one that ends a command."""
    if isinstance(error, OSError):
        return MachineError(f"{error.filename or 'this machine'}: {error.strerror or error}")
    if isinstance(error, ModuleNotFoundError):
        return MachineError(f"{error.name} is not installed; training needs it: pip install 'onnxlet[training]'")
    return error


if __name__ == "__main__":
    main()
