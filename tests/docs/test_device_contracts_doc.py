"""The table of contracts in the documentation is the one that the cases announce (and tests/testing hold them to)."""

from pathlib import Path

from minivm.testing.contract import contracts
from minivm.testing.contract_report import as_markdown, declared
from minivm.testing.contracts.__main__ import MARKS

PAGE = (Path(__file__).parents[2] / "docs" / "device-contracts.md").read_text(encoding="utf-8")


def test_the_page_shows_every_case_and_every_difference():
    found, systems = contracts(), ["MiniVM", "QEMU"]
    expected = as_markdown(found, declared(found, systems), systems)
    shown = PAGE.partition(MARKS[0])[2].partition(MARKS[1])[0].strip()
    assert shown == expected.strip(), "make it anew: python -m minivm.testing.contracts --into docs/device-contracts.md"
