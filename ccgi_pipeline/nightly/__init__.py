"""The steps of a night in their order: receive, verify, load, report, respond, deliver."""
