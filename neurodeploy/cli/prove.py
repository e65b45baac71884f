"""The prove command."""

from pathlib import Path

import click

from neurodeploy import npz
from neurodeploy.archive import canonical_json, write_atomically
from neurodeploy.bundles import add_certificates, is_zip, load_placed
from neurodeploy.cli.output import emit_json
from neurodeploy.errors import Fault, Refusal
from neurodeploy.proofs import KIND, prove


def show_proofs(network_path: Path, *, seconds: float, certificate: Path | None, add: bool, as_json: bool) -> int:
    """Prove, print what was found, write the certificate; the exit status.

    add : put the certificate into the bundle
    """
    if certificate is not None:
        npz.refuse_place(certificate)  # before any work is spent
    if add and not (network_path.is_dir() or is_zip(network_path)):
        raise Refusal(Fault("ND9002", "prove --add", f"{network_path} is no bundle", "a bundle, NAME.nd or .zip"))
    found = prove(load_placed(network_path), seconds=seconds)
    content = found.certificate.to_json()
    if certificate is not None:
        write_atomically(certificate, canonical_json(content).encode())
    if add:
        add_certificates(network_path, {KIND: content})
    if as_json:
        emit_json(found.to_json())
    else:
        click.echo(str(found))
        for place in (certificate, network_path if add else None):
            if place is not None:
                click.echo(f"Certificate written: {place}.")
    return found.exit_status
