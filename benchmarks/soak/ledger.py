"""What became of numbered requests: written by clients and origin, added up at the end."""

from __future__ import annotations

from collections import Counter


class Ledger:
    """Every id is sent once; then it may be answered, and the origin may have seen it."""

    def __init__(self) -> None:
        self._sent = 0
        self._answered: set[int] = set()
        self._seen: Counter[int] = Counter()
        self.cut = 0
        self.timed_out = 0
        self.wrong = 0
        self.closed = 0
        self.notes: list[str] = []

    def send(self) -> int:
        """A new id, which goes on its way now."""
        self._sent += 1
        return self._sent

    def answer(self, number: int) -> None:
        """A client has the whole right answer."""
        self._answered.add(number)

    def see(self, number: int) -> None:
        """The origin has the whole request."""
        self._seen[number] += 1

    def note(self, text: str) -> None:
        """Something for whoever looks for the cause; the first few are enough."""
        if len(self.notes) < 20:
            self.notes.append(text)

    def counts(self) -> dict[str, int]:
        """What must be zero.

        A request is lost when its client has no answer, or one that the origin knows nothing of.
        """
        unanswered = self._sent - len(self._answered)
        unseen = sum(1 for number in self._answered if number not in self._seen)
        return {
            "lost": unanswered + unseen,
            "doubled": sum(1 for times in self._seen.values() if times > 1),
            "cut off": self.cut,
            "timed out": self.timed_out,
            "wrong answers": self.wrong,
            "connections closed": self.closed,
        }

    @property
    def answered(self) -> int:
        """Requests that came back."""
        return len(self._answered)
