"""The people who answer: what they say and when, apart from any socket."""
