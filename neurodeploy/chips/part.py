"""What every table of a chip file has, and the words that several tables use."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Grade = Literal["silicon", "rtl", "vendor-simulator", "vendor-software", "documentation", "inferred", "unknown"]
Identifier = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]
Range = tuple[int, int]


class Part(BaseModel):
    """A table of the file. ``evidence`` names an entry of ``[evidence]`` and holds for all below that state none."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    evidence: str | None = None
