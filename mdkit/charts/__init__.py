"""Pictures and pages of a session: matplotlib charts, cells of a notebook, saved reports."""
