"""Voices that carry their own words: espeak speech with quiet tones from which the text can be decoded again."""
