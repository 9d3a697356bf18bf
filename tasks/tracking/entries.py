"""What a run can say, as lines of its ledger. How each is told to MLflow: `tell`."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from tasks.tracking.redaction import hidden


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    def line(self) -> bytes:
        """The entry in the ledger."""
        return self.model_dump_json().encode() + b"\n"


class _Texts(_Entry):
    values: dict[str, str]

    def line(self) -> bytes:
        """See `_Entry`; no secret of the environment is written down."""
        self.values.update({name: hidden(text) for name, text in self.values.items()})
        return super().line()


class _Kept(_Entry):
    path: Annotated[str, Field(pattern=r"^[0-9a-f]{8}/[^/]+$")]  # see `Ledger.keep`


class Opening(_Entry):
    """What run it is; the first line.

    Attributes:
        id: the tag by which MLflow's run is found again.
        experiment: its experiment's name.
        name: its name in MLflow.
        time: when it began, in ms, as all times here.
        key: what a training depends on.
        model: digest of the weights, by which scores find the run of a training that has no ledger
            here.
    """

    do: Literal["open"] = "open"
    id: str
    experiment: str
    name: str
    time: int
    key: str | None = None
    model: str | None = None


class Resume(_Entry):
    """An interrupted run goes on."""

    do: Literal["resume"] = "resume"


class Metrics(_Entry):
    """Numbers of one step."""

    do: Literal["metrics"] = "metrics"
    values: dict[str, float]
    step: int
    time: int


class Params(_Texts):
    """Parameters; what the run already has stays."""

    do: Literal["params"] = "params"


class Tags(_Texts):
    """Tags; with `missing` those alone that the run has not."""

    do: Literal["tags"] = "tags"
    missing: bool = False


class Text(_Texts):
    """Texts by the names of the artifacts that they become."""

    do: Literal["texts"] = "texts"


class Dataset(_Entry):
    """Data that the run used."""

    do: Literal["dataset"] = "dataset"
    name: str
    digest: str
    context: str


class Artifact(_Kept):
    """A file, or all files of a folder (`tree`), under `folder` of the run's artifacts."""

    do: Literal["artifact"] = "artifact"
    folder: str | None
    tree: bool


class Register(_Kept):
    """A model that was scored; `source` is where it lay."""

    do: Literal["register"] = "register"
    source: str
    model: str
    tags: dict[str, str]
    time: int


class End(_Entry):
    """The run has ended. The end of mere `scores` leaves a run that has finished as it is."""

    do: Literal["end"] = "end"
    status: str
    scores: bool
    time: int


Entry = Opening | Resume | Metrics | Params | Tags | Text | Dataset | Artifact | Register | End
ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="do")])
