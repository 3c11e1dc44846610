"""The faults that an examination finds: the first of each aspect, the first few of all, and how many there were."""

from agent_guard.audit.result import MOST_FAULTS, Aspect, Check, Fault, Result


class Faults:
    """Bounded, however many there are."""

    def __init__(self) -> None:
        self._first: dict[Aspect, Fault] = {}
        self._listed: list[Fault] = []
        self.count = 0

    def note(self, fault: Fault) -> None:
        """Keeps the first fault of each aspect, and lists the first that were found."""
        self.count += 1
        if len(self._listed) < MOST_FAULTS:
            self._listed.append(fault)
        known = self._first.get(fault.aspect)
        if known is None or fault.index < known.index:
            self._first[fault.aspect] = fault

    def of(self, aspect: Aspect) -> Fault | None:
        """The one with the lowest index of an aspect."""
        return self._first.get(aspect)

    @property
    def first(self) -> Fault | None:
        """The one with the lowest index."""
        return min(self._first.values(), key=lambda fault: fault.index, default=None)

    @property
    def listed(self) -> tuple[Fault, ...]:
        """The first `MOST_FAULTS` that were found, by index."""
        return tuple(sorted(self._listed, key=lambda fault: fault.index))


def in_words(fault: Fault) -> str:
    """Where, what and why."""
    where = fault.what if fault.what.startswith("entries") else f"entry {fault.index} ({fault.what})"
    return f"{where}: {fault.why}"


def tampered(fault: Fault) -> Check:
    """The verdict on an aspect in which this was found."""
    return Check(Result.TAMPERED, in_words(fault))
