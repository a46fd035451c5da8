"""Speech to text and text to speech: providers behind two small interfaces (ports.py)."""
