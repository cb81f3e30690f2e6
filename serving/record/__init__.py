"""The record: rows as they were understood and answers as they were given, in files. docs/traffic.md describes them."""
