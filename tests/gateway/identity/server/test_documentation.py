"""What docs/identity.md shows is a configuration that starts."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from joserfc.jwk import ECKey

from gateway.authorization_server import Offered, client_record, user_records
from gateway.config import load_config
from gateway.config.secrets import SecretStore
from gateway.identity.server.users import UserRecord, hash_password

ROOT = Path(__file__).parents[4]
TEXT = (ROOT / "docs" / "identity.md").read_text()
BLOCKS = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize("block", BLOCKS, ids=["all", "provider"])
def test_a_configuration_of_the_documentation_is_understood(tmp_path: Path, block: str) -> None:
    path = tmp_path / "portico.yaml"
    path.write_text(block)

    load_config(path, {})


def test_its_clients_and_people_are_complete(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    public = ECKey.generate_key("P-256").as_dict(private=False)
    (tmp_path / "keys" / "partner.json").write_text(json.dumps({"keys": [public]}))
    (tmp_path / "bob").write_text(hash_password("a good long password"))
    path = tmp_path / "portico.yaml"
    path.write_text(BLOCKS[0].replace("/run/secrets/bob", str(tmp_path / "bob")))
    config = load_config(path, {})
    names = re.findall(r"env:([A-Z_]+)", BLOCKS[0])
    secrets = SecretStore(tmp_path, dict.fromkeys(names, "a secret of the tests"))
    offered = Offered(scopes=[], scope_texts={}, resources=[], names=[], is_all=False)

    clients = {
        client_id: client_record(client_id, client, secrets, offered)
        for client_id, client in config.clients.items()
    }
    people = user_records(config, secrets)

    assert set(clients) == {"back-office", "web-shop", "app", "partner"}
    assert len(clients["web-shop"].secret_hashes) == 2
    assert clients["app"].native
    assert [type(person) for person in people] == [UserRecord, UserRecord]
    assert people[1].scopes == frozenset({"storefront:read"})
