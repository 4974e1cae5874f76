"""What sla's tests share: the independent referee, and tickets written in a few words."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

_ORACLE = Path(__file__).parents[3] / "tests" / "oracle" / "sla_oracle.py"


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """The slow referee that shares no code with the service."""
    spec = importlib.util.spec_from_file_location("sla_oracle", _ORACLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["sla_oracle"] = module
    spec.loader.exec_module(module)
    return module
