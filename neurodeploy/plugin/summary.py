"""What a session of tests compared and wrote, in all its processes, printed at its end."""

from pathlib import Path

import pytest

#: attributes of a report: files that a test wrote, and the number of values of each of its comparisons
WRITTEN, COMPARED = "nd_written", "nd_compared"


class Summary:
    """A plugin that collects from reports; those of other processes arrive here, too."""

    def __init__(self) -> None:
        self.written: set[str] = set()
        self.compared: list[int] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Collect what a test said."""
        self.written |= set(vars(report).get(WRITTEN, ()))
        self.compared += vars(report).get(COMPARED, ())

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
        """Print the numbers, and every file that was written."""
        if not self.compared and not self.written:
            return
        terminalreporter.section("neurodeploy")
        if self.compared:
            line = f"comparisons: {len(self.compared):,}; values compared: {sum(self.compared):,}"
            terminalreporter.write_line(line)
        if self.written:
            terminalreporter.write_line(f"golden files written: {len(self.written)}; look at them before you commit")
        for path in sorted(self.written):
            short = Path(path)
            if short.is_relative_to(config.rootpath):
                short = short.relative_to(config.rootpath)
            terminalreporter.write_line(f"  {short.as_posix()}")
