"""Fill a new Tryton database with a small company, and print what was made.

A data file: it is run by the interpreter of Tryton's own virtual environment, where proteus is
installed, and never imported by Portico.

    python seed.py TRYTOND_CONF DATABASE CATALOGUE_JSON KEY_FILE

It expects an empty database with the modules activated and is not repeatable: the caller builds
the database in a temporary folder and throws it away when this fails.
"""

# The packages of Tryton are not installed where mypy runs, and have no types.
# mypy: ignore-errors
# ruff: noqa: ANN001, ANN002, ANN201, ANN202

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

if __name__ != "__main__":
    raise ImportError("seed.py is run by Tryton's interpreter, not imported")

from proteus import Model, Wizard
from proteus import config as proteus_config

# What Portico may do: sell, and see stock and invoices. Only administrators of sales may process a
# sale that was interrupted between being confirmed and being processed.
SERVICE_GROUPS = ("Sales", "Sales Administrator", "Stock", "Accounting")
# Accounts of Tryton's universal chart: goods, merchandise, sales tax.
REVENUE_ACCOUNT, EXPENSE_ACCOUNT, TAX_ACCOUNT = "4.1.1", "5.1.1", "6.3.6"
FISCAL_YEARS = 3  # this year and two more, so that a data folder stays usable


def step(name: str) -> None:
    sys.stdout.write(json.dumps({"step": name}) + "\n")
    sys.stdout.flush()


def create_currency(data):
    currency = Model.get("currency.currency")(
        name=data["name"],
        symbol=data["symbol"],
        code=data["code"],
        rounding=Decimal(data["rounding"]),
    )
    currency.rates.new(date=date.min, rate=Decimal(1))
    currency.save()
    return currency


def create_countries(names):
    country = Model.get("country.country")
    countries = {code: country(code=code, name=name) for code, name in names.items()}
    for made in countries.values():
        made.save()
    return countries


def create_company(data, currency, countries, config):
    party = Model.get("party.party")(name=data["name"])
    (address,) = party.addresses
    address.country = countries[data["country"]]
    party.save()
    wizard = Wizard("company.company.config")
    wizard.execute("company")
    wizard.form.party = party
    wizard.form.currency = currency
    wizard.execute("add")
    # Everything after this happens within the company.
    config._context = Model.get("res.user").get_preferences(True, {})  # noqa: SLF001  proteus has no other way
    (company,) = Model.get("company.company").find()
    return company


def create_chart(company, config):
    names = Model.get("ir.model.data")
    template = names.get_id("account.account_template_root_en", config.context)
    wizard = Wizard("account.create_chart")
    wizard.execute("account")
    wizard.form.account_template = Model.get("account.account.template")(template)
    wizard.form.company = company
    wizard.execute("create_account")
    accounts = {
        "receivable": find_account(("type.receivable", "=", True), ("party_required", "=", True)),
        "payable": find_account(("type.payable", "=", True), ("party_required", "=", True)),
        "expense": find_account(("code", "=", EXPENSE_ACCOUNT)),
        "revenue": find_account(("code", "=", REVENUE_ACCOUNT)),
    }
    wizard.form.account_receivable = accounts["receivable"]
    wizard.form.account_payable = accounts["payable"]
    wizard.form.category_account_expense = accounts["expense"]
    wizard.form.category_account_revenue = accounts["revenue"]
    wizard.execute("create_properties")
    return accounts


def find_account(*clauses):
    # A closed account only sums up others; nothing can be posted to it.
    return Model.get("account.account").find([*clauses, ("closed", "!=", True)], limit=1)[0]


def create_fiscal_year(company, year):
    def sequence(kind):
        (sequence_type,) = Model.get("ir.sequence.type").find([("name", "=", kind)], limit=1)
        made = Model.get("ir.sequence.strict")(
            name=str(year), sequence_type=sequence_type, company=company
        )
        made.save()
        return made

    fiscal_year = Model.get("account.fiscalyear")(
        name=str(year),
        company=company,
        start_date=date(year, 1, 1),
        end_date=date(year, 12, 31),
        move_sequence=sequence("Account Move"),
    )
    invoices = sequence("Invoice")
    (numbering,) = fiscal_year.invoice_sequences
    numbering.out_invoice_sequence = numbering.in_invoice_sequence = invoices
    numbering.out_credit_note_sequence = numbering.in_credit_note_sequence = invoices
    fiscal_year.click("create_period")


def create_tax(data):
    account = find_account(("code", "=", TAX_ACCOUNT))
    tax = Model.get("account.tax")(
        name=data["name"],
        description=data["description"],
        type="percentage",
        rate=Decimal(data["rate"]),
        invoice_account=account,
        credit_note_account=account,
    )
    tax.save()
    return tax


def create_tax_rule(data, tax, company):
    """Make a rule by which a customer in another country is not charged the tax."""
    rule = Model.get("account.tax.rule")(name=data["name"], kind="sale", company=company)
    rule.lines.new(origin_tax=tax)
    rule.save()
    return rule


def create_payment_term(data):
    term = Model.get("account.invoice.payment_term")(name=data["name"])
    (delta,) = term.lines.new(type="remainder").relativedeltas
    delta.days = data["days"]
    term.save()
    return term


def create_products(rows, accounts, tax):
    category = Model.get("product.category")(name="Coffee supply", accounting=True)
    category.account_expense = accounts["expense"]
    category.account_revenue = accounts["revenue"]
    category.customer_taxes.append(tax)
    category.save()
    symbols = sorted({row["unit"] for row in rows})
    found = Model.get("product.uom").find([("symbol", "in", symbols)])
    units = {unit.symbol: unit for unit in found}
    return {row["code"]: create_product(row, category, units[row["unit"]]) for row in rows}


def create_product(row, category, unit):
    template = Model.get("product.template")(
        name=row["name"],
        type=row["type"],
        default_uom=unit,
        salable=True,
        list_price=Decimal(row["list_price"]),
        account_category=category,
    )
    (product,) = template.products
    product.suffix_code = row["code"]
    product.description = row["description"]
    product.cost_price = Decimal(row["cost_price"])
    template.save()
    return template.products[0]


def create_customers(rows, countries, term, rule):
    language = Model.get("ir.lang")
    for row in rows:
        party = Model.get("party.party")(
            code=row["code"], name=row["name"], customer_payment_term=term
        )
        if row.get("tax_rule"):
            party.customer_tax_rule = rule
        (party.lang,) = language.find([("code", "=", row["language"])])
        party.addresses.pop()
        for data in row["addresses"]:
            create_address(party, data, countries)
        party.contact_mechanisms.new(type="email", value=row["email"])
        party.contact_mechanisms.new(type="phone", value=row["phone"])
        party.save()


def create_address(party, data, countries):
    address = party.addresses.new()
    address.street_unstructured = data["street"]
    address.postal_code = data["postal_code"]
    address.city = data["city"]
    address.country = countries[data["country"]]
    address.invoice = "invoice" in data["uses"]
    address.delivery = "delivery" in data["uses"]


def stock_products(rows, products):
    (storage,) = Model.get("stock.location").find([("code", "=", "STO")])
    inventory = Model.get("stock.inventory")(location=storage, empty_quantity="keep")
    for row in rows:
        if Decimal(row.get("on_hand", "0")):
            line = inventory.lines.new(product=products[row["code"]])
            line.quantity = float(row["on_hand"])
    inventory.click("confirm")


def create_service_key(company, key_file):
    """Make the user that Portico works as, and its approved application key."""
    user = Model.get("res.user")(
        login="portico", name="Portico", companies=[company], company=company
    )
    user.groups.extend(Model.get("res.group").find([("name", "in", list(SERVICE_GROUPS))]))
    user.save()
    application = Model.get("res.user.application")(user=user, application="rest")
    application.save()
    if application.state == "requested":
        application.click("validate_")
    descriptor = os.open(key_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(application.key)


def seed(conf, database, catalogue, key_file):
    config = proteus_config.set_trytond(f"sqlite:///{database}", config_file=conf)
    step("company")
    currency = create_currency(catalogue["currency"])
    countries = create_countries(catalogue["countries"])
    company = create_company(catalogue["company"], currency, countries, config)
    step("chart of accounts")
    accounts = create_chart(company, config)
    step("fiscal years")
    this_year = datetime.now(UTC).year
    for year in range(this_year, this_year + FISCAL_YEARS):
        create_fiscal_year(company, year)
    step("products")
    tax = create_tax(catalogue["tax"])
    products = create_products(catalogue["products"], accounts, tax)
    step("customers")
    term = create_payment_term(catalogue["payment_term"])
    rule = create_tax_rule(catalogue["tax_rule"], tax, company)
    create_customers(catalogue["customers"], countries, term, rule)
    step("stock")
    stock_products(catalogue["products"], products)
    step("key")
    create_service_key(company, key_file)


seed(sys.argv[1], sys.argv[2], json.loads(Path(sys.argv[3]).read_text("utf-8")), sys.argv[4])
