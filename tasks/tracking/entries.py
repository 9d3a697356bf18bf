"""What a run can say, as lines of its ledger. How each is told to MLflow: `tell`."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter

from tasks.tracking.redaction import hidden


class _Entry(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="constants")

    time: int  # in ms

    def line(self) -> bytes:
        """The entry in the ledger."""
        return f"{self.model_dump_json()}\n".encode()


def _shown(value: Any) -> Any:
    """The value without secrets of the environment, at any depth."""
    if isinstance(value, str):
        return hidden(value)
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items()}
    return value


class _Kept(_Entry):
    path: Annotated[str, Field(pattern=r"^[0-9a-f]{8}/[^/]+$")]  # see `Ledger.keep`


class Opening(_Entry):
    """What run it is; the first line.

    Attributes:
        id: the tag by which MLflow's run is found again.
        experiment: its experiment's name.
        name: its name in MLflow.
        key: what a training depends on.
        model: digest of the weights, by which scores find the run of a training that has no ledger
            here.
    """

    do: Literal["open"] = "open"
    id: str
    experiment: str
    name: str
    key: str | None = None
    model: str | None = None


class Begin(_Entry):
    """A stage begins to work on it; a training that is `resumed` goes on with that before."""

    do: Literal["begin"] = "begin"
    stage: str
    resumed: bool = False


class Metrics(_Entry):
    """Numbers of one step."""

    do: Literal["metrics"] = "metrics"
    values: dict[str, float]
    step: int


class Params(_Entry):
    """Parameters; what the run already has stays."""

    do: Literal["params"] = "params"
    values: Annotated[dict[str, str], AfterValidator(_shown)]


class Tags(_Entry):
    """Tags; with `missing` those alone that the run has not."""

    do: Literal["tags"] = "tags"
    values: Annotated[dict[str, str], AfterValidator(_shown)]
    missing: bool = False


class Facts(_Entry):
    """What nobody filters by, under a name."""

    do: Literal["facts"] = "facts"
    name: str
    values: Annotated[dict[str, Any], AfterValidator(_shown)]


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


class End(_Entry):
    """A stage has ended its work.

    Attributes:
        stage: which one.
        status: how the run has ended with it; None: it is as it was.
        made: digest of what the stage has made.
    """

    do: Literal["end"] = "end"
    stage: str
    status: str | None
    made: str | None = None


Entry = Opening | Begin | Metrics | Params | Tags | Facts | Dataset | Artifact | Register | End
ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="do")])
