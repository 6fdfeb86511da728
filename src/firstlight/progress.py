"""How long work speaks to whoever waits for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar


class Stage(Protocol):
    """One piece of work under way."""

    def advance(self, n: int = 1) -> None: ...

    def total(self, n: int) -> None: ...

    def say(self, text: str) -> None:
        """What stands at the end of the live line."""


class Progress(Protocol):
    """Where work reports to. Rooms take one and never print."""

    def note(self, text: str) -> None:
        """A line that stays."""

    def stage(self, title: str, total: int | None = None) -> AbstractContextManager[Stage]: ...


class _SilentStage:
    def advance(self, n: int = 1) -> None:
        pass

    def total(self, n: int) -> None:
        pass

    def say(self, text: str) -> None:
        pass


class Silent:
    """Says nothing: for libraries and tests."""

    def note(self, text: str) -> None:
        pass

    @contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[Stage]:
        yield _SilentStage()


class _LiveStage:
    def __init__(self, bar: Bar, title: str, total: int | None) -> None:
        self.bar, self.task = bar, bar.add_task(title, total=total, words="")

    def advance(self, n: int = 1) -> None:
        self.bar.advance(self.task, n)

    def total(self, n: int) -> None:
        self.bar.update(self.task, total=n)

    def say(self, text: str) -> None:
        self.bar.update(self.task, words=text)


class Terminal:
    """One live line a stage on the screen; where the output is no screen, only the lines that stay."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or Console(highlight=False, stderr=True)

    def note(self, text: str) -> None:
        self.console.print(text, markup=False, emoji=False, soft_wrap=True)  # paths stay what they are

    @contextmanager
    def stage(self, title: str, total: int | None = None) -> Iterator[Stage]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[words]}"),
        )
        live = self.console.is_terminal
        with Bar(
            *columns, console=self.console, transient=True, disable=not live, refresh_per_second=4
        ) as bar:
            yield _LiveStage(bar, title, total)
