"""QuickBooks Online as a system API: customers, products, invoices, payments, changes."""
