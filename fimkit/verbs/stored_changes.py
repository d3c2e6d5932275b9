"""The changes that the store keeps, as a ledger: a check reads all since the baseline, and after a storm that is millions."""

from fimkit.correlate.ledger import ChangeLedger
from fimkit.correlate.ledger_columns import extend_by_columns
from fimkit.evidence.store import Store

__all__ = ["load_ledger"]


def load_ledger(store: Store, since_ns: int) -> ChangeLedger:
    """Load the changes from a time on, in the order of time, serial and item.

    All is of one moment: changes and who made them are two questions to the store, and a watch drops old ones of both meanwhile.
    The store's log is held back by that no longer than by the changes alone, which are one question from the first to the last.

    Raises:
        StoreError: If the store cannot be read.
    """
    ledger = ChangeLedger()
    with store.reading():
        for columns in store.change_columns(since_ns):
            extend_by_columns(ledger, *columns)
    return ledger
