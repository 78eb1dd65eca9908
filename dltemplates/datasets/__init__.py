"""What exists: sources of examples, their spec, and the pipeline that feeds training."""
