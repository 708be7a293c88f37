"""Pictures of what is held, each one HTML page that needs nothing else: data in, text out."""
