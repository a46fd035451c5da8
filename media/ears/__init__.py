"""How the process listens: a ring and an energy gate per call, one batched neural VAD for all, in-band DTMF."""
