"""Settings: one flow, a key that is one, and no secret that is shown."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from tests.support.sandbox import SECRET
from tests.system_apis.salesforce.conftest import settings_for

URL = "https://quayside.my.salesforce.com"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"client_secret": None}, "give either client_secret or private_key"),
        ({"private_key": "x", "username": "u"}, "give either client_secret or private_key"),
        ({"client_secret": None, "private_key": "x"}, "private_key needs a username"),
        (
            {"client_secret": None, "private_key": "x", "username": "u"},
            "private_key is not an RSA key in PEM",
        ),
        ({"external_id_field": "Ext' OR"}, "should match pattern"),
        ({"api_version": "v68"}, "should match pattern"),
        ({"colour": "blue"}, "Extra inputs are not permitted"),
    ],
)
def test_settings_that_are_wrong_are_explained(more: dict[str, object], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        settings_for(URL, Path(), **more)


def test_an_org_is_named_by_its_host() -> None:
    assert settings_for(URL, Path()).org().instance == "quayside.my.salesforce.com"


def test_secrets_are_not_shown() -> None:
    assert SECRET not in repr(settings_for(URL, Path()))
