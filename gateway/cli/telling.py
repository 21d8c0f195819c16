"""How the stories of `portico demo` are told: a sentence, the request, and the answer it got."""

from __future__ import annotations

import json
import textwrap

import httpx

_SHOWN_LINES = 14
_BRIEF_LINES = 4


class Teller:
    """Numbers the steps of a story."""

    def __init__(self) -> None:
        self._step = 0

    def say(self, text: str) -> None:
        """Tell a step without a request."""
        print(f"{self._worded(text)}\n", flush=True)

    def show(
        self,
        text: str,
        answer: httpx.Response,
        expected: int,
        *,
        hide: str = "",
        lines: int = _SHOWN_LINES,
        brief: bool = False,
    ) -> None:
        """Tell a step and print its answer; raises RuntimeError for another status."""
        print(self._worded(text))
        request = answer.request
        print(f"   {request.method} {request.url}")
        print(f"   {answer.status_code} {answer.reason_phrase}")
        body = json.dumps(answer.json(), indent=2, ensure_ascii=False)
        if hide:
            body = body.replace(hide, hide[:12] + "…")
        all_lines = body.splitlines()
        shown = all_lines[: _BRIEF_LINES if brief else lines]
        rest = ["…"] if len(all_lines) > len(shown) else []
        print("\n".join(f"   | {line}" for line in [*shown, *rest]) + "\n", flush=True)
        if answer.status_code != expected:
            raise RuntimeError(
                f"step {self._step} answered {answer.status_code}, not {expected}: {body}"
            )

    def _worded(self, text: str) -> str:
        self._step += 1
        return textwrap.fill(f"{self._step}. {text}", 88, subsequent_indent="   ")
