"""All HTTP that people and programs send us: Flask and flask-smorest, port 8899. Start reading at ``api/app.py``."""
