"""An S/4HANA on loopback: the OData services that vendors' clients and we use of it.

Four services, three of V2 and one of V4, with the properties that this project works with. It is
no place for pricing procedures, availability checks or authorizations.
"""
