"""What is announced is there."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.app import Gateway
from gateway.cli.announce import STOREFRONT, announcement
from gateway.config import Config

URL = "http://127.0.0.1:8080"


@pytest.mark.parametrize("switch", ["on", "off"])
def test_the_shop_is_announced_where_there_is_one(tmp_path: Path, switch: str) -> None:
    clients = {"web-shop": {"secret": "generated:web-shop", "scopes": ["storefront:read"]}}
    config = Config.model_validate(
        {"data": tmp_path, "clients": clients, "apis": {STOREFRONT: switch}}
    )

    text = announcement(Gateway(config), URL)

    assert f"{URL}/readyz" in text
    assert ("storefront" in text) == ("curl" in text) == (switch == "on")
