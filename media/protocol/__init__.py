"""The Active Call vocabulary (active-call-websocket-api): commands, events and options as typed structs. Pure."""
