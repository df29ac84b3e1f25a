"""The dialects of public venues: what an embedded exchange sends and answers in their place."""
