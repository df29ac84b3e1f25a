"""Bars from files: CSV and JSON in the shapes that people have."""
