"""Packages that only some filters need."""

from importlib.util import find_spec

from pyproxy.config.faults import Report
from pyproxy.config.section import Section

__all__ = ["check_package"]


def check_package(section: Section, package: str, extra: str, report: Report, path: str) -> None:
    """Is the package there? It is not imported."""
    if find_spec(package) is None:
        cure = f"pip install 'pyproxy[{extra}]'"
        report.add(
            section, "", f"this filter needs the package {package}", cure, path=path, on_key=True
        )
