"""The explain command."""

import difflib
from dataclasses import asdict

import click

from neurodeploy.cli.output import console, emit_json, table
from neurodeploy.codes import CODES
from neurodeploy.errors import Fault, Refusal


def show_code(name: str | None, *, as_json: bool) -> None:
    """Print what a code means, its usual cause and what to do; of all codes what they mean, where none is named.

    Raises Refusal ND9002 for a code that is not in the table.
    """
    if name is None:
        if as_json:
            emit_json({code: asdict(entry) for code, entry in CODES.items()})
        else:
            console().print(table("codes", ("code", "meaning"), [(n, c.meaning) for n, c in CODES.items()]))
        return
    code = name.strip(" []").upper()
    code = f"ND{code}" if code.isdecimal() else code
    if code not in CODES:
        near = difflib.get_close_matches(code, CODES, n=3)
        must, todo = "a code as it ends a refusal, such as ND1801", f"near it: {', '.join(near)}" if near else ""
        raise Refusal(Fault("ND9002", "explain", f"no code {name!r:.40}", must, todo))
    entry = CODES[code]
    if as_json:
        emit_json({"code": code, **asdict(entry)})
        return
    click.echo(f"{code}: {entry.meaning}\nUsual cause: {entry.cause}\nWhat to do: {entry.todo}")
