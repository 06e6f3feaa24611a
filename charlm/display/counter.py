"""The progress of commands that write many texts or lines to a file or pipe."""

from rich.progress import Progress, TextColumn, TimeElapsedColumn

from charlm.display import stderr_console


class Counter:
    """A line on a terminal that counts what has been done, and how long it took."""

    def __init__(self, name: str) -> None:
        """Name what is counted, in the plural."""
        self._progress = Progress(
            TextColumn(f"{{task.completed:,.0f}} {name}"),
            TimeElapsedColumn(),
            console=stderr_console(),
            transient=True,
        )
        self._task = self._progress.add_task("", total=None)

    def __enter__(self) -> "Counter":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def add(self, number: int) -> None:
        """Count some more."""
        self._progress.advance(self._task, number)
