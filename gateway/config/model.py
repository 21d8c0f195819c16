"""The settings: names, types, defaults and bounds. Durations are seconds, sizes are bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

from gateway.protocol.limits import ProtocolLimits
from portico.server.validation import Validation


def _validation(value: object) -> object:
    """Accept `sample: 1/N` as text and, as YAML reads it unquoted, as a mapping."""
    if isinstance(value, dict) and list(value) == ["sample"]:
        value = f"sample: {value['sample']}"
    return Validation.parse(value) if isinstance(value, str) else value


ValidationMode = Annotated[
    Validation,
    BeforeValidator(_validation),
    PlainSerializer(lambda value: value.mode, return_type=str),
]
Seconds = Annotated[float, Field(gt=0, le=86_400)]
Scope = Annotated[str, Field(pattern=r"^[\x21\x23-\x5b\x5d-\x7e]+$")]
BasePath = Annotated[str, Field(pattern=r"^(/[A-Za-z0-9._~-]+)+$")]


class _Strict(BaseModel):
    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, arbitrary_types_allowed=True
    )


class Listen(_Strict):
    """Where the gateway listens. Port 0 asks the system for a free one."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535)] = 8080


class Limits(_Strict):
    """What one process allows its clients; the connection layer's numbers are `connection`."""

    body_bytes: Annotated[int, Field(gt=0)] = 1024 * 1024  # a thousand order lines are 200 KiB
    checked_response_bytes: Annotated[int, Field(gt=0)] = 4 * 1024 * 1024
    request_seconds: Seconds = 30.0
    connection: dict[str, float] = Field(default_factory=dict)

    def protocol(self) -> ProtocolLimits:
        """Return the numbers of the connection layer; raises ValueError for an unknown name."""
        known = ProtocolLimits.__dataclass_fields__
        for name in self.connection:
            if name not in known or name == "uncounted_peers":
                raise ValueError(f"unknown limit {name!r}, known are {', '.join(sorted(known))}")
        return ProtocolLimits(
            **{
                name: int(value) if known[name].type == "int" else float(value)
                for name, value in self.connection.items()
            }  # type: ignore[arg-type]  # names and types were looked up in the same record
        )


class Identity(_Strict):
    """The built-in authorization server."""

    issuer: str = ""  # the public URL when empty
    key_file: str = ""  # in the data folder when empty


class Client(_Strict):
    """An application that gets tokens: `secret` is a reference, `env:`, `file:` or `generated:`."""

    secret: str
    previous_secret: str = ""
    scopes: list[Scope]
    subject: str = ""


class CORS(_Strict):
    """Which web pages may call the APIs. No origin may by default."""

    origins: list[str] = Field(default_factory=list)
    max_age_seconds: Annotated[int, Field(ge=0, le=86_400)] = 600


class API(_Strict):
    """Settings of one API of the tiers, by its name, such as `process/orders.v1`."""

    url: str = ""  # where it runs, if not in this process
    exposed: bool | None = None  # at the edge; system APIs are not unless told
    validation: ValidationMode = Validation()
    timeout_seconds: Seconds | None = None
    settings: dict[str, Any] = Field(default_factory=dict)


class Scopes(_Strict):
    """Scopes a caller needs."""

    scopes: Annotated[list[Scope], Field(min_length=1)]


class External(_Strict):
    """A bring-your-own API: any OpenAPI document in front of any upstream.

    `unsecured` says what callers need where the document declares no security that is enforced
    here: `anonymous`, or a list of scopes.
    """

    contract: Path
    base_path: BasePath
    urls: Annotated[list[str], Field(min_length=1)]
    unsecured: Literal["anonymous"] | Scopes | None = None
    validation: ValidationMode = Validation()
    timeout_seconds: Seconds | None = None
    body_bytes: Annotated[int, Field(gt=0)] | None = None
    upstream: dict[str, Any] = Field(default_factory=dict)


class Embedded(_Strict):
    """The parts that `portico serve` starts itself."""

    tryton: bool = True


class Config(_Strict):
    """The whole file."""

    listen: Listen = Listen()
    public_url: str = ""  # how clients reach the gateway; the address it listens on when empty
    data: Path = Path("data")
    contracts: Path | None = None  # the folder specs/openapi; the packaged one when absent
    trusted_proxies: list[str] = Field(default_factory=list)  # networks
    access_log: Literal["stdout", "off"] = "stdout"
    limits: Limits = Limits()
    identity: Identity = Identity()
    clients: dict[str, Client] = Field(default_factory=dict)
    cors: CORS = CORS()
    apis: dict[str, API] = Field(default_factory=dict)
    external: dict[str, External] = Field(default_factory=dict)
    embedded: Embedded = Embedded()
