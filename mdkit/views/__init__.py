"""Views: each looks at a session's frames on the clock, none is pushed to."""
