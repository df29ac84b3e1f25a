"""What a person holds: sessions, the dashboard and its views, the command lines' output."""
