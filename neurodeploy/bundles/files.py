"""The files of a bundle: their names, what stands in them, and whether they are those that were written."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from neurodeploy.archive import canonical_json
from neurodeploy.errors import Fault, Refusal, raise_if

FORMAT = "neurodeploy bundle"
SCHEMA_VERSION = 1
NETWORK, GOLDEN, CHIP, REPORT = "network.npz", "golden.npz", "chip.json", "report.json"
MANIFEST, MADE = "manifest.json", "made.json"
CONFIGURATIONS, CERTIFICATES = "configurations", "certificates"
FOLDERS = (CERTIFICATES, CONFIGURATIONS)
REQUIRED = (NETWORK, GOLDEN, CHIP)
KNOWN = (*REQUIRED, REPORT, MANIFEST, MADE)
#: What the JSON files name as their format.
FORMATS = {
    CHIP: "neurodeploy chip",
    REPORT: "neurodeploy report",
    MADE: "neurodeploy time of making",
    CONFIGURATIONS: "neurodeploy configuration",
    CERTIFICATES: "neurodeploy certificate",
}
_FREE = "[a-z0-9][a-z0-9_-]{0,63}"  # a name that every file system takes and none takes for another
#: Bytes of all files together, and of one that is JSON, which takes many times as much when it is read.
MOST_BYTES, MOST_JSON = 2**30, 2**26
ANEW = "write the bundle anew, or fetch it again"
Files = dict[str, bytes]


def known(name: str) -> bool:
    """Whether a bundle may hold a file of that name; folders are parted by a slash on every system."""
    return name in KNOWN or re.fullmatch(f"({'|'.join(FOLDERS)})/{_FREE}\\.json", name) is not None


def entry(folder: str, name: str) -> str:
    """File of a folder of JSON files; refuses names that not every file system takes alike (ND9002)."""
    if not re.fullmatch(_FREE, name):
        must = "small letters, digits, - and _, at most 64, the first a letter or digit"
        raise Refusal(Fault("ND9002", f"bundle, {folder}", f"name {name!r:.80}", must))
    return f"{folder}/{name}.json"


def size_faults(where: str, sizes: Mapping[str, int]) -> list[Fault]:
    """Files that are larger than a bundle may have them; nothing of them is read before."""
    faults = [
        Fault("ND2101", f"{where}, {name}", f"{size:,} bytes", f"at most {MOST_JSON:,} in a file of JSON")
        for name, size in sorted(sizes.items())
        if name.endswith(".json") and size > MOST_JSON
    ]
    if sum(sizes.values()) > MOST_BYTES:
        largest = max(sizes, key=lambda n: (sizes[n], n))
        was = f"{sum(sizes.values()):,} bytes in all files, {sizes[largest]:,} of them here"
        faults.append(Fault("ND2101", f"{where}, {largest}", was, f"at most {MOST_BYTES:,} in all files of a bundle"))
    return faults


def framed(kind: str, content: object) -> bytes:
    """JSON file of a bundle: its format, its schema and what it says. Raises TypeError or ValueError as json does."""
    return canonical_json({"format": FORMATS[kind], "schema_version": SCHEMA_VERSION, "content": content}).encode()


def unframed(where: str, kind: str, text: bytes) -> Any:
    """What a JSON file says; raises Refusal ND2101 for another format, ND1404 for another schema."""
    held = read_json(where, text)
    if not isinstance(held, dict) or held.get("format") != FORMATS[kind] or "content" not in held:
        raise Refusal(Fault("ND2101", where, "of another format", f'format = "{FORMATS[kind]}" with a content'))
    _refuse_schema(where, held)
    return held["content"]


def read_json(where: str, text: bytes) -> Any:
    """JSON of a file; raises Refusal ND2101."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refusal(Fault("ND2101", where, f"no JSON: {error}", "JSON, as neurodeploy writes it", ANEW)) from None


def _refuse_schema(where: str, held: Mapping[str, object]) -> None:
    found = held.get("schema_version")
    if type(found) is not int or found != SCHEMA_VERSION:
        was = f"schema_version {found!r:.40}"
        raise Refusal(Fault("ND1404", where, was, f"this program reads {SCHEMA_VERSION}", "write the bundle anew"))


def signed(files: Mapping[str, bytes], manifest: Mapping[str, object]) -> bytes:
    """Manifest over files: whatever ``manifest`` says, the hash of each, and its own digest."""
    hashes = {name: _sha256(content) for name, content in sorted(files.items())}
    content = {**manifest, "format": FORMAT, "schema_version": SCHEMA_VERSION, "files": hashes}
    return canonical_json({**content, "digest": _digest(content)}).encode()


def check_files(where: str, files: Files, odd: Sequence[str] = ()) -> dict[str, Any]:
    """Compare the files of a bundle with its manifest; returns the manifest.

    odd : names of what is there and no plain file
    Raises Refusal with every file that was changed (ND1403), is missing or additional (ND2101); ND1404.
    """
    place = f"{where}, {MANIFEST}"
    if MANIFEST not in files:
        was = "no plain file" if MANIFEST in odd else "missing"
        raise Refusal(Fault("ND2101", place, was, "a bundle has a manifest", ANEW))
    manifest = read_json(place, files[MANIFEST])
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise Refusal(Fault("ND2101", place, "of another format", f'format = "{FORMAT}"'))
    _refuse_schema(place, manifest)
    unsigned = {k: v for k, v in manifest.items() if k != "digest"}
    hashes = manifest.get("files")
    whole = isinstance(hashes, dict) and all(isinstance(v, str) for v in hashes.values())
    if not whole or _canonical(manifest) != files[MANIFEST] or manifest.get("digest") != _digest(unsigned):
        raise Refusal(Fault("ND1403", place, "changed since it was written", "equal to its own digest", ANEW))
    raise_if(list(_file_faults(where, manifest["files"], files, odd)))
    return manifest


def _file_faults(where: str, hashes: Mapping[str, str], files: Files, odd: Sequence[str]) -> Iterator[Fault]:
    expected = {*hashes, *REQUIRED, MANIFEST, MADE}
    for name in sorted(expected | set(files) | set(odd)):
        place = f"{where}, {name}"
        if name not in expected or not known(name):
            must = f"no files but {', '.join(n for n in sorted(expected) if known(n))}"
            yield Fault("ND2101", place, "additional", must, "move it away")
        elif name in odd:
            yield Fault("ND2101", place, "no plain file", "a file of its own", ANEW)
        elif name not in files:
            yield Fault("ND2101", place, "missing", "every file of the manifest", ANEW)
        elif name in REQUIRED and name not in hashes:
            yield Fault("ND2101", place, "without a hash in the manifest", "a hash of every file", ANEW)
        elif name in hashes and _sha256(files[name]) != hashes[name]:
            found = _sha256(files[name])
            was = f"changed since it was written: sha256 {found[:12]}..."
            values = {"file": name, "found": found, "expected": hashes[name]}
            yield Fault("ND1403", place, was, f"sha256 {hashes[name][:12]}...", ANEW, values)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _canonical(manifest: Mapping[str, object]) -> bytes:
    """The bytes that the manifest should have; none for what no manifest of ours holds, such as NaN."""
    try:
        return canonical_json(manifest).encode()
    except (ValueError, RecursionError):
        return b""


def _digest(content: Mapping[str, object]) -> str:
    return _sha256(canonical_json(dict(content)).encode())
