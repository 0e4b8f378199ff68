"""The state of the pipeline and its districts: health, district status, alerts, support bundle."""
