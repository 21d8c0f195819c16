"""Which APIs run in this process: those that are asked for, without those switched off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gateway.config import Config, ConfigError
from portico.contract import Contract


def choose(contracts: Mapping[str, Contract], config: Config, only: Sequence[str]) -> list[str]:
    """Return the names of the APIs that run in this process.

    `only` names them with or without their version, such as `process/orders`. Without it all run
    here that the configuration gives no URL. Raises ConfigError for an unknown name, and for an
    API that is switched off and called all the same.
    """
    off = switched_off(contracts, config)
    chosen = _named(contracts, off, only) if only else _all(contracts, config, off)
    _refuse_callers(contracts, chosen, off)
    return chosen


def switched_off(contracts: Mapping[str, Contract], config: Config) -> frozenset[str]:
    """Return the names of the APIs that are switched off. Raises ConfigError for an unknown one."""
    for name in config.apis:
        if name not in contracts:
            raise ConfigError(f"apis.{name}", "there is no such API", _names(contracts))
    off = {name for name, api in config.apis.items() if api.switch != "on"}
    taking_along = [name for name, api in config.apis.items() if api.switch == "off-with-callers"]
    while taking_along:
        callers = _callers(contracts, taking_along.pop()) - off
        off |= callers
        taking_along += callers
    return frozenset(off)


def _callers(contracts: Mapping[str, Contract], callee: str) -> set[str]:
    return {name for name, contract in contracts.items() if callee in contract.calls}


def _all(contracts: Mapping[str, Contract], config: Config, off: frozenset[str]) -> list[str]:
    elsewhere = {name for name, api in config.apis.items() if api.url}
    return [name for name in contracts if name not in elsewhere | off]


def _named(
    contracts: Mapping[str, Contract], off: frozenset[str], only: Sequence[str]
) -> list[str]:
    chosen: dict[str, None] = {}
    for wanted in only:
        matches = [name for name in contracts if name == wanted or name.startswith(f"{wanted}.v")]
        if not matches:
            raise ConfigError(f"--only {wanted}", "there is no such API", _names(contracts))
        for name in off.intersection(matches):
            hint = "switch it on under apis, or do not ask for it"
            raise ConfigError(f"--only {wanted}", f"{name} is switched off", hint)
        chosen |= dict.fromkeys(matches)
    return list(chosen)


def _refuse_callers(
    contracts: Mapping[str, Contract], chosen: Sequence[str], off: frozenset[str]
) -> None:
    """Raise ConfigError, with all of them, where APIs that run call some that are off."""
    called = {
        callee: callers
        for callee in sorted(off)
        if (callers := sorted(_callers(contracts, callee).intersection(chosen)))
    }
    if called:
        told = [f"{callee} is called by {', '.join(callers)}" for callee, callers in called.items()]
        hint = f"switch the callers off as well, or write {next(iter(called))}: off-with-callers"
        raise ConfigError("apis", f"switched off, but needed: {'; '.join(told)}", hint)


def _names(contracts: Mapping[str, Contract]) -> str:
    return f"the APIs are {', '.join(contracts)}"
