"""How closely an API's answers are checked against its contract."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from portico.contract.strict import StrictValidator

Mode = Literal["enforce", "report", "sample", "strict", "off"]
_SAMPLE = re.compile(r"sample: *1/([1-9][0-9]{0,8})\Z")


@dataclass(frozen=True, slots=True)
class Validation:
    """`enforce` answers 500 for a wrong response, `report` only logs it, `sample` reports on one
    of N, `off` looks at none, and `strict` lets openapi-core itself check requests and responses.
    """

    mode: Mode = "enforce"
    one_of: int = 1

    @classmethod
    def parse(cls, text: str) -> Validation:
        """Return the setting `enforce`, `report`, `sample: 1/N`, `strict` or `off`."""
        sample = _SAMPLE.match(text)
        if sample is not None:
            return cls("sample", int(sample.group(1)))
        if text in {"enforce", "report", "strict", "off"}:
            return cls(text)  # type: ignore[arg-type]  # membership was just tested
        raise ValueError("expected enforce, report, sample: 1/N, strict or off")

    def strict(self, document: Mapping[str, Any]) -> StrictValidator | None:
        """Return openapi-core's own checks of a document, where they are asked for."""
        if self.mode != "strict":
            return None
        # Imported where it is used: it takes long to load, and few APIs ask for it.
        from portico.contract.strict import StrictValidator  # noqa: PLC0415

        return StrictValidator(document)
