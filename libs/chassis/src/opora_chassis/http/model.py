"""The base of request bodies."""

from pydantic import BaseModel, ConfigDict


class Input(BaseModel):
    """What a caller sends. A field that the model does not declare is refused (422) and named."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)
