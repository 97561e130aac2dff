"""Errors: what stands behind one, and which of them is somebody's signal to stop."""

from collections.abc import Iterator

# What DuckDB makes of a signal that comes while it runs a query: the exception of the signal's handler is lost.
QUERY_INTERRUPTED = "Query interrupted"


def behind(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those it came of, each once: such chains can lead back into themselves."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def is_interruption(error: Exception) -> bool:
    """Whether an error stands for a signal (Ctrl-C, SIGTERM) and for nothing that went wrong."""
    return isinstance(error, RuntimeError) and str(error) == QUERY_INTERRUPTED


def raise_interruption(error: Exception) -> None:
    """Raise KeyboardInterrupt where an error stands for a signal. For handlers that go on after any error."""
    if is_interruption(error):
        raise KeyboardInterrupt from error
