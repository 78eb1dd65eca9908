"""Training: from a template to a run folder, exactly resumable."""
