"""A process that creates an order and is killed over it: `child.py CONTRACT SETTINGS BODY`."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path

from portico.testing import APIUnderTest
from system_apis.sap import handlers
from system_apis.sap.app import Settings, resources


async def main(contract: str, settings: str, body: str) -> None:
    async with resources(Settings.model_validate_json(settings)) as client:
        api = APIUnderTest(Path(contract), handlers, resources=client)
        key = {"Idempotency-Key": "the-key-of-the-first"}
        await api.invoke("createOrder", key, body=json.loads(body), seconds=30)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
