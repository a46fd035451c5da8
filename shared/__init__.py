"""What two of api, workers and media need: settings, schema, lifecycle, messages, the phone system's port."""
