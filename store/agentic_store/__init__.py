"""What the project keeps in PostgreSQL: sessions, events, fences, and the migrations that make their tables.

Everything here is async psycopg with SQL in named files. An in-memory twin keeps the same contract for tests and tools.
"""
