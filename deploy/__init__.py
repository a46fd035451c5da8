"""How Waihu is run: the ``waihu`` command, the local supervisor, and files for containers, systemd and dashboards."""
