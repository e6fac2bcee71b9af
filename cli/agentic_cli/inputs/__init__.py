"""Inputs and answers: parsing, forms and checks."""
