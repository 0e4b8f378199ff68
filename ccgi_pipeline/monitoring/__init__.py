"""How the pipeline and each district stand: health, district status, alerts, support bundle."""
