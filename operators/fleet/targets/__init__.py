"""Who is asked: machines from lists, patterns, files, inventories and OpenSSH's configuration."""
