"""One call: commands in, events out. Owns a leg, a playout, ears, a recogniser and a recording."""
