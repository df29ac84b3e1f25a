"""The market that is served: simulated or played back, its history, hours and instruments."""
