"""How far a ledger has been forwarded to MLflow: a file beside it."""

import contextlib
from typing import Any

from fcn import reading
from fcn.errors import UserError
from fcn.io import files
from tasks.tracking import store
from tasks.tracking.entries import Begin
from tasks.tracking.ledger import Ledger


class Mark(reading.Model):
    """How far it is.

    Attributes:
        store: address of the MLflow that it is for.
        database: see `store.Store`: in a new database everything is missing.
        offset: in the ledger; all before it is told.
        run: MLflow's id of the run.
        experiment: MLflow's id of its experiment.
        former: the run's id in the database before, or before it was deleted.
        refused: why MLflow does not take the run; empty, if it does.
        seen: how long the ledger was when it was refused.
    """

    store: str
    database: int = 0
    offset: int = 0
    run: str | None = None
    experiment: str | None = None
    former: str | None = None
    refused: str = ""
    seen: int = 0

    @classmethod
    def of(cls, ledger: Ledger) -> "Mark":
        """That of a ledger; a new one if it is missing or damaged, since telling twice does no
        harm.
        """
        with contextlib.suppress(UserError):
            return reading.read_json(ledger.path.with_suffix(".json"), cls, "")
        return cls(store=store.address())

    def save(self, ledger: Ledger, **changes: Any) -> "Mark":
        """Writes it, changed, beside the ledger."""
        mark = self.model_copy(update=changes)
        files.write_json(ledger.path.with_suffix(".json"), mark.model_dump())
        return mark

    def waits(self, ledger: Ledger, database: int = 0) -> bool:
        """Whether something is left to tell: all of it, where the store's database is a new one."""
        if self.refused and not self.begins(ledger):
            return False
        new = database and self.database != database and self.store == store.address()
        return bool(new) or any(True for _ in ledger.read(self.offset))

    def begins(self, ledger: Ledger) -> bool:
        """Whether a stage has begun to work on the run since."""
        begin = max(self.offset, self.seen)
        return any(isinstance(entry, Begin) for _, entry in ledger.read(begin))
