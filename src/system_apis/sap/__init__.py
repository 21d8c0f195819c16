"""SAP S/4HANA as a system API: its OData protocols, mapped to the canonical model."""
