"""The experience API storefront.v1: what a web shop needs for the pages it draws."""
