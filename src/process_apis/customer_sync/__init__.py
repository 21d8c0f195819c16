"""The process API customer-sync.v1: customers kept in step between CRM, ERP and accounting."""
