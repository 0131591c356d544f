"""The usage experiment: what machines are and do, as samples, tables, a database and a page."""
