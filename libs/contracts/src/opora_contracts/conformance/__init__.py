"""The conformance kit's cases: what a foreign publisher may send, and how a platform that keeps the contract answers.

Data, in pydantic's and the standard library's terms alone: `opora contracts conformance` runs it against a platform,
`python -m opora_contracts.conformance DIR` writes it as files for anybody's own tools, and docs/events/bad-input.md
shows it.
"""

from opora_contracts.conformance.accepted import BORDERLINE, VALID
from opora_contracts.conformance.broken_attributes import BROKEN_ATTRIBUTES
from opora_contracts.conformance.broken_data import BROKEN_DATA
from opora_contracts.conformance.case import Answer, Case, Compression, Expected, Record, Run, Standing

CASES: tuple[Case, ...] = (*VALID, *BORDERLINE, *BROKEN_ATTRIBUTES, *BROKEN_DATA)
"""Every case, in the order of the table."""

__all__ = ["CASES", "Answer", "Case", "Compression", "Expected", "Record", "Run", "Standing"]
