"""How a call's audio reaches us and ours reaches it: one module a kind of transport."""
