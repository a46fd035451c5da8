"""Audio as numbers: rings, levels, resampling, codecs, tones and WAV files. Pure: no I/O, no clock, no globals."""
