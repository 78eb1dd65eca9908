"""Training: it fills a run folder from a template, and resumes exactly."""
