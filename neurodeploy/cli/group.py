"""The group of all commands: their order, and what happens to everything that goes wrong in one."""

import sys
from typing import Any

import click

from neurodeploy.cli.output import fail
from neurodeploy.errors import Fault, Refusal

PROGRAM = "neurodeploy"
#: What a shell reports for a program that was interrupted; 1 would be an answer.
INTERRUPTED = 130


class Commands(click.Group):
    """Commands in the order in which a person needs them; none of them ends in a traceback for what a user did."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of definition."""
        return list(self.commands) if ctx else []

    def main(self, args: Any = None, *rest: Any, **options: Any) -> Any:
        """Run a command and leave with its exit status.

        A refusal becomes sentences on stderr, and JSON on stdout if asked; so do wrong usage and files that the
        system does not give or take.
        """
        given = sys.argv[1:] if args is None else list(args)
        as_json = "--json" in given
        if not given:
            click.echo(self.get_help(click.Context(self, info_name=PROGRAM, **self.context_settings)), err=True)
            sys.exit(Refusal.exit_status)
        try:
            sys.exit(super().main(given, *rest, **options | {"prog_name": PROGRAM, "standalone_mode": False}) or 0)
        except Refusal as refusal:
            fail(refusal, as_json=as_json)
        except click.ClickException as error:
            fail(_usage(error), as_json=as_json)
        except OSError as error:
            was, must = error.strerror or str(error), "a place that the system lets this program read or write"
            fail(Refusal(Fault("ND1401", str(error.filename or PROGRAM), was, must)), as_json=as_json)
        except click.Abort:
            click.echo(f"{PROGRAM}: interrupted", err=True)
            sys.exit(INTERRUPTED)


def _usage(error: click.ClickException) -> Refusal:
    """Wrong usage in our own words: the place, what click found, the line of usage, where to read more."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context else PROGRAM
    where = path.removeprefix(PROGRAM).strip() or "command line"
    usage = " ".join(context.get_usage().split()) if context else f"Usage: {PROGRAM} COMMAND"
    was, todo = error.format_message().rstrip("."), f"{path} --help says more"
    return Refusal(Fault("ND9002", where, was[:1].lower() + was[1:], usage[:1].lower() + usage[1:], todo))
