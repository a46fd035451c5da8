"""The AI on the line: playbooks, the scripted and the LLM dialogue, and the driver that brings them to a session."""
