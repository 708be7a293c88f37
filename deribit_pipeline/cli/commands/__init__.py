"""What can be typed, by subject. Each command imports what it needs when it runs."""
