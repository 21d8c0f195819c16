"""Stripe as a system API: customers, products, subscriptions, invoices, payments, events."""
