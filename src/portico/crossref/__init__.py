"""Cross-references: which record of which system a canonical id stands for.

A record is claimed here before it is created there, so that no crash and no retry makes two.
"""
