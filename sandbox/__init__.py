"""Stand-ins for the world outside: a phone system with people behind it, and the cloud services for speech and chat.

Nothing here imports the product, but for `shared.phone.wire`; everything is reached over real sockets.
The voices come from espeak-ng (GPL-3), so this package is loaded in the sandbox's own processes only.
"""
