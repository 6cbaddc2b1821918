"""The admin endpoint: health, readiness, metrics and an overview; served by the control process."""
