"""The prove command."""

from pathlib import Path

import click

from neurodeploy import npz
from neurodeploy.archive import canonical_json, write_atomically
from neurodeploy.bundles import load_bundle
from neurodeploy.cli.output import emit_json
from neurodeploy.network import load_network
from neurodeploy.proofs import prove


def show_proofs(network_path: Path, *, seconds: float, certificate: Path | None, as_json: bool) -> int:
    """Prove, print what was found, write the certificate; the exit status."""
    if certificate is not None:
        npz.refuse_place(certificate)  # before any work is spent
    network = load_bundle(network_path).network if network_path.is_dir() else load_network(network_path)
    found = prove(network, seconds=seconds)
    if certificate is not None:
        write_atomically(certificate, canonical_json(found.certificate.to_json()).encode())
    if as_json:
        emit_json(found.to_json())
    else:
        click.echo(str(found))
        if certificate is not None:
            click.echo(f"Written: {certificate}.")
    return found.exit_status
